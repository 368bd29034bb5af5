# What is done before the C library starts is what the whole program does: the same properties, byte for byte, and every failure is
# reported as ever. "--" before the device makes the whole program do it.
# needs: lvm cryptsetup strace
disk 64M
event() { env -i PATH="$PATH" ACTION=change DEVPATH=/devices/virtual/block/dm-0 SUBSYSTEM=block "$@"; }
# system_calls COMMAND…: how many, in $calls; and its log in /run/calls.
system_calls() {
	event "$@" strace -f -qq -e signal=none -o /run/calls "${command[@]}" >/run/out 2>/run/line
	calls=$(wc -l </run/calls)
}

vgcreate -q vg "$DISK"
lvcreate -q -y -n my-volume -L 8M vg
lvcreate -q -y -s -n snap -L 4M vg/my-volume
printf 'key' | cryptsetup open --type plain --hash sha256 --cipher aes-xts-plain64 --key-size 256 /dev/vg/my-volume secret -
dmsetup create --noudevsync "it's
hostile" --table '0 8 zero'
dmsetup create --noudevsync wide --uuid 'mpath-36001' --table '0 8 zero'
dmsetup create --noudevsync part --uuid "part12-mpath-'36001" --table '0 8 zero'
dmsetup create --noudevsync luks --uuid CRYPT-LUKS2-0123456789abcdef0123456789abcdef-luks --table '0 8 zero'
dmsetup create --noudevsync long --uuid "ACME-$(printf '%0123d' 0)" --table '0 8 zero'
dmsetup create --noudevsync --notable nothing
dmsetup suspend wide
devices=0
for device in /sys/block/dm-*; do
	devno=$(cat "$device/dev")
	# Flags of LVM, multipath and cryptsetup, all, and none but the tool's own; then what else an event may carry.
	for words in 0x40 0x140 0x4e 0x7f 0xffff 0x540 '0x140 DM_COOKIE_DISABLE_OTHER_RULES_FLAG=1' '0x40 DISK_RO=1' '0x44 ACTION=add' '0x40 ACTION=remove' '0x40 ACTION='; do
		read -r flags more <<<"$words"
		cookie=$((flags << 16 | 0x1234))
		event DM_COOKIE="$cookie" "${more:-SEQNUM=1}" dmhelper udev "$devno" >/run/early
		event DM_COOKIE="$cookie" "${more:-SEQNUM=1}" dmhelper udev -- "$devno" >/run/whole
		cmp /run/early /run/whole || fail "$devno, $words: $(diff /run/early /run/whole)"
	done
	command=(dmhelper udev "$devno")
	system_calls DM_COOKIE=4198964
	assert_eq 5 "$calls" "system calls for $devno: execve, open, ioctl, write, exit"
	test -s /run/out
	command=(dmhelper udev -- "$devno")
	system_calls DM_COOKIE=4198964
	test "$calls" -gt 10 # The whole program: what was compared are two ways indeed.
	devices=$((devices + 1))
done
test "$devices" -ge 9
assert_eq "DM_LV_NAME='my-volume'" "$(event DM_COOKIE=4198964 dmhelper udev "$(devno vg-my--volume)" | grep '^DM_LV_NAME=')" 'a part of the name'

# Other ways to write the number; a variable that is no text.
for more in DM_COOKIE=0x401234 DM_COOKIE=020011064 DM_COOKIE= DM_COOKIE=x DM_COOKIE=$'\xff'; do
	event "$more" SYNTH_UUID=$'\xff' dmhelper udev "$(devno vg-my--volume)" >/run/early 2>&1 || echo "status $?" >>/run/early
	event "$more" SYNTH_UUID=$'\xff' dmhelper udev -- "$(devno vg-my--volume)" >/run/whole 2>&1 || echo "status $?" >>/run/whole
	cmp /run/early /run/whole || fail "$more: $(diff /run/early /run/whole)"
done

# Without a tool behind it, the record counts: the whole program's. By hand, whatever there is.
command=(dmhelper udev "$(devno vg-my--volume)")
system_calls NOTHING=1
grep -q '/run/udev/data/b' /run/calls

# The kernel's node and reply, the words, the streams: everything that fails is told by the whole program.
early() { event DM_COOKIE=4198964 "$@"; }
early dmhelper udev 4095:1048575 >/run/out 2>/run/line || :
assert_eq "DM_UDEV_PRIMARY_SOURCE_FLAG='1' DM_ACTIVATION='1'" "$(xargs -d '\n' </run/out)" 'flags of a tool whose device is gone'
for words in 'udev' 'udev 253' 'udev x:0' 'udev 253:0 253:1' 'cookie complete' 'cookie complete 0x' 'cookie complete 1 2' 'cookie complete -- x'; do
	# shellcheck disable=SC2086
	if env -i PATH="$PATH" dmhelper $words >/run/out 2>/run/line; then fail "dmhelper $words: succeeded"; else assert_eq 2 $? "status of: dmhelper $words"; fi
	assert_eq 1 "$(grep -c '^dmhelper: ' /run/line)" "a line for: dmhelper $words"
done
if early dmhelper udev "$(devno wide)" >/dev/full 2>/run/line; then fail 'a full disk went unnoticed'; fi
# Nothing may be written into the control node because it was opened in place of a closed stream.
for closed in '>&-' '<&- >&-' '<&- >&- 2>&-'; do
	eval "early strace -f -y -e signal=none -o /run/calls dmhelper udev '$(devno wide)' $closed" || :
	grep -q 'openat.*mapper/control' /run/calls
	assert_fails grep -E 'write\([0-9]+<[^>]*mapper/control' /run/calls
done

# A cookie: the semaphore's value tells.
cookie=$(dmhelper cookie create)
for _ in 1 2; do dmhelper cookie inc "$cookie"; done
command=(dmhelper cookie complete "$cookie")
system_calls NOTHING=1
assert_eq 4 "$calls" 'system calls: execve, semget, semop, exit'
dmhelper cookie complete "$((cookie))"
if dmhelper cookie wait --timeout 10s "$cookie"; then :; else fail 'the cookie is not complete'; fi
env -i PATH="$PATH" dmhelper cookie complete "$cookie" 2>/run/line
grep -q 'nobody waits for it' /run/line
cookie=$(dmhelper cookie create)
dmhelper cookie complete "$cookie"
env -i PATH="$PATH" dmhelper cookie complete "$cookie" 2>/run/line
grep -q 'completed before' /run/line # Once too often: told, and no error of the rules.
dmsetup udevreleasecookie "$cookie" >/dev/null 2>&1 || :
command=(dmhelper cookie complete 0x410000)
system_calls NOTHING=1
assert_eq 2 "$calls" 'system calls for a cookie of flags alone'
assert_no_cookies

dmsetup resume --noudevsync wide
cryptsetup close secret
for name in wide part luks long nothing "it's
hostile"; do dmsetup remove --noudevsync "$name"; done
vgremove -q -f vg
step 'done'
