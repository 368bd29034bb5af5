#!/bin/sh
# First process of the guest. The host's root file system, or a tree of another suite, is the read-only root (hostfs). This
# script lays a tmpfs over it, so that the whole tree can be written without a byte reaching the host, and goes on inside that overlay.
# `rig=DIR` on the kernel command line names the one host directory that is shared for writing.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

mount -t proc proc /proc
shared=$(sed -n 's/.*\brig=\([^ ]*\).*/\1/p' /proc/cmdline)
modules=/usr/lib/uml/modules/$(uname -r)

mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
insmod "$modules/kernel/fs/overlayfs/overlay.ko"
mkdir -p /run/rig/upper /run/rig/work /run/rig/root
mount -t overlay overlay -o lowerdir=/,upperdir=/run/rig/upper,workdir=/run/rig/work /run/rig/root
cd /run/rig/root || echo "rig: no overlay root"

# modprobe looks for /lib/modules/RELEASE; the UML modules live elsewhere.
mkdir -p lib/modules rig
ln -sfn "$modules" "lib/modules/$(uname -r)"
# From Linux 6.11 on, the option has a name.
mount -t hostfs -o "hostfs=$shared" hostfs rig 2>/dev/null || mount -t hostfs -o "$shared" hostfs rig

mount --move /dev dev
mount --move /proc proc
mount --move /sys sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
if ! grep -q '^RIG_INIT=systemd$' rig/config; then
	mount --move . /
	exec chroot . /bin/bash /rig/boot.sh
fi

# systemd, with nothing to start but the rest of this: no unit of the host's is wanted. It would take a root with this file
# for a container's, where it shares no mounts with its services.
rm -f .dockerenv
cat >etc/systemd/system/rig.service <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
Type=simple
StandardOutput=file:/dev/console
StandardError=file:/dev/console
ExecStart=/bin/bash /rig/boot.sh
UNIT
mount --move . /
exec chroot . /lib/systemd/systemd --unit=rig.service --log-target=console --show-status=false
