# A file system and a swap area inside a device: by-uuid and by-label appear, change with it, and go.
# needs: mkfs.ext4 mkswap
# listen: yes
disk 64M
dmsetup create fs --table "0 32768 linear $DISK 4096"
step "an empty device"
assert_no_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -L "my label" /dev/mapper/fs
after_writing
step "a file system"
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 fs
assert_link '/dev/disk/by-label/my\x20label' fs
assert_prop fs ID_FS_TYPE ext4
dmsetup suspend fs
replay change
step "suspended: what was known stays"
if under_our_rules; then assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 fs; fi
dmsetup resume fs
mkswap -q -U 22222222-2222-3333-4444-555555555555 -L swap1 /dev/mapper/fs 2>/dev/null ||
	mkswap -f -U 22222222-2222-3333-4444-555555555555 -L swap1 /dev/mapper/fs
after_writing
step "a swap area in its place"
assert_link /dev/disk/by-uuid/22222222-2222-3333-4444-555555555555 fs
assert_no_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555
dmsetup rename fs renamed
step "renamed"
assert_link /dev/disk/by-label/swap1 renamed
dmsetup remove renamed
step "removed"
