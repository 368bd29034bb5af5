# Raw names and UUIDs, as a tool other than libdevmapper's may set them: nothing is injected, nothing leads outside.
# needs: perl
# timeout: 180
disk 64M
newline=$'evil\nE:INJECTED=yes\nINJECTED2=yes'
create_raw "$newline" TEST-newline
create_raw $'quote\'s\nINJECTED=\'yes\'' TEST-quotes
create_raw 'a" ENV{INJECTED}="yes' TEST-double
if kernel_takes_dots; then
	create_raw '..' TEST-dots
	create_raw '.' TEST-dot
fi
create_raw 'space name' 'TEST uuid with space'
create_raw $'escape\033[31mred\007' TEST-escape
create_raw '$env{PATH}%k$kernel' TEST-substitution
create_raw 'uuid-slash' '../../../rig-escaped'
create_raw 'uuid-newline' $'TEST\nE:INJECTED=yes\nS:../rig-escaped2'
create_raw 'vg-..' "LVM-$(printf '%064d' 1)"
create_raw '..-lv' "LVM-$(printf '%064d' 2)"
create_raw '..-passwd' "LVM-$(printf '%064d' 3)"
create_raw $'vg-l\nv' "LVM-$(printf '%064d' 4)"
create_raw 'crypt' $'CRYPT-LUKS2-\nINJECTED=yes-crypt'
create_raw $'\xff\xfe' $'TEST-\xff'
create_raw "$(printf 'x%.0s' $(seq 127))" "$(printf 'u%.0s' $(seq 128))"

check() {
	quiesce
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
devices=$(kernel_takes_dots && echo 17 || echo 15)
assert_eq "$devices" "$(find /sys/block -name 'dm-*' | wc -l)" 'devices'
# None of them keeps the others from being shown.
assert_eq "$devices" "$(dmhelper ls --no-headings -o name | wc -l)" 'devices of ls'
longest=$(dmhelper ls --no-headings -o uuid | awk '{ print length }' | sort -n | tail -n 1)
assert_eq 128 "$longest" 'bytes of the longest UUID'
