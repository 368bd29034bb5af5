# Rules of the newer generation beside ours: they read .DM_SUSPENDED and the version, and set .DM_NOSCAN.
# layout: upstream
# neighbours: newer_generation
# needs: mkfs.ext4 lvm perl
# timeout: 180
disk 96M
uuid=11111111-2222-3333-4444-555555555555
dmsetup create --uuid NEIGHBOUR-noscan noscan --table "0 32768 linear $DISK 4096"
quiesce
mkfs.ext4 -q -U $uuid /dev/mapper/noscan
quiesce
assert_prop noscan NEIGHBOUR_SAW_NAME noscan
assert_prop noscan NEIGHBOUR_SAW_SUSPENDED 0
assert_prop noscan LATE_NEIGHBOUR_ACTED 1
assert_prop noscan LATE_NEIGHBOUR_SAW_FS ext4
assert_link /dev/disk/by-uuid/$uuid noscan

# The neighbour says "do not scan": the device is not read, what was known stays, others keep off.
touch /run/neighbour-says-noscan
dd if=/dev/zero "of=$DISK" bs=512 seek=4096 count=64 conv=notrunc,fsync status=none # nobody may notice yet
replay change
quiesce
assert_link /dev/disk/by-uuid/$uuid noscan
assert_prop noscan ID_FS_TYPE ext4
assert_prop noscan LATE_NEIGHBOUR_ACTED 0
assert_no_prop noscan .DM_NOSCAN
# It no longer says so: the device is read again.
rm /run/neighbour-says-noscan
replay change
quiesce
assert_no_link /dev/disk/by-uuid/$uuid
assert_no_prop noscan ID_FS_TYPE
assert_prop noscan LATE_NEIGHBOUR_ACTED 1

# Suspended: the neighbour sees it.
dmsetup suspend noscan
replay change
assert_prop noscan NEIGHBOUR_SAW_SUSPENDED 1
assert_prop noscan LATE_NEIGHBOUR_ACTED 0
dmsetup resume noscan
quiesce
assert_prop noscan NEIGHBOUR_SAW_SUSPENDED 0
assert_prop noscan LATE_NEIGHBOUR_ACTED 1
dmsetup remove noscan

# LVM's own "do not scan yet", which our rules derive, reaches the neighbour too; so does the tool's own flag.
dmsetup create --uuid "LVM-$(printf '%064d' 1)" vg-lv --table "0 2048 linear $DISK 65536"
dmsetup suspend vg-lv
resume_with_flags vg-lv $((0x148))
quiesce
assert_prop vg-lv NEIGHBOUR_SAW_NOSCAN 1
assert_prop vg-lv NEIGHBOUR_SAW_COOKIE_FLAG 1
assert_prop vg-lv LATE_NEIGHBOUR_ACTED 0
replay change
assert_no_prop vg-lv NEIGHBOUR_SAW_NOSCAN
assert_prop vg-lv LATE_NEIGHBOUR_ACTED 0
dmsetup remove vg-lv
assert_no_cookies
