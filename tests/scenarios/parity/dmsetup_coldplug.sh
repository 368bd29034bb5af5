# Events that udev is asked to replay, before a device is active, while it is, and with a lost database.
# listen: yes
disk 64M
dmsetup create --notable bare
dmsetup create --notable --uuid TEST-bare bare-uuid
step 'no table'
replay add
step 'no table, coldplugged'
replay change
step 'no table, a spurious change'
dmsetup load bare --table "0 2048 linear $DISK 4096"
dmsetup load bare-uuid --table "0 2048 linear $DISK 8192"
replay change
step 'a table loaded, a spurious change'
dmsetup resume bare
dmsetup resume bare-uuid
step 'active'
assert_link /dev/mapper/bare bare
replay add
step 'active, coldplugged'
assert_prop bare DM_ACTIVATION 1
replay add
step 'active, coldplugged again'
replay change
step 'active, a spurious change'
assert_link /dev/disk/by-id/dm-uuid-TEST-bare bare-uuid
replay add
step 'active, coldplugged after a spurious change'
dmsetup suspend bare
dmsetup suspend bare-uuid
replay add
step 'suspended, coldplugged'
replay change
step 'suspended, a spurious change'
dmsetup resume bare
dmsetup resume bare-uuid
step 'resumed'
rm "/run/udev/data/b$(devno bare)"
replay change
step 'the record lost, a spurious change'
replay add
step 'the record lost, coldplugged'
dmsetup remove_all
step 'removed'
