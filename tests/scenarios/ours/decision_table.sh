# The table of what an event means (PRIMARY_SOURCE, ACTIVATION), each row driven through udevd.
# needs: perl
# timeout: 180
disk 64M
table="0 2048 linear $DISK 4096"
# row DEVICE PRIMARY ACTIVATION: what the record says after the event; `-` for absent or empty.
row() {
	local primary activation
	quiesce
	primary=$(prop "$1" DM_UDEV_PRIMARY_SOURCE_FLAG || true)
	activation=$(prop "$1" DM_ACTIVATION || true)
	assert_eq "$2 $3" "${primary:--} ${activation:--}" "$1: PRIMARY_SOURCE and ACTIVATION after: $4"
}
disabled() {
	assert_prop "$1" DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG 1
	assert_prop "$1" DM_UDEV_DISABLE_DISK_RULES_FLAG 1
	assert_prop "$1" DM_UDEV_DISABLE_OTHER_RULES_FLAG 1
	assert_watched "$1" no
}

# Genuine add: the kernel announces the disk with its first table. systemd reads from the missing name that it is not ready.
dmsetup create --notable one
dmsetup load one --table "$table"
row one - - 'genuine add'
disabled one
assert_no_prop one DM_NAME
assert_no_link /dev/mapper/one

# Synthetic add (coldplug), not active.
replay add
row one - - 'synthetic add, not active'
disabled one
assert_no_prop one DM_NAME
assert_no_link /dev/mapper/one

# Spurious change, not active.
replay change
row one - - 'spurious change, not active'

# Genuine change.
dmsetup resume one
row one 1 1 'genuine change'
assert_prop one DM_NAME one
assert_prop one DM_UDEV_RULES_VSN 3
assert_prop one DM_UDEV_RULES 1
assert_no_prop one DM_UDEV_DISABLE_OTHER_RULES_FLAG
assert_no_prop one DM_UDEV_DISABLE_DISK_RULES_FLAG
assert_link /dev/mapper/one one
assert_link "/dev/disk/by-diskseq/$(cat "/sys/block/$(kernel_name one)/diskseq")" one
assert_watched one yes

# Spurious change, active before.
replay change
row one 1 - 'spurious change, active before'
assert_link /dev/mapper/one one
assert_link /dev/disk/by-id/dm-name-one one

# Synthetic add, active before.
replay add
row one 1 1 'synthetic add, active before'
assert_link /dev/mapper/one one
assert_no_prop one DM_UDEV_DISABLE_OTHER_RULES_FLAG

# Suspended: the links stay, foreign rules keep off; afterwards all is as before.
dmsetup suspend one
replay change
row one 1 - 'spurious change, suspended'
assert_prop one DM_UDEV_DISABLE_OTHER_RULES_FLAG 1
assert_link /dev/mapper/one one
dmsetup resume one
row one 1 1 'resumed'
assert_no_prop one DM_UDEV_DISABLE_OTHER_RULES_FLAG

# DISK_RO: the kernel reports that the disk became read-only; nothing may be done on account of that. The event of the
# resume, with its cookie, follows at once, so a rule of the scenario's own keeps what the first one looked like.
mkdir -p /run/udev/rules.d
cat >/run/udev/rules.d/99-rig.rules <<'RULES'
SUBSYSTEM=="block", KERNEL=="dm-*", ENV{DISK_RO}=="1", RUN+="/bin/sh -c 'env >>/run/rig-disk-ro'"
RULES
reload_rules
dmsetup suspend one
dmsetup load --readonly one --table "$table"
dmsetup resume one
row one 1 1 'read-only by a tool'
assert_link /dev/mapper/one one
has() { grep -cxF "$1" /run/rig-disk-ro || true; }
assert_eq 1 "$(has DISK_RO=1)" 'events with DISK_RO=1'
assert_eq 1 "$(has DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG=1)" 'DISK_RO: no subsystem rules'
assert_eq 1 "$(has DM_UDEV_DISABLE_DISK_RULES_FLAG=1)" 'DISK_RO: no disk rules'
assert_eq 1 "$(has DM_UDEV_DISABLE_OTHER_RULES_FLAG=1)" 'DISK_RO: no foreign rules'
assert_eq 0 "$(has DM_ACTIVATION=1)" 'DISK_RO: no activation'
rm /run/udev/rules.d/99-rig.rules
reload_rules

# Flags alone, no cookie: nobody waits, but the event is genuine.
dmsetup suspend one
resume_with_flags one $((0x40))
row one 1 1 'flags without a cookie'

# Synthetic add, never recorded, live.
rm "/run/udev/data/b$(devno one)"
replay add
row one 1 1 'synthetic add, never recorded, live'
assert_prop one DM_NAME one
assert_no_prop one DM_UDEV_DISABLE_OTHER_RULES_FLAG
assert_link /dev/mapper/one one
assert_watched one yes

# A tool of old that sends no flags at all: not a genuine event, not activated by this.
dmsetup create --notable two
dmsetup load two --table "0 2048 linear $DISK 8192"
resume_with_flags two 0
row two - - 'a change without flags'
assert_link /dev/mapper/two two

# Remove: nothing is left, the cookie is completed (dmsetup would hang otherwise).
record=/run/udev/data/b$(devno one)
timeout 20 dmsetup remove one
quiesce
assert_no_link /dev/mapper/one
assert_eq no "$([ -e "$record" ] && echo yes || echo no)" 'a record of the removed device'
dmsetup remove two
assert_no_cookies
