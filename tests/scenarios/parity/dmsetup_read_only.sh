# Read-only: blockdev --setro and back, and tables that are read-only from the start.
# needs: blockdev
# listen: yes
disk 64M
dmsetup create rw --table "0 2048 linear $DISK 4096"
dmsetup create --readonly --uuid TEST-ro ro --table "0 2048 linear $DISK 8192"
step 'created'
assert_eq 1 "$(cat "/sys/block/$(kernel_name ro)/ro")" 'read-only'
blockdev --setro /dev/mapper/rw
step 'set read-only'
replay change
step 'read-only, a spurious change'
blockdev --setrw /dev/mapper/rw
step 'set read-write again'
dmsetup suspend ro
dmsetup reload ro --table "0 2048 linear $DISK 8192"
dmsetup resume ro
step 'reloaded read-write'
replay add
step 'coldplugged'
dmsetup remove rw
dmsetup remove ro
step 'removed'
