# Raw names and UUIDs, as a tool other than libdevmapper's may set them: nothing is injected, nothing leads outside.
# needs: perl
# timeout: 180
disk 64M
made=0
# raw NAME UUID: made by plain ioctls, so that no library mangles or refuses anything; the resume has a real cookie.
raw() {
	local cookie
	cookie=$(dmsetup udevcreatecookie)
	made=$((made + 1))
	perl -e '
		my ($name, $uuid, $cookie, $dev, $start) = @ARGV;
		open(my $control, "+<", "/dev/mapper/control") or die "control: $!";
		sub call {
			my ($number, $by_uuid, $event, $targets, $data) = @_;
			my $request = pack("L10 Q a128 a129 a7", 4, 0, 0, 312 + length $data, 312, $targets, 0, 0, $event, 0, 0,
				$number == 3 || !$by_uuid ? $name : "", $number == 3 || $by_uuid ? $uuid : "", "") . $data;
			ioctl($control, 0xc1380000 | 0xfd00 | $number, $request) or die "ioctl $number: $!";
		}
		my $parameters = "$dev $start\0";
		$parameters .= "\0" x (-length($parameters) % 8);
		call(3, 0, 0, 0, "");                                                                  # create
		call(9, 0, 0, 1, pack("Q Q l L a16", 0, 2048, 0, 40 + length $parameters, "linear") . $parameters); # load
		# one more completion to wait for, as libdevmapper does before its ioctl
		my $key = 0x0d4d << 16 | ($cookie & 0xffff);
		my $set = semget($key, 1, 0);
		defined $set or die "semget: $!";
		semop($set, pack("s!3", 0, 1, 0)) or die "semop: $!";
		call(6, 0, 0x60 << 16 | ($cookie & 0xffff), 0, "");                                     # resume
	' "$1" "$2" "$((cookie))" "$DISK" "$((4096 * made))"
	# The promise: whatever the name, the waiter is released.
	timeout 30 dmsetup udevreleasecookie "$cookie" || fail "the cookie of '$1' was not completed"
	quiesce
}
newline=$'evil\nE:INJECTED=yes\nINJECTED2=yes'
raw "$newline" TEST-newline
raw $'quote\'s\nINJECTED=\'yes\'' TEST-quotes
raw 'a" ENV{INJECTED}="yes' TEST-double
raw '..' TEST-dots
raw '.' TEST-dot
raw 'space name' 'TEST uuid with space'
raw $'escape\033[31mred\007' TEST-escape
raw '$env{PATH}%k$kernel' TEST-substitution
raw 'uuid-slash' '../../../rig-escaped'
raw 'uuid-newline' $'TEST\nE:INJECTED=yes\nS:../rig-escaped2'
raw 'vg-..' "LVM-$(printf '%064d' 1)"
raw '..-lv' "LVM-$(printf '%064d' 2)"
raw '..-passwd' "LVM-$(printf '%064d' 3)"
raw $'vg-l\nv' "LVM-$(printf '%064d' 4)"
raw 'crypt' $'CRYPT-LUKS2-\nINJECTED=yes-crypt'
raw $'\xff\xfe' $'TEST-\xff'
raw "$(printf 'x%.0s' $(seq 127))" "$(printf 'u%.0s' $(seq 128))"

check() {
	# A record never holds a property, or a link, that our rules did not mean to give.
	assert_eq '' "$(grep -l 'INJECTED' /run/udev/data/b* | xargs -r grep -hE '^E:INJECTED|^INJECTED|^S:\.\.' || true)" \
		"injected lines ($1)"
	assert_eq '' "$(find / -maxdepth 2 -xdev -name '*rig-escaped*')" "a link outside ($1)"
	assert_eq '' "$(find /dev -name '*rig-escaped*')" "a link outside its directory ($1)"
	assert_eq directory "$(stat -c %F /dev/mapper)" '/dev/mapper'
	assert_no_link /dev/passwd
	# Every link to a device-mapper node lies where such links belong.
	assert_eq '' "$(find /dev -type l -lname '*dm-[0-9]*' -not -path '/dev/mapper/*' -not -path '/dev/disk/by-id/dm-*' \
		-not -path '/dev/disk/by-diskseq/*' -not -path '/dev/block/*' -not -path '/dev/vg/*' -printf '%p ')" "stray links ($1)"
	assert_no_cookies
}
check 'made'
# Nobody asked for another name since.
names() {
	find /dev/mapper /dev/disk/by-id -type l -printf '%p -> %l\n' | sort
	grep -hE '^E:DM_(NAME|UUID)=' /run/udev/data/b* | sort
}
names >/run/names
replay change
assert_eq '' "$(names | diff /run/names -)" 'names and links that a spurious change has altered'
check 'a spurious change'
replay add
check 'coldplugged'
assert_eq 17 "$(find /sys/block -name 'dm-*' | wc -l)" 'devices'
# None of them keeps the others from being shown.
assert_eq 17 "$(dmhelper ls --no-headings -o name | wc -l)" 'devices of ls'
longest=$(dmhelper ls --no-headings -o uuid | awk '{ print length }' | sort -n | tail -n 1)
assert_eq 128 "$longest" 'bytes of the longest UUID'
