# A root volume of which one of two disks is not there.
# disks: two_groups
# absent: 2
# dracut-at: usr/lib/dracut/hooks/cmdline/00-rig.sh
# dracut: rd.retry=10
# initramfs-tools-at: conf/conf.d/rig
# says: volume group first: 1 of its 2 physical volumes are missing
echo 'rig: one disk is missing'
