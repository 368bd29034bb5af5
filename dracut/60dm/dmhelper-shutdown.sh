#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Removes the device-mapper devices that nothing uses any more. dracut calls this until it succeeds, at last with the
# argument `final`: only then it says what is left and why.

if [ "$1" = final ]; then
    dmhelper detach --all 2>&1 | vwarn
else
    dmhelper detach --all > /dev/null 2>&1
fi
