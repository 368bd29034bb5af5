# No udevd at all: `dmhelper listen --claim-udev` makes the links that udevd would have made, the tools synchronise with
# it, and a udevd started afterwards ends with what it would have made alone.
# needs: lvm cryptsetup mkfs.ext4 file:/usr/sbin/blkid
# timeout: 240

# Every link to a device-mapper device, by the device's name; diskseq numbers are never the same.
links() {
	local link target
	find /dev -type l -lname '*dm-[0-9]*' -not -path '/dev/block/*' -printf '%p %l\n' | while read -r link target; do
		printf '%s -> %s %s\n' "${link//by-diskseq\/[0-9]*/by-diskseq\/N}" "${target%dm-*}" "$(cat "/sys/block/${target##*/}/dm/name")"
	done | sort
}
# Everything that the udev database holds of them, but numbers that are never the same.
database() {
	local sys name
	for sys in /sys/block/dm-*; do
		name=$(tr '\\&|' '___' <"$sys/dm/name")
		grep -v -e '^I:' -e by-diskseq "/run/udev/data/b$(cat "$sys/dev")" | sed "s|^|$name |"
	done | sort
}
up() {
	vgchange -q -ay vg
	cryptsetup open --key-file /run/key /dev/vg/data secret
	dmsetup create plain --uuid PLAIN-1 --table "0 2048 linear $DISK 260000"
	dmsetup create 'odd "name"' --table "0 2048 linear $DISK 260000"
	dmsetup create renamed-later --table "0 2048 linear $DISK 260000"
	dmsetup rename renamed-later renamed
}
down() {
	dmsetup remove renamed
	dmsetup remove 'odd "name"'
	dmsetup remove plain
	cryptsetup close secret
	vgchange -q -an vg
}
leave_no_udevd() {
	stop_udevd
	rm -rf /run/udev
}
start_listen() {
	dmhelper listen --claim-udev --blkid /usr/sbin/blkid --daemon --pid-file /run/listen.pid "$@"
}
stop_listen() {
	kill -TERM "$(cat /run/listen.pid)"
	wait_until 20 listen_is_gone
}
listen_is_gone() { ! pgrep -x dmhelper >/dev/null; }

# --- as udevd does it
disk 128M
vgcreate -q vg "$DISK"
lvcreate -q -y -n data -L 32M vg
lvcreate -q -y -n fs -L 16M vg
printf 'very secret' >/run/key
cryptsetup luksFormat -q --uuid 11111111-2222-3333-4444-555555555555 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/vg/data /run/key
mkfs.ext4 -q -U 22222222-2222-3333-4444-555555555555 -L label /dev/vg/fs
lvcreate -q -y -s -n snap -L 8M vg/fs
vgchange -q -an vg
up
quiesce
replay add
quiesce
expected_links=$(links)
expected_database=$(database)
step 'under udevd'
down
leave_no_udevd

# --- as we do it, alone
start_listen
assert_fails dmhelper listen --claim-udev
# Whoever asks udevd something is answered, and not killed for having asked in too many words.
for _ in $(seq 30); do udevadm settle --timeout=10 && udevadm control --reload; done
up
assert_eq "$expected_links" "$(links)" 'links'
assert_no_cookies
[ "$(find /dev/mapper -type b | wc -l)" = 0 ] || fail 'a tool made a node of its own: it did not synchronise with us'

# Lives of other devices: a table swapped, suspended, renamed, removed, refused.
lvcreate -q -y -n more -L 8M vg
assert_link /dev/vg/more vg-more
lvrename -q vg more less
assert_link /dev/vg/less vg-less
assert_no_link /dev/vg/more
dmsetup suspend vg-less
dmsetup resume vg-less
assert_link /dev/vg/less vg-less
lvremove -q -y vg/less
assert_no_link /dev/vg/less
assert_no_link /dev/mapper/vg-less
dmsetup create --noudevrules norules --table '0 2048 error'
dmsetup remove norules
dmsetup create link --uuid 'LVM-evil' --table '0 2048 error'
dmsetup remove link
assert_eq "$expected_links" "$(links)" 'links after other devices came and went'
# The origin of the snapshot and the snapshot hold the same file system; LVM says which one the links belong to.
assert_link /dev/disk/by-uuid/22222222-2222-3333-4444-555555555555 "$(sed -n 's|/dev/disk/by-uuid/22222222.* ||p' <<<"$expected_links")"

# Restarted, even after SIGKILL: the records are taken over.
kill -KILL "$(cat /run/listen.pid)"
wait_until 20 listen_is_gone
start_listen
assert_eq "$expected_links" "$(links)" 'links after a restart'

# What is frozen and suspended under us is not touched, and the others go on.
mkdir -p /run/mounted
mount /dev/vg/fs /run/mounted
fsfreeze --freeze /run/mounted
dmsetup suspend --nolockfs vg-fs # it is frozen already
for i in $(seq 20); do
	dmsetup create "busy$i" --table '0 2048 error'
	assert_link "/dev/mapper/busy$i" "busy$i"
	dmsetup remove "busy$i"
done
udevadm trigger --action=change /sys/block/"$(kernel_name vg-fs)"
dmsetup resume vg-fs
fsfreeze --unfreeze /run/mounted
umount /run/mounted
assert_eq "$expected_links" "$(links)" 'links after a freeze'
assert_eq 'VmLck: locked' "$(awk '/VmLck/ { print "VmLck:", ($2 > 0 ? "locked" : "not locked") }' "/proc/$(cat /run/listen.pid)/status")" 'memory'
assert_eq -1000 "$(cat "/proc/$(cat /run/listen.pid)/oom_score_adj")" 'oom_score_adj'

# Somebody who plays the kernel, and rubbish of any length.
perl -e '
	socket(my $s, 16, 3, 15) or die $!;
	bind($s, pack("SSLL", 16, 0, 0, 0)) or die $!;
	setsockopt($s, 1, 32, pack("i", 16 << 20)) or die $!; # SO_SNDBUFFORCE
	for my $text ("remove\@/devices/virtual/block/dm-0\0ACTION=remove\0DEVPATH=/devices/virtual/block/dm-0\0SUBSYSTEM=block\0MAJOR=254\0MINOR=0\0", "", "\0", "x" x 100000) {
		defined send($s, $text, 0, pack("SSLL", 16, 0, 0, 1)) or $text eq "" or die $!; # the kernel itself refuses an empty one
	}
	# The largest up to 4 MiB that the kernel takes from a process at all; longer than any buffer of ours.
	my $size = 4 << 20;
	$size >>= 1 until $size < 128 << 10 or defined send($s, "x" x $size, 0, pack("SSLL", 16, 0, 0, 1));
	die "no large datagram was sent" if $size < 128 << 10;
	print "rig: a forged datagram of $size bytes\n";'
assert_eq "$expected_links" "$(links)" 'links after forged events'

# --- hand-over
stop_listen
assert_no_link /run/udev/control
assert_eq "$expected_links" "$(links)" 'links stay when we go'
start_udevd
replay add
quiesce
step 'udevd took over'
assert_eq "$expected_links" "$(links)" 'links after udevd took over'
assert_eq "$expected_database" "$(database)" 'the database after udevd took over'
down
vgremove -q -y -f vg
assert_no_cookies
step 'all removed'
