# dmhelper info on real devices of real tools, compared with what dmsetup, lsblk and udevadm tell: as root and as an
# ordinary user, for people and as JSON.
# needs: cryptsetup lvm thin_check mkfs.ext4 lsblk module:dm-crypt module:dm-thin-pool module:dm-snapshot
# timeout: 240

user() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
# The object that the last `load` read, flat: top-level values by their key, without quotes and escapes; of the objects
# in an array one key each, joined by commas; the links, one a line; the keys that need root.
declare -A fact
# shellcheck disable=SC2016
flatten='
	function clean(text) { sub(/,$/, "", text); gsub(/^"|"$/, "", text); gsub(/\\\\/, "\\", text); return text }
	function add(key, text) { value[key] = value[key] (value[key] == "" ? "" : ",") text }
	/^    "[a-z_]*": / {
		array = substr($1, 2, length($1) - 3)
		text = $0
		sub(/^ *"[a-z_]*": /, "", text)
		value[array] = text ~ /^[\[{]/ ? (text ~ /null/ ? "null" : "") : clean(text)
	}
	/^        "(devno|start_sector)": / && array ~ /^(dependencies|dependants|targets)$/ { add(array, clean($2)) }
	/^        "type": / && array == "targets" { add("types", clean($2)) }
	/^      "[a-z_]*",?$/ && array == "needs_root" { add(array, clean($1)) }
	/^        "\/dev\// && array == "udev" { print "link\t" clean($1) | "sort" }
	END { close("sort"); for (key in value) print key "\t" value[key] }'

# load COMMAND...: runs it and keeps the one object that it prints.
load() {
	local key value
	"$@" >/run/json
	fact=([links]='' [types]='')
	while IFS=$'\t' read -r key value; do
		if [ "$key" = link ]; then fact[links]+="$value "; else fact[$key]=$value; fi
	done < <(awk "$flatten" /run/json)
}

# What the oracles tell of all devices, "DEVNO FIELD" by "DEVNO FIELD".
declare -A oracle
sorted() { if [[ $1 = *,* ]]; then tr ',' '\n' <<<"$1" | sort -V | paste -sd,; else echo "$1"; fi; }
ask_oracles() {
	local devno name unmangled uuid open events ro suspended tables used users start kind rest
	oracle=()
	dmsetup info -c --noheadings --separator '|' -o \
		devno,mangled_name,unmangled_name,mangled_uuid,open,events,readonly,suspended,tables_loaded,devnos_used,devnos_using_dev >/run/dmsetup
	declare -A number
	while IFS='|' read -r devno name unmangled uuid open events ro suspended tables used users; do
		number[$name]=$devno
		oracle[$devno name]=$name
		oracle[$devno name_unmangled]=$unmangled
		oracle[$devno uuid]=${uuid:-null}
		oracle[$devno open_count]=$open
		oracle[$devno event_number]=$events
		case $ro in Read-only) oracle[$devno read_only]=true ;; *) oracle[$devno read_only]=false ;; esac
		case $suspended-$tables in
		Suspended-*) oracle[$devno state]=suspended ;;
		*-Live | *-Both) oracle[$devno state]=active ;;
		*) oracle[$devno state]=no_table ;;
		esac
		case $tables in Live | Both) oracle[$devno live_table]=true ;; *) oracle[$devno live_table]=false ;; esac
		case $tables in Inactive | Both) oracle[$devno inactive_table]=true ;; *) oracle[$devno inactive_table]=false ;; esac
		oracle[$devno dependencies]=$(sorted "$used")
		oracle[$devno dependants]=$(sorted "$users")
		oracle[$devno targets]='' oracle[$devno types]='' oracle[$devno size_bytes]=0
	done </run/dmsetup
	while read -r name start rest kind rest; do
		devno=${number[${name%:}]}
		[ -n "$start" ] || continue # no table
		oracle[$devno targets]+=${oracle[$devno targets]:+,}$start
		oracle[$devno types]+=${oracle[$devno types]:+,}$kind
	done < <(dmsetup table)
	while read -r devno rest; do oracle[$devno size_bytes]=$rest; done < <(lsblk -brno MAJ:MIN,SIZE)
	for devno in "${number[@]}"; do
		oracle[$devno links]='' oracle[$devno diskseq]=null
		[ -e "/run/udev/data/b$devno" ] || continue
		oracle[$devno links]=$(udevadm info -q symlink "/dev/block/$devno" | tr ' ' '\n' | sed '/./s/^/\/dev\//' | sort | tr '\n' ' ')
		oracle[$devno diskseq]=$(udevadm info -q property --property=DISKSEQ --value "/dev/block/$devno")
	done
}

# expect_facts DEVNO KEY...: these facts are what the oracles tell.
expect_facts() {
	local devno=$1 key
	shift
	assert_eq "$devno" "${fact[devno]}" devno
	for key; do assert_eq "${oracle[$devno $key]}" "${fact[$key]}" "$devno: $key"; done
}
for_all='name name_unmangled uuid read_only state diskseq size_bytes dependencies dependants links'
for_root='live_table inactive_table open_count event_number targets types'

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
ask_oracles
mapfile -t numbers < <(cut -d'|' -f1 /run/dmsetup)
assert_eq 18 "${#numbers[@]}" 'number of devices'
assert_eq 18 "$(dmhelper info --json | grep -c '^    "devno": ')" 'objects in the array of all'
for number in "${numbers[@]}"; do
	load dmhelper info --json --devno "$number"
	# shellcheck disable=SC2086
	expect_facts "$number" $for_all $for_root
	assert_eq '' "${fact[needs_root]}" "$number: needs_root"
done
dmhelper info >/run/text
assert_eq 18 "$(grep -c '^Name ' /run/text)" 'devices shown'
assert_eq '' "$(grep -w 'dm-[0-9]*' /run/text || :)" "the kernel's internal name"
# A UUID of LVM has its own length, everything else fits.
assert_eq '' "$(grep -v '/dm-uuid-' /run/text | grep -v '^UUID' | awk 'length > 80')" 'lines past 80 columns'

# --- an ordinary user ----------------------------------------------------------------------------------------------
needs_root=inactive_table,deferred_remove,internal_suspend,open_count,event_number,targets
for number in "${numbers[@]}"; do
	[ -e "/sys/dev/block/$number" ] || continue
	load user dmhelper info --json --devno "$number" 2>/run/line
	# shellcheck disable=SC2086
	expect_facts "$number" $for_all live_table
	assert_eq "$needs_root" "${fact[needs_root]}" "$number: needs_root"
	for key in ${needs_root//,/ }; do assert_eq null "${fact[$key]}" "$number: $key"; done
	assert_eq '' "$(</run/line)" "$number: JSON says itself what needs root"
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
load dmhelper info --json 'my disk'
assert_eq 'my\x20disk / my disk' "${fact[name]} / ${fact[name_unmangled]}"

# --- found by any identity, or refused -----------------------------------------------------------------------------
for word in "$(devno secret)" secret /dev/mapper/secret /dev/disk/by-label/home /dev/disk/by-id/dm-name-secret \
	"/dev/$(kernel_name secret)" CRYPT-LUKS2-aaaaaaaa111111111111111111111111-secret; do
	load dmhelper info --json "$word"
	assert_eq secret "${fact[name]}" "the device that $word means"
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
# shellcheck disable=SC2016
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
dmhelper info --json --name sleepy >/run/before
mkdir /run/nodes
mv /dev/dm-* /run/nodes/
dmhelper info --json --name sleepy >/run/json
assert_eq "$(cat /run/before)" "$(cat /run/json)" 'what is known without nodes'
mv /run/nodes/* /dev/
dmsetup resume sleepy
quiesce
