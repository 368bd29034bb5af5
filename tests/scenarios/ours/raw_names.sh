# Raw names, which no library has mangled: each gives one link, the same for the rules, `listen`, `doctor`, `--fix` and `explain`.
# needs: perl
# timeout: 300
disk 160M
long=$(printf 'x%.0s' $(seq 126))
# name, and what udev makes of it: nothing, where nothing could be linked
expected=(
	'my disk' my_disk
	'a  b   c' a_b_c
	' lead' lead
	'trail  ' trail
	$'new\nline' 'new\x0aline'
	$'end of line\n' 'end_of_line\x0a'
	$'tab\tx' 'tab\x09x'
	$'\rcr\v\f' '\x0dcr\x0b\x0c'
	"quo'te" 'quo\x27te'
	'dou"ble' dou_ble
	'literal\x20blank' 'literal\x20blank'
	'back\slash' back_slash
	'bad\xzz' 'bad\xzz'
	$'\xff\xfe' '\xff\xfe'
	'größe' 'größe'
	$'\xc2\xa0nbsp' $'\xc2\xa0nbsp'
	$'\xef\xbf\xbe' '\xef\xbf\xbe'
	$'\xc2\x85c1' '\xc2\x85c1'
	'$env{PATH}%k' _env_PATH__k
	'#hash' '#hash'
	'50%' 50_
	'semi;a,b&c' semi_a_b_c
	'til~de' til_de
	'. x' ._x
	' ' ''
	'. ' ''
	' ..' ''
	"$(printf '\377%.0s' $(seq 127))" ''
	"$long " "$long"
)
if kernel_takes_dots; then expected+=('..' '' '.' ''); fi
make_all() {
	local i
	for ((i = 0; i < ${#expected[@]}; i += 2)); do create_raw "${expected[i]}" "TEST-$i"; done
	# Groups and volumes: blanks within, and around what would lead elsewhere.
	create_raw 'vg  x-l v' "LVM-$(printf '%064d' 1)"
	create_raw '.. -passwd' "LVM-$(printf '%064d' 2)"
	create_raw 'vg- ..' "LVM-$(printf '%064d' 3)"
	create_raw ' -lv' "LVM-$(printf '%064d' 4)"
	create_raw uuid $'  TEST  with \'blanks\'\n and a line '
	quiesce
}
want() {
	local i
	for ((i = 0; i < ${#expected[@]}; i += 2)); do
		printf '/dev/disk/by-id/dm-uuid-TEST-%s\n' "$i"
		[ -z "${expected[i + 1]}" ] || printf '/dev/%s\n' "mapper/${expected[i + 1]}" "disk/by-id/dm-name-${expected[i + 1]}"
	done
	cat <<-'LINKS'
		/dev/mapper/vg_x-l_v
		/dev/vg_x/l_v
		/dev/disk/by-id/dm-name-vg_x-l_v
		/dev/disk/by-id/dm-uuid-LVM-0000000000000000000000000000000000000000000000000000000000000001
		/dev/mapper/.._-passwd
		/dev/mapper/vg-_..
		/dev/mapper/-lv
		/dev/mapper/uuid
		/dev/disk/by-id/dm-name-uuid
		/dev/disk/by-id/dm-uuid-TEST_with_\x27blanks\x27\x0a_and_a_line
	LINKS
}
links() { find /dev -type l -lname '*dm-[0-9]*' -not -path '/dev/block/*' -not -path '/dev/disk/by-diskseq/*' -printf "$1" | sort; }
are_expected() { assert_eq '' "$(want | sort | diff - <(links '%p\n') || :)" "links $1"; }
are_the_same() { assert_eq '' "$(links '%p -> %l\n' | diff /run/by-rules - || :)" "links $1"; }
# Of the devices without a link of their name doctor has nothing to say either.
is_content() { assert_eq "all is well: $(find /sys/block -name 'dm-*' | wc -l) devices" "$(dmhelper doctor)" "doctor $1"; }

# The kernel's own node has that name already, and outlives the device.
control_stays() {
	if kernel_takes_dots; then # and this
		dmsetup create control --table '0 8 error'
		assert_eq 'character special file' "$(stat -c %F /dev/mapper/control)" 'the control node'
		assert_link /dev/disk/by-id/dm-name-control control
		assert_eq 'all is well: 1 device' "$(dmhelper doctor)" 'doctor of a device named control'
		dmsetup remove control
		quiesce
		assert_eq 'character special file' "$(stat -c %F /dev/mapper/control)" 'the control node, afterwards'
	fi
}
control_stays
make_all
are_expected 'made'
links '%p -> %l\n' >/run/by-rules
is_content 'of what the rules made'
expect_line 'my disk (' "$(dmhelper explain /dev/mapper/my_disk)"
expect_line "quo.x27te (" "$(dmhelper explain '/dev/disk/by-id/dm-name-quo\x27te')"
replay change
are_the_same 'after a spurious change'
replay add
are_the_same 'after a coldplug'

say 'doctor makes the links of names again'
rm -f /dev/mapper/[!c]* /dev/mapper/.[!.]* /dev/mapper/..?*
dmhelper doctor || :
dmhelper doctor --fix --yes || :
are_the_same 'as doctor makes them'
is_content 'of what it made'

say 'the same by listen'
stop_udevd
rm -f /run/udev/control
find /dev -type l -lname '*dm-[0-9]*' -not -path '/dev/block/*' -delete
rm -rf /run/udev/data
dmhelper listen --claim-udev --pid-file /run/listen.pid &
wait_until 20 test -s /run/listen.pid
are_the_same 'as listen makes them at its start'
dmsetup remove_all
wait_until 20 test ! -e /dev/mapper/uuid
assert_eq '' "$(links '%p\n')" 'links that outlived their devices'
control_stays
rig_raw=0
make_all
are_expected 'as listen makes them for events'
replay change
are_expected 'by listen after a spurious change'
is_content 'of what listen made'
dmsetup remove_all
kill -TERM "$(cat /run/listen.pid)"
wait_until 20 test ! -e /run/listen.pid
