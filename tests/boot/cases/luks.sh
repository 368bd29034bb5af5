# The root in a LUKS2 volume on a disk.
# needs: cryptsetup mkfs.ext4 busybox module:dm-crypt
# dracut: root=/dev/mapper/luks-aaaaaaaa-1111-1111-1111-111111111111 rd.luks.uuid=aaaaaaaa-1111-1111-1111-111111111111
# initramfs-tools: root=/dev/mapper/luks-aaaaaaaa-1111-1111-1111-111111111111 cryptopts=target=luks-aaaaaaaa-1111-1111-1111-111111111111,source=UUID=aaaaaaaa-1111-1111-1111-111111111111,key=/etc/boot.key,luks
# root: luks-aaaaaaaa-1111-1111-1111-111111111111
# shellcheck source=/dev/null
. /rig/disk.sh
disk 64M
luks "$DISK" aaaaaaaa-1111-1111-1111-111111111111 root
root_file_system /dev/mapper/root
cryptsetup close root
keep_disks "$DISK"
