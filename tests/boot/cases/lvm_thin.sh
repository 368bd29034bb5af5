# The root on a thin volume.
# needs: lvm thin_check mkfs.ext4 busybox module:dm-thin-pool
# dracut: root=UUID=11111111-2222-3333-4444-555555555555 rd.lvm.lv=vg/thin
# initramfs-tools: root=UUID=11111111-2222-3333-4444-555555555555
# root: vg-thin
# shellcheck source=/dev/null
. /rig/disk.sh
disk 128M
vgcreate -q vg "$DISK"
lvcreate -q -y --type thin-pool -n pool -L 64M --poolmetadatasize 4M vg
lvcreate -q -y --thin -V 96M -n thin vg/pool
root_file_system /dev/vg/thin
vgchange -q -an vg
keep_disks "$DISK"
