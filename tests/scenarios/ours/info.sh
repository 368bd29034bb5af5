# dmhelper info on real devices of real tools, compared with what dmsetup, lsblk and udevadm tell: as root and as an
# ordinary user, for people and as JSON.
# needs: cryptsetup lvm thin_check mkfs.ext4 lsblk module:dm-crypt module:dm-thin-pool module:dm-snapshot
# timeout: 240

user() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
json() { dmhelper info --json --devno "$1" >/run/json; }

# The value of a top-level key of the one object in /run/json, as JSON; strings without quotes and escapes.
key() {
	sed -n "s/^    \"$1\": \(.*\)$/\1/p" /run/json | sed 's/,$//; s/^"\(.*\)"$/\1/; s/\\\\/\\/g'
}

# The values of a key of the objects in a top-level array, sorted and separated by commas.
each() {
	awk -v array="$1" -v key="$2" '
		index($0, "    \"" array "\": [") == 1 && !/\],?$/ { inside = 1 }
		/^    \]/ { inside = 0 }
		inside && $1 == "\"" key "\":" { sub(/^[^:]*: /, ""); gsub(/^"|"?,?$/, ""); print }' /run/json | sort -V | paste -sd,
}

# What dmsetup tells: one field of one device, by its number.
told() { dmsetup info -c --noheadings -o "$2" -j "${1%:*}" -m "${1#*:}"; }
# dmsetup knows the users of a device only when it looks at all devices.
users_of() { dmsetup info -c --noheadings --separator ' ' -o devno,devnos_using_dev | awk -v devno="$1" '$1 == devno { print $2 }' | sorted; }
sorted() { tr ',' '\n' | sort -V | paste -sd,; }

# expect_json DEVNO: every fact of the object in /run/json is what the oracles tell.
expect_json() {
	local state
	assert_eq "$(told "$1" mangled_name)" "$(key name)" "$1: name"
	assert_eq "$(told "$1" unmangled_name)" "$(key name_unmangled)" "$1: name_unmangled"
	assert_eq "$(told "$1" mangled_uuid)" "$(key uuid | sed 's/^null$//')" "$1: uuid"
	assert_eq "$1" "$(key devno)" "$1: devno"
	assert_eq "$(told "$1" devnos_used | sorted)" "$(each dependencies devno)" "$1: dependencies"
	assert_eq "$(users_of "$1")" "$(each dependants devno)" "$1: dependants"
	assert_eq "$(told "$1" readonly)" "$(key read_only | sed 's/true/Read-only/; s/false/Writeable/')" "$1: read_only"
	case $(told "$1" suspended)-$(told "$1" tables_loaded) in
	Suspended-*) state=suspended ;;
	*-Live | *-Both) state=active ;;
	*) state=no_table ;;
	esac
	assert_eq "$state" "$(key state)" "$1: state"
	if [ -e "/sys/dev/block/$1" ]; then
		assert_eq "$(lsblk -bdno SIZE "/dev/block/$1")" "$(key size_bytes)" "$1: size_bytes"
		udevadm info -q symlink "/dev/block/$1" | tr ' ' '\n' | sed '/./s/^/\/dev\//' | sort >/run/links
		awk '/^      "links": \[$/ { on = 1; next } /^      \]/ { on = 0 } on { gsub(/^ *"|",?$/, ""); print }' /run/json |
			sed 's/\\\\/\\/g' | sort >/run/ours
		assert_eq "$(cat /run/links)" "$(cat /run/ours)" "$1: links"
	fi
}

# Facts that only root learns.
expect_root_json() {
	assert_eq "$(told "$1" open)" "$(key open_count)" "$1: open_count"
	assert_eq "$(told "$1" events)" "$(key event_number)" "$1: event_number"
	case $(told "$1" tables_loaded) in
	Live) assert_eq 'true false' "$(key live_table) $(key inactive_table)" "$1: tables" ;;
	Both) assert_eq 'true true' "$(key live_table) $(key inactive_table)" "$1: tables" ;;
	Inactive) assert_eq 'false true' "$(key live_table) $(key inactive_table)" "$1: tables" ;;
	*) assert_eq 'false false' "$(key live_table) $(key inactive_table)" "$1: tables" ;;
	esac
	dmsetup table -j "${1%:*}" -m "${1#*:}" | awk 'NF { print $1 }' | sort -V | paste -sd, >/run/starts
	dmsetup table -j "${1%:*}" -m "${1#*:}" | awk 'NF { print $3 }' | sort -V | paste -sd, >/run/kinds
	assert_eq "$(cat /run/starts)" "$(each targets start_sector)" "$1: start of each target"
	assert_eq "$(cat /run/kinds)" "$(each targets type)" "$1: type of each target"
	assert_eq '[]' "$(key needs_root)" "$1: needs_root"
}

# row LABEL: the rows of a label in /run/text, the following lines without a label included.
row() { awk -v label="$1" '/^[^ ]/ { on = index($0, label) == 1 && substr($0, length(label) + 1, 1) == " " } on { print substr($0, 13) }' /run/text; }

# exits STATUS COMMAND...: the exit status, nothing on stdout, and one line on stderr, which goes to /run/line.
exits() {
	local want=$1 status=0
	shift
	"$@" >/run/out 2>/run/line || status=$?
	assert_eq "$want" "$status" "status of: $*"
	assert_eq '' "$(cat /run/out)" "output of: $*"
	assert_eq 1 "$(wc -l </run/line)" "lines on stderr of: $*"
}

# --- the devices -------------------------------------------------------------------------------------------------
exits 3 dmhelper info no-such-device
assert_eq 'no device-mapper devices' "$(dmhelper info)"
assert_eq '[]' "$(dmhelper info --json)"

disk 200M
vgcreate -q vg "$DISK"
lvcreate -q -y -L 16M -n my-data vg
lvcreate -q -y --type thin-pool -L 16M -n pool vg
lvcreate -q -y -V 32M --thinpool vg/pool -n thin
lvcreate -q -y -L 8M -n orig vg
lvcreate -q -y -s -L 4M -n snap vg/orig
lvextend -q -L +8M vg/my-data # two ranges
printf secret >/run/key
cryptsetup luksFormat -q --type luks2 --uuid aaaaaaaa-1111-1111-1111-111111111111 --pbkdf pbkdf2 \
	--pbkdf-force-iterations 1000 /dev/vg/my-data /run/key
cryptsetup open --key-file /run/key /dev/vg/my-data secret
mkfs.ext4 -q -L home /dev/mapper/secret
disk 32M
dmsetup create sleepy --table "0 2048 linear $DISK 2048"
dmsetup suspend sleepy
dmsetup create --notable nothing
dmsetup create inactive --table "0 2048 linear $DISK 4096"
dmsetup reload inactive --table "0 4096 linear $DISK 4096"
dmsetup create ro --readonly --table "0 2048 linear $DISK 8192"
dmsetup create held --table "0 2048 linear $DISK 12288"
exec 9</dev/mapper/held
dmsetup remove --deferred held
dmsetup create --uuid mpath-3600a0b80000f1 mp --table "0 4096 linear $DISK 16384"
dmsetup create --uuid part1-mpath-3600a0b80000f1 mp-part1 --table "0 2048 linear $(devno mp) 1024"
step 'devices of every kind'

# --- as root, every device against the oracles -------------------------------------------------------------------
numbers=$(dmsetup info -c --noheadings -o devno)
assert_eq 18 "$(wc -w <<<"$numbers")" 'number of devices'
assert_eq 18 "$(dmhelper info --json | grep -c '^    "devno": ')" 'objects in the array of all'
assert_eq 18 "$(dmhelper info | grep -c '^Name ')" 'devices shown'
for number in $numbers; do
	json "$number"
	expect_json "$number"
	expect_root_json "$number"
	dmhelper info "$number" >/run/text
	assert_eq '' "$(grep -w 'dm-[0-9]*' /run/text || :)" "$number: the kernel's internal name"
	# A UUID has its own length, everything else fits.
	assert_eq '' "$(grep -v '/dm-uuid-' /run/text | grep -v '^UUID' | awk 'length > 80')" "$number: lines past 80 columns"
done

# --- an ordinary user ----------------------------------------------------------------------------------------------
for number in $numbers; do
	[ -e "/sys/dev/block/$number" ] || continue
	user dmhelper info --json --devno "$number" >/run/json 2>/run/line
	expect_json "$number"
	for unknown in inactive_table deferred_remove internal_suspend open_count event_number targets; do
		assert_eq null "$(key "$unknown")" "$number: $unknown"
		assert_eq 1 "$(grep -c "^      \"$unknown\",\?$" /run/json)" "$number: $unknown in needs_root"
	done
	assert_eq '' "$(cat /run/line)" "$number: JSON says itself what needs root"
done
user dmhelper info secret sleepy >/run/text 2>/run/line
assert_eq 1 "$(grep -c root /run/line)" 'one line says what needs root'
assert_eq $'secret\nsleepy' "$(row Name)"
assert_eq '' "$(row Table)$(row Opened)"
exits 3 user dmhelper info nothing
assert_eq 'devices without a table are shown to root only' "$(sed 's/.*; //' /run/line)"

# --- the words ---------------------------------------------------------------------------------------------------
dmhelper info /dev/vg/my-data >/run/text
assert_eq 'vg-my--data' "$(row Name)"
assert_eq 'LVM, volume my-data in group vg' "$(row Owner)"
assert_eq 'active' "$(row State)"
assert_eq '24 MiB (49152 sectors)' "$(row Size)"
assert_eq 'once' "$(row Opened)"
assert_eq $'linear  sectors     0 to 32767  (16 MiB)\nlinear  sectors 32768 to 49151  (8 MiB)' "$(row Table)"
assert_eq "loop0 ($(cat /sys/block/loop0/dev))" "$(row Uses)"
assert_eq "secret ($(devno secret))" "$(row 'Used by')"
assert_eq 'has processed it' "$(row Udev)"
dmhelper info CRYPT-LUKS2-aaaaaaaa111111111111111111111111-secret >/run/text
assert_eq 'cryptsetup, LUKS2, payload aaaaaaaa-1111-1111-1111-111111111111' "$(row Owner)"
assert_eq "vg-my--data ($(devno vg-my--data))" "$(row Uses)"
assert_eq 'crypt  sectors 0 to 16383  (8 MiB)' "$(row Table)" 'the table, without its key'
dmhelper info vg-pool-tpool >/run/text
assert_eq 'LVM, layer tpool of volume pool in group vg' "$(row Owner)"
dmhelper info mp-part1 >/run/text
assert_eq "kpartx, partition 1 of mp ($(devno mp))" "$(row Owner)"
state_of() { dmhelper info "$1" >/run/text && row State; }
assert_eq 'suspended' "$(state_of sleepy)"
assert_eq 'no table' "$(state_of nothing)"
assert_eq 'active, another table is loaded, waiting for a resume' "$(state_of inactive)"
assert_eq 'active, read-only' "$(state_of ro)"
assert_eq 'active, to be removed when closed' "$(state_of held)"
# Not before: dmsetup itself loses its way among dependencies where a name is mangled.
dmsetup create 'my disk' --table "0 2048 linear $DISK 0"
quiesce
dmhelper info 'my disk' >/run/text
assert_eq 'my\x20disk / my disk' "$(row Name) / $(row 'Meant as')"
dmhelper info --json 'my disk' >/run/json
assert_eq 'my\x20disk / my disk' "$(key name) / $(key name_unmangled)"

# --- found by any identity, or refused -----------------------------------------------------------------------------
for word in "$(devno secret)" secret /dev/mapper/secret /dev/disk/by-label/home /dev/disk/by-id/dm-name-secret \
	"/dev/$(kernel_name secret)" CRYPT-LUKS2-aaaaaaaa111111111111111111111111-secret; do
	dmhelper info --json "$word" >/run/json
	assert_eq secret "$(key name)" "the device that $word means"
done
exits 3 dmhelper info /dev/loop0
assert_eq 'a block device of another kind' "$(grep -o 'a block.*' /run/line)"
exits 3 dmhelper info vg/my-data
assert_eq 'there is a /dev/vg/my-data' "$(sed 's/.*; //' /run/line)"
rm /dev/mapper/ro
exits 3 dmhelper info /dev/mapper/ro
assert_eq 'dmhelper info --name ro' "$(grep -o 'dmhelper info --name.*' /run/line)"
status=0
dmhelper info x sleepy y /dev/null >/run/text 2>/run/line || status=$?
assert_eq '3 sleepy 3' "$status $(row Name) $(wc -l </run/line)" 'one of four is found, three are explained'

dmsetup create --uuid OTHER-1 mpath-3600a0b80000f1 --table "0 8 linear $DISK 32768"
dmsetup --manglename none create "$(devno ro)" --table "0 8 linear $DISK 32776"
dmsetup --manglename none create 'my disk' --table "0 8 linear $DISK 32784"
quiesce
for word in mpath-3600a0b80000f1 "$(devno ro)" 'my disk'; do
	exits 2 dmhelper info "$word"
	assert_eq 1 "$(grep -c 'ambiguous: .*use --name, --uuid or --devno' /run/line)" "what is said of $word"
done
dmhelper info --uuid mpath-3600a0b80000f1 >/run/text
assert_eq mp "$(row Name)"
dmhelper info --name mpath-3600a0b80000f1 >/run/text
assert_eq OTHER-1 "$(row UUID)"
dmhelper info --devno "$(devno ro)" >/run/text
assert_eq ro "$(row Name)"
dmhelper info --name 'my disk' >/run/text
assert_eq 'my disk' "$(row Name)"
dmhelper info --name 'my\x20disk' >/run/text
assert_eq 'my\x20disk' "$(row Name)"

# --- a name made to do harm ----------------------------------------------------------------------------------------
evil=$'a\nState       \e[31mowned\e]0;x\a'"'"$'"\x7f$(id) ..'
dmsetup --manglename none --verifyudev create --noudevsync "$evil" --table "0 8 linear $DISK 32792"
quiesce
printed='a\x0aState       \x1b[31mowned\x1b]0;x\x07\x27"\x7f$(id) ..'
dmhelper info --name "$evil" >/run/text
assert_eq "$printed" "$(row Name)"
assert_eq '' "$(tr -d '\n -~' </run/text)" 'control characters printed'
dmhelper info --name "$printed" >/run/text
assert_eq "$printed" "$(row Name)" 'a name is found as it was printed'
dmhelper info --json --name "$evil" >/run/json
assert_eq '' "$(tr -d '\n -~' </run/json)" 'control characters in JSON'
dmsetup --manglename none remove --noudevsync "$evil"

# --- the block device is never opened: it works without any node ----------------------------------------------------
json "$(devno sleepy)"
cp /run/json /run/before
mkdir /run/nodes
mv /dev/dm-* /run/nodes/
dmhelper info --json --name sleepy >/run/json
assert_eq "$(cat /run/before)" "$(cat /run/json)" 'what is known without nodes'
mv /run/nodes/* /dev/
dmsetup resume sleepy
quiesce
