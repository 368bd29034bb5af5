#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Part of dracut's loop: without a udevd nothing will come any more that it waits for. A look every five seconds; the
# third that finds none (status 6) ends the boot.

read -r _dmhelper_now _ < /proc/uptime
_dmhelper_now=${_dmhelper_now%%.*}
if [ "$_dmhelper_now" -ge "${_dmhelper_next:-0}" ]; then
    dmhelper wait --name --timeout 0 'what nobody makes' > /dev/null 2>&1
    if [ $? -eq 6 ]; then _dmhelper_missed=$((${_dmhelper_missed:-0} + 1)); else _dmhelper_missed=0; fi
    _dmhelper_next=$((_dmhelper_now + 5))
    if [ "$_dmhelper_missed" -ge 3 ]; then
        _dmhelper_missed=0
        {
            flock -s 9
            emergency_shell 'dmhelper: no udevd is running: what the boot waits for cannot come'
        } 9> /.console_lock
    fi
fi
