#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Removes the device-mapper devices that nothing uses any more. dracut calls this until it succeeds, at last with the
# argument `final`: only then it says what is left and why. Trying again is dracut's part. The machine goes down: what is
# only in memory is lost in any case.

if [ "$1" = final ]; then
    dmhelper detach --all --yes --volatile --timeout 1s 2>&1 | vwarn
else
    dmhelper detach --all --yes --volatile --timeout 0 > /dev/null 2>&1
fi
