#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck disable=SC2154 # dracut gives moddir and initdir.
# The part of dmhelper's module `dm` that must come after all other modules. See dmhelper-initramfs(8).

# called by dracut
check() {
    # Only for a module that depends on it.
    return 255
}

# called by dracut
install() {
    local _ask="$initdir/sbin/cryptroot-ask"

    # The root device is waited for, and explained when it does not come.
    # Newer dracut has a module for the queue, which not every image needs.
    if ! [[ -d $(dracut_module_path initqueue) ]] || dracut_module_included initqueue; then
        inst_hook initqueue 50 "$moddir/dmhelper-udevd.sh"
        inst_hook initqueue/finished 50 "$moddir/dmhelper-root.sh"
    fi
    inst_hook pre-trigger 50 "$moddir/dmhelper-watch.sh"
    inst_hook cleanup 50 "$moddir/dmhelper-unwatch.sh"
    inst_hook emergency 50 "$moddir/dmhelper-explain.sh"
    inst_hook shutdown-emergency 50 "$moddir/dmhelper-explain.sh"

    inst_multiple cat flock grep readlink sleep tr

    # Asks dmsetup, which is not there, for a name that sysfs knows.
    if [[ -e $_ask ]]; then
        # shellcheck disable=SC2016 # For the script to expand.
        sed -i 's|dmsetup info -c --noheadings -o name "\$1"|cat "/sys/class/block/${1##*/}/dm/name"|' "$_ask"
        if grep -q dmsetup "$_ask"; then
            dfatal 'dmhelper: cryptroot-ask of this dracut calls dmsetup in a way that is not known: please report it'
            exit 1
        fi
    fi

    dmhelper_check_image
}

# Stops the build where the image would not boot. `dmhelper_check=no` in dracut.conf(5) lets it go on.
dmhelper_check_image() {
    local _line _found _status=0
    local -a _options=()
    # dracut asks for no kernel modules with --no-kernel: then they are not looked for.
    [[ $no_kernel != yes ]] || return 0
    [[ $hostonly ]] || _options=(--generic)
    _found=$(@DMHELPER@ check-initramfs "${_options[@]}" "$initdir" 2>&1) || _status=$?
    while read -r _line; do
        [[ $_line ]] || continue
        case $_line in
            note*) dinfo "dmhelper: $_line" ;;
            *) dwarn "dmhelper: $_line" ;;
        esac
    done <<< "$_found"
    # shellcheck disable=SC2154 # Of dracut.conf.
    if [[ $_status -ne 0 && $dmhelper_check != no ]]; then
        dfatal 'dmhelper: this image would not boot; dmhelper_check=no in dracut.conf builds it all the same'
        exit 1
    fi
}
