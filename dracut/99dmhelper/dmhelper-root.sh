#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck disable=SC2154 # dracut gives root.
# Asked again and again whether the boot may go on, for as long as rd.retry= on the kernel command line says: a root
# device that device-mapper made must be usable, not merely be there. Waiting between two looks is dracut's part.

case $root in
    block:/dev/* | /dev/*)
        case $(readlink -f "${root#block:}") in
            /dev/dm-*) dmhelper wait --timeout 0 "${root#block:}" > /dev/null 2>&1 || return 1 ;;
        esac
        ;;
esac
return 0
