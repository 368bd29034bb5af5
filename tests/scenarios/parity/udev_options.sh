# What dmsetup's own options ask of udev: no rules, no synchronisation, a node at once.
# listen: yes
disk 64M
dmsetup create --noudevrules norules --table "0 2048 linear $DISK 4096"
step 'created without rules'
dmsetup create --noudevsync nosync --table "0 2048 linear $DISK 8192"
step 'created without synchronisation'
dmsetup create --addnodeoncreate early --table "0 2048 linear $DISK 12288"
dmsetup create --addnodeonresume late --table "0 2048 linear $DISK 16384"
step 'created with nodes by dmsetup'
assert_link /dev/mapper/late late
dmsetup suspend norules
dmsetup resume norules
step 'resumed with rules'
replay change
step 'a spurious change'
dmsetup remove --noudevrules late
dmsetup remove --noudevsync nosync
dmsetup remove --deferred early
dmsetup remove norules
step 'removed'
