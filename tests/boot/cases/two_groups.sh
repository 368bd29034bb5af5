# The root on a volume group of two disks, and another group on a third: both are activated.
# needs: lvm mkfs.ext4 busybox
# dracut: root=/dev/mapper/first-root rd.lvm.vg=first rd.lvm.vg=second
# initramfs-tools: root=/dev/mapper/first-root
# root: first-root
# shellcheck source=/dev/null
. /rig/disk.sh
disk 64M
one=$DISK
disk 64M
two=$DISK
disk 64M
three=$DISK
vgcreate -q first "$one" "$two"
lvcreate -q -y -n root -i 2 -L 64M first
vgcreate -q second "$three"
lvcreate -q -y -n data -L 16M second
root_file_system /dev/first/root
mkfs.ext4 -q -U 22222222-2222-3333-4444-555555555555 -L data /dev/second/data
vgchange -q -an first second
keep_disks "$one" "$two" "$three"
