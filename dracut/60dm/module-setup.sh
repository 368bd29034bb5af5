#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck disable=SC2154 # dracut gives moddir and initdir.
# Device-mapper in the initramfs by dmhelper, in place of dracut's own module `dm`, which the modules crypt, lvm,
# multipath and others ask for. dracut takes the directory with the lowest number for a name: 90dm, or 70dm in newer
# releases, is left aside as long as this one is here. See dmhelper-initramfs(8).

# called by dracut
check() {
    require_binaries @DMHELPER@ || return 1
    # Only for a module that depends on it.
    return 255
}

# called by dracut
depends() {
    # What must be done after all other modules.
    echo dmhelper
}

# called by dracut
installkernel() {
    # Those that the host has loaded, or all of them when the image is for no host in particular.
    instmods '=drivers/md'
    hostonly='' instmods dm_mod
}

# called by dracut
install() {
    inst_binary @DMHELPER@
    # Under the names that they have on this system.
    inst_rules @RULES@
    inst_hook pre-udev 30 "$moddir/dmhelper-load.sh"
    inst_hook shutdown 25 "$moddir/dmhelper-shutdown.sh"
}
