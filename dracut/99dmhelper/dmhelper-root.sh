#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck disable=SC2154 # dracut gives root.
# Asked again and again whether the boot may go on: a root device that device-mapper made must be usable, not merely be
# there. How long dracut goes on asking is rd.retry= on the kernel command line. Without a udevd it would ask for ever.

_dmhelper_dev=${root#block:}
case $_dmhelper_dev in /dev/*) ;; *) return 0 ;; esac

case $(readlink -f "$_dmhelper_dev") in
    /dev/dm-*) dmhelper wait --timeout 5s "$_dmhelper_dev" > /dev/null 2>&1 && return 0 ;;
    *) [ -e "$_dmhelper_dev" ] && return 0 ;;
esac

# A look at udevd every five seconds; on the third that finds none (status 6) nothing will come any more.
read -r _dmhelper_now _ < /proc/uptime
_dmhelper_now=${_dmhelper_now%%.*}
_dmhelper_next=0 _dmhelper_missed=0
[ -e /run/initramfs/dmhelper-udevd ] && read -r _dmhelper_next _dmhelper_missed < /run/initramfs/dmhelper-udevd
[ "$_dmhelper_now" -ge "$_dmhelper_next" ] || return 1
dmhelper wait --timeout 0 "$_dmhelper_dev" > /dev/null 2>&1
if [ $? -eq 6 ]; then _dmhelper_missed=$((_dmhelper_missed + 1)); else _dmhelper_missed=0; fi
echo "$((_dmhelper_now + 5)) $_dmhelper_missed" > /run/initramfs/dmhelper-udevd
[ "$_dmhelper_missed" -lt 3 ] || emergency_shell "No udevd is running: $_dmhelper_dev cannot come."
return 1
