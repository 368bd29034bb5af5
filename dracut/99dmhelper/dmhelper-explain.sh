#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck disable=SC2154 # dracut gives root.
# Before the emergency shell: what is known about why the root device is not there.

# Also sourced when a shutdown fails, and for roots that are no device.
_dmhelper_dev=${root#block:}
[ -d /oldsys ] && return 0
case $_dmhelper_dev in /dev/*) ;; *) return 0 ;; esac

{
    dmhelper wait --timeout 0 "$_dmhelper_dev" 2>&1 && echo "dmhelper: $_dmhelper_dev is usable"
    dmhelper explain "$_dmhelper_dev" 2>&1

    for _dmhelper_uuid in $(getargs rd.luks.uuid -d rd_LUKS_UUID); do
        _dmhelper_uuid=${_dmhelper_uuid#luks-}
        _dmhelper_id=$(echo "$_dmhelper_uuid" | tr -d -)
        cat /sys/block/dm-*/dm/uuid 2> /dev/null | grep -q "^CRYPT-LUKS.-$_dmhelper_id" && continue
        for _dmhelper_disk in /dev/disk/by-uuid/"$_dmhelper_uuid"*; do
            if [ -e "$_dmhelper_disk" ]; then
                echo "dmhelper: LUKS volume $_dmhelper_uuid: on $(readlink -f "$_dmhelper_disk"), but no key has opened it"
            else
                echo "dmhelper: LUKS volume $_dmhelper_uuid: no disk that holds it has appeared"
            fi
        done
    done
    if command -v lvm > /dev/null; then
        lvm vgs --readonly --config 'devices { ignore_suspended_devices = 1 }' --noheadings --select 'vg_missing_pv_count>0' -o vg_name,vg_missing_pv_count,pv_count 2> /dev/null \
            | while read -r _dmhelper_vg _dmhelper_missing _dmhelper_all; do
                echo "dmhelper: volume group $_dmhelper_vg: $_dmhelper_missing of its $_dmhelper_all physical volumes are missing"
            done
    fi
} | vwarn
