# Each flag that a tool may put into its cookie is obeyed, and remembered for the events that bring none.
# needs: perl mkfs.ext4
# timeout: 180
disk 96M
uuid=11111111-2222-3333-4444-555555555555
dmsetup create --uuid TEST-x x --table "0 32768 linear $DISK 4096"
quiesce
mkfs.ext4 -q -U $uuid -L data /dev/mapper/x
quiesce
flags() {
	dmsetup suspend x
	resume_with_flags x "$1"
	quiesce
}
flags 0x40
assert_link /dev/mapper/x x
assert_link /dev/disk/by-uuid/$uuid x

flags 0x41 # no rules of device-mapper's own
assert_prop x DM_UDEV_DISABLE_DM_RULES_FLAG 1
assert_no_link /dev/mapper/x
replay change
assert_no_link /dev/mapper/x

flags 0x42 # no rules of a subsystem
assert_prop x DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG 1
assert_link /dev/mapper/x x

flags 0x44 # no disk rules
assert_prop x DM_UDEV_DISABLE_DISK_RULES_FLAG 1
assert_no_link /dev/disk/by-uuid/$uuid
assert_no_link /dev/disk/by-id/dm-name-x
assert_link /dev/mapper/x x
replay add
assert_no_link /dev/disk/by-id/dm-name-x

flags 0x48 # no foreign rules
assert_prop x DM_COOKIE_DISABLE_OTHER_RULES_FLAG 1
assert_prop x DM_UDEV_DISABLE_OTHER_RULES_FLAG 1
assert_link /dev/disk/by-uuid/$uuid x
replay change
assert_prop x DM_UDEV_DISABLE_OTHER_RULES_FLAG 1
dmsetup suspend x
replay change
dmsetup resume x # without the flag: nothing of it is left
quiesce
assert_no_prop x DM_COOKIE_DISABLE_OTHER_RULES_FLAG
assert_no_prop x DM_UDEV_DISABLE_OTHER_RULES_FLAG

flags 0x50 # its links count less
priority() { sed -n 's/^L://p' "/run/udev/data/b$(devno "$1")"; }
assert_eq -100 "$(priority x)" 'link priority'
dmsetup create copy --table "0 32768 linear $DISK 4096"
quiesce
assert_link /dev/disk/by-uuid/$uuid copy
assert_link /dev/disk/by-label/data copy
replay change
assert_link /dev/disk/by-uuid/$uuid copy
assert_eq -100 "$(priority x)" 'link priority after a spurious change'
dmsetup remove copy
quiesce
assert_link /dev/disk/by-uuid/$uuid x

flags 0x60
assert_prop x DM_UDEV_DISABLE_LIBRARY_FALLBACK_FLAG 1
flags 0xc0
assert_prop x DM_UDEV_FLAG7 1
for bit in 0 1 2 3 4 5 6 7; do
	flags $((0x40 | 0x100 << bit))
	assert_prop x DM_SUBSYSTEM_UDEV_FLAG$bit 1
done
flags 0x40
for bit in 0 1 2 3 4 5 6 7; do assert_no_prop x DM_SUBSYSTEM_UDEV_FLAG$bit; done
dmsetup remove x
assert_no_cookies
