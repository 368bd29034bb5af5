# The disk that the example of a busybox initramfs is booted from: a LUKS volume on a logical volume, in it a file
# system labelled "root", whose first process tells what it finds and switches off. Made with a real udevd, whose links
# are the ones to be found then.
# needs: lvm cryptsetup mkfs.ext4 busybox cpio file:/usr/sbin/blkid module:dm-crypt
# timeout: 120
disk 64M
vgcreate -q vg "$DISK"
lvcreate -q -y -n root -L 56M vg
printf secret >/rig/out/key
cryptsetup luksFormat -q --type luks2 --uuid aaaaaaaa-1111-1111-1111-111111111111 --pbkdf pbkdf2 \
	--pbkdf-force-iterations 1000 /dev/vg/root /rig/out/key
cryptsetup open --key-file /rig/out/key /dev/vg/root root
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -L root /dev/mapper/root
even_out

mkdir -p /run/root
mount /dev/mapper/root /run/root
for directory in bin sbin dev proc sys run; do mkdir "/run/root/$directory"; done
assert_fails ldd "$(command -v busybox)" # no libraries are there
cp "$(command -v busybox)" /run/root/bin/busybox
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
poweroff -f
SH
chmod +x /run/root/sbin/init
sh /run/root/bin/links >/rig/out/links
assert_link /dev/disk/by-label/root root
step 'made'
umount /run/root
cryptsetup close root
vgchange -q -an vg
losetup -d "$DISK"
step 'closed'
cp --sparse=always /var/lib/rig/disk1 /rig/out/disk.img
