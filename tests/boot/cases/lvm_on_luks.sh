# The root on a logical volume in a LUKS2 volume.
# needs: lvm cryptsetup mkfs.ext4 busybox module:dm-crypt
# dracut: root=/dev/vg/root rd.luks.uuid=aaaaaaaa-3333-3333-3333-333333333333 rd.lvm.lv=vg/root
# initramfs-tools: root=/dev/mapper/vg-root cryptopts=target=luks-aaaaaaaa-3333-3333-3333-333333333333,source=UUID=aaaaaaaa-3333-3333-3333-333333333333,key=/etc/boot.key,luks
# root: vg-root
# shellcheck source=/dev/null
. /rig/disk.sh
disk 96M
luks "$DISK" aaaaaaaa-3333-3333-3333-333333333333 opened
vgcreate -q vg /dev/mapper/opened
lvcreate -q -y -n root -L 48M vg
lvcreate -q -y -n other -L 8M vg
root_file_system /dev/vg/root
vgchange -q -an vg
cryptsetup close opened
keep_disks "$DISK"
