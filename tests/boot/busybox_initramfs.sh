# The disk that the example of a busybox initramfs is booted from: a LUKS volume on a logical volume, in it a file
# system labelled "root", whose first process tells what it finds, then goes on as a guest with a real udevd. A real
# udevd that makes the same devices alone, here, shows which links and records there must be before and after.
# needs: lvm cryptsetup mkfs.ext4 busybox cpio file:/usr/sbin/blkid module:dm-crypt
# timeout: 120
# shellcheck source=/dev/null
. /rig/disk.sh
disk 64M
vgcreate -q vg "$DISK"
lvcreate -q -y -n root -L 56M vg
luks /dev/vg/root aaaaaaaa-1111-1111-1111-111111111111 root
root_file_system /dev/mapper/root
mount /dev/mapper/root /run/root
# Every link to a device-mapper device, by the device's name. Runs here and there. gpt-auto-root is not a matter of
# device-mapper's rules here: systemd's own give it to any CRYPT device that is named root.
cat >/run/root/bin/links <<'SH'
find /dev -type l ! -path '/dev/block/*' ! -path /dev/gpt-auto-root | sort | while read -r link; do
	target=$(readlink "$link")
	case $target in *dm-[0-9]*) ;; *) continue ;; esac
	case $link in */by-diskseq/*) link=${link%/*}/N ;; esac
	echo "link $link -> ${target%dm-*} $(cat "/sys/block/${target##*/}/dm/name")"
done
SH
mv /run/root/sbin/init /run/root/sbin/next
cat >/run/root/sbin/init <<'SH'
#!/bin/busybox sh
PATH=/run/bin
/bin/busybox mkdir /run/bin
/bin/busybox --install -s /run/bin
{
	sh /bin/links
	find /dev/mapper -type b | sed 's/^/node /'
	sed -n 's|^\([^ ]*\) / ext4 .*|root \1|p' /proc/mounts
	sed -n '2,$s/^ *\([0-9]*\) .*/cookie \1/p' /proc/sysvipc/sem
	pidof dmhelper | sed 's/^/still running /'
	if [ -e /run/udev/control ]; then echo 'still claimed'; fi
	ls /run/udev/data | sed 's/^/record /'
	dmesg | sed -n 's/.*dmhelper\[[0-9]*\]: /said /p'
	echo 'the root is up'
} 2>&1 | sed 's/^/boot: /'
exec /sbin/next
SH
chmod +x /run/root/sbin/init
cp /run/root/bin/links /run/links
umount /run/root
cryptsetup close root
vgchange -q -an vg
step 'closed'

# A udevd that makes everything alone, and is asked for all devices, as the one in the real root is at its start; then
# what root.sh does there as well.
vgchange -q -ay vg
cryptsetup open --key-file /rig/out/key /dev/vg/root root
quiesce
replay add
step 'the root is up'
sh /run/links >/rig/out/links
assert_link /dev/disk/by-label/root root
replay change
step 'every device has changed'
cryptsetup close root
vgchange -q -an vg
keep_disks "$DISK"
