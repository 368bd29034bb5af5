# The root in a LUKS2 volume on a logical volume.
# needs: lvm cryptsetup mkfs.ext4 busybox module:dm-crypt
# dracut: root=LABEL=root rd.lvm.lv=vg/locked rd.luks.uuid=aaaaaaaa-2222-2222-2222-222222222222
# initramfs-tools: root=LABEL=root cryptopts=target=luks-aaaaaaaa-2222-2222-2222-222222222222,source=UUID=aaaaaaaa-2222-2222-2222-222222222222,key=/etc/boot.key,luks
# root: luks-aaaaaaaa-2222-2222-2222-222222222222
# shellcheck source=/dev/null
. /rig/disk.sh
disk 96M
vgcreate -q vg "$DISK"
lvcreate -q -y -n locked -L 64M vg
luks /dev/vg/locked aaaaaaaa-2222-2222-2222-222222222222 root
root_file_system /dev/mapper/root
cryptsetup close root
vgchange -q -an vg
keep_disks "$DISK"
