#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# A tool that waits for udev waits for ever when udevd has died, or has no rule that answers. Whoever has waited for ten
# seconds with nobody to answer is released, so that the boot goes on or ends with a message. Ends before the real root.

(
    trap 'kill "$pause" 2> /dev/null; exit 0' TERM
    while :; do
        sleep 5 &
        pause=$!
        wait "$pause"
        dmhelper cookie reap --yes 2>&1 | while read -r line; do
            case $line in *completed:* | *removed:*) warn "dmhelper: udev does not answer: $line" ;; esac
        done
    done
) < /dev/null &
echo $! > /run/initramfs/dmhelper-watch
