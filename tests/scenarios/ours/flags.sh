# placeholder
disk 16M
dmsetup create x --table "0 2048 linear $DISK 0"
assert_link /dev/mapper/x x
dmsetup remove x
