#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The real root has an udevd of its own, and whoever looks after it.

if [ -e /run/initramfs/dmhelper-watch ]; then
    read -r _dmhelper_pid < /run/initramfs/dmhelper-watch
    kill "$_dmhelper_pid" 2> /dev/null
    rm -f /run/initramfs/dmhelper-watch
fi
