#!/bin/busybox sh
# shellcheck shell=dash
# First process of the real root: notes how the boot went, then goes on as a guest of the rig does, with the files
# below `rig_root=DIR`, but with the devices, links and records that the initramfs made. `rig=DIR` names the shared directory.
/bin/busybox mkdir -p /upper/bin 2>/dev/null
read -r uptime _ </proc/uptime
processes=$(/bin/busybox sed -n 's/^processes //p' /proc/stat)
shared=$(/bin/busybox sed -n 's/.*\brig=\([^ ]*\).*/\1/p' /proc/cmdline)
root=$(/bin/busybox sed -n 's/.*\brig_root=\([^ ]*\).*/\1/p' /proc/cmdline)
modules=/usr/lib/uml/modules/$(/bin/busybox uname -r)
mount() { /bin/busybox mount "$@" || echo "rig: mount $*"; }
# From Linux 6.11 on, the option has a name.
hostfs() { /bin/busybox mount -t hostfs -o "hostfs=$1" hostfs "$2" 2>/dev/null || mount -t hostfs -o "$1" hostfs "$2"; }

hostfs "$root" /host
/bin/busybox insmod "/host$modules/kernel/fs/overlayfs/overlay.ko"
mount -t tmpfs tmpfs /upper
/bin/busybox mkdir /upper/files /upper/work
mount -t overlay overlay -o lowerdir=/host,upperdir=/upper/files,workdir=/upper/work /overlay
cd /overlay || echo 'rig: no overlay root'
/bin/busybox mkdir -p lib/modules rig
/bin/busybox ln -sfn "$modules" "lib/modules/${modules##*/}"
hostfs "$shared" rig
# What the boot cost until here, in seconds and in processes, and which device the root came from.
{
	echo "uptime $uptime"
	echo "processes $processes"
	/bin/busybox sed -n 's|^\([^ ]*\) / ext4 .*|root \1|p' /proc/mounts
} >rig/out/boot
for directory in dev proc sys run; do mount --move "/$directory" "$directory"; done
mount -t tmpfs tmpfs tmp
exec /bin/busybox chroot . /bin/bash /rig/boot.sh
