# dmhelper tree on a stack of every kind: drawn once, with the right edges, states in words and colours, as text, JSON and
# for Graphviz, compared with what dmsetup and lsblk tell. The examples of the man page are run.
# needs: cryptsetup lvm thin_check mkfs.ext4 lsblk script dot sfdisk module:dm-crypt module:dm-thin-pool module:dm-raid module:dm-multipath module:dm-round-robin module:dm-snapshot
# timeout: 240

user() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
assert_eq 'no device-mapper devices' "$(dmhelper tree)"
assert_eq '[]' "$(dmhelper tree --json)"

modprobe -a dm-multipath dm-round-robin
truncate -s 200M /var/lib/rig/parts
printf 'label: gpt\nsize=20M\nsize=150M\n' | sfdisk -q /var/lib/rig/parts
parts=$(losetup --find --show --partscan /var/lib/rig/parts)
quiesce
disk 120M
vgcreate -q vg "${parts}p2" "$DISK"
lvcreate -q -y -L 16M -n home vg "${parts}p2"
lvcreate -q -y --type raid1 -m 1 -L 8M -n mirror vg
lvcreate -q -y --type thin-pool -L 16M -n pool vg
lvcreate -q -y -V 24M --thinpool vg/pool -n data
lvcreate -q -y -V 24M --thinpool vg/pool -n logs
printf secret >/run/key
cryptsetup luksFormat -q --type luks1 --uuid aaaaaaaa-1111-1111-1111-111111111111 --pbkdf-force-iterations 1000 /dev/vg/home /run/key
cryptsetup open --key-file /run/key /dev/vg/home home
mkfs.ext4 -q /dev/mapper/home
mkfs.ext4 -q /dev/vg/data
mkdir -p /run/home /run/data
mount /dev/mapper/home /run/home
mount -o ro /dev/vg/data /run/data
mkswap -q /dev/vg/mirror
swapon /dev/vg/mirror
truncate -s 32M /var/lib/rig/path
first=$(losetup --find --show /var/lib/rig/path)
second=$(losetup --find --show /var/lib/rig/path)
number() { cat "/sys/class/block/${1##*/}/dev"; }
dmsetup create --uuid mpath-3600a0b80000f1 mpatha \
	--table "0 65536 multipath 0 0 2 1 round-robin 0 1 1 $(number "$first") 1 round-robin 0 1 1 $(number "$second") 1"
dmsetup message mpatha 0 "fail_path $(number "$second")"
dmsetup create --uuid part1-mpath-3600a0b80000f1 mpatha-part1 --table "0 2048 linear $(devno mpatha) 1024"
dmsetup create sleepy --table "0 2048 linear $(devno mpatha) 8192"
dmsetup suspend sleepy
dmsetup create --notable nothing
dmsetup create --readonly ro --table "0 2048 linear $(devno mpatha) 16384"
quiesce
step 'a stack of every kind'

# --- every edge, and every device once ------------------------------------------------------------------------------
dmsetup info -c --noheadings --separator ' ' -o devno,devnos_used | sed 's/,/ /g' |
	awk '{ for (at = 2; at <= NF; at++) print $1 " " $at } NF == 1 { print $1 " -" }' | sort -u >/run/theirs
echo "$(number "${parts}p2") $(number "$parts")" | sort -u - /run/theirs -o /run/theirs
dmhelper tree --json >/run/json
edges='/^    "devno"/ { gsub(/[",]/, ""); upper = $2; lower = "" } /^    "below": \[\]/ { if (major[upper]) print upper " -" }
	/^    "below": \[$/ { inside = 1; next } /^    \]/ { inside = 0 } inside { gsub(/[", ]/, ""); print upper " " $0 }
	/^    "device_mapper": true/ { major[upper] = 1 }'
awk "$edges" /run/json | sort -u >/run/ours
assert_eq "$(cat /run/theirs)" "$(cat /run/ours)" 'edges, as dmsetup and the partition tell'
dmhelper tree >/run/text
for name in $(dmsetup info -c --noheadings -o mangled_name); do
	assert_eq 1 "$(sed 's/^[^[:alnum:]]*//' /run/text | awk -v name="$name" '$1 == name && !/ as above/' | wc -l)" "times that $name is drawn"
done
lines() { awk '!/as above/ && NR > 1' "$1" | sed 's/^[^[:alnum:]]*//; s/ .*//' | sort; }
dmhelper tree --reverse >/run/reverse
assert_eq "$(lines /run/text)" "$(lines /run/reverse)" 'devices from above and from below'
assert_eq '' "$(grep -w 'dm-[0-9]*' /run/text || :)" "the kernel's internal name"
# One device: what lsblk shows from it down and up.
assert_eq "$( (lsblk -nrso KNAME /dev/mapper/home; lsblk -nro KNAME /dev/mapper/home) | sort -u)" \
	"$(dmhelper tree --json home | sed -n 's/^    "kernel": "\(.*\)",/\1/p' | sort -u)"
assert_eq "$(lsblk -nro KNAME "${parts}p2" | sort -u | wc -l)" \
	"$(dmhelper tree --json --  "${parts}p2" | awk '/"kernel"/' | grep -vc "\"${parts##*/}\"")"

# --- the words ------------------------------------------------------------------------------------------------------
row() { sed 's/^[^[:alnum:]]*//' "${2:-/run/text}" | awk -v name="$1" '$1 == name && !/as above/' | tr -s ' '; }
assert_eq "home $(devno home) $(lsblk -nro SIZE /dev/mapper/home | sed 's/M/ MiB/; s/\.0 / /') LUKS1 /run/home (ext4)" "$(row home)"
assert_eq "vg-home $(devno vg-home) 16 MiB LVM" "$(row vg-home)"
assert_eq "vg-data $(devno vg-data) 24 MiB LVM, thin /run/data (ext4, read-only)" "$(row vg-data)"
assert_eq "vg-mirror $(devno vg-mirror) 8 MiB LVM, raid1 [swap]" "$(row vg-mirror | sed 's/raid1, re[a-z]* [0-9]* %/raid1/')"
assert_eq 'private LVM, thin-pool, full, metadata' "$(row vg-pool-tpool | sed 's/.*private/private/; s/ [0-9]* %//g')"
assert_eq "mpatha $(devno mpatha) 32 MiB 1 failed multipath, 2 paths" "$(row mpatha)"
assert_eq "${second##*/} $(number "$second") 32 MiB failed path loop, /var/lib/rig/path" "$(row "${second##*/}")"
assert_eq "mpatha-part1 $(devno mpatha-part1) 1 MiB partition 1 by kpartx" "$(row mpatha-part1)"
assert_eq "sleepy $(devno sleepy) 1 MiB suspended linear" "$(row sleepy)"
assert_eq "nothing $(dmsetup info -c --noheadings -o devno nothing) no table" "$(row nothing)"
assert_eq "ro $(devno ro) 1 MiB read-only linear" "$(row ro)"
assert_eq "${parts##*/}p2 $(number "${parts}p2") 150 MiB partition" "$(row "${parts##*/}p2")"

# --- a terminal -----------------------------------------------------------------------------------------------------
for width in 20 40 80 200; do
	LC_ALL=C.UTF-8 on_terminal "$width" 'dmhelper tree' >/run/out
	assert_eq yes "$([ "$(LC_ALL=C.UTF-8 wc -L </run/out)" -le "$width" ] && echo yes)" "lines fit $width"
	assert_eq "$(wc -l </run/text)" "$(wc -l </run/out)" "lines at $width"
done
assert_eq '' "$(tr -d '\n -~' </run/text)" 'ASCII in this locale'
LC_ALL=C.UTF-8 dmhelper tree >/run/out
assert_eq yes "$(grep -q '└─' /run/out && echo yes)" 'lines in a UTF-8 locale'
escape=$'\e'
TERM=xterm on_terminal 120 'dmhelper tree' | grep -v 'as above' >/run/out
for coloured in "33m.*sleepy" "31m.*mpatha " "31m.*${second##*/} " "36m.*ro " "2m.*nothing" "2m.*vg-pool-tpool"; do
	assert_eq 1 "$(grep -c "^$escape\\[$coloured" /run/out)" "$coloured"
done
assert_eq '' "$(NO_COLOR=1 TERM=xterm on_terminal 120 'dmhelper tree' | grep "$escape" || :)" 'colours, though none are wanted'

# For the eye, in the log.
LC_ALL=C.UTF-8 on_terminal 80 'dmhelper tree; dmhelper ls'
LC_ALL=C.UTF-8 on_terminal 200 'dmhelper tree; dmhelper ls; dmhelper deps'
dmhelper tree --dot

# --- for Graphviz ---------------------------------------------------------------------------------------------------
dmhelper tree --dot >/run/dot
dot -Tsvg -o /run/svg /run/dot 2>/run/line
assert_eq '' "$(cat /run/line)" 'what Graphviz has to say'
assert_eq "$(awk '$2 != "-"' /run/theirs | wc -l)" "$(grep -c '^	"[0-9:]*" -> "[0-9:]*"' /run/dot)" edges
assert_eq "$(grep -c '"devno"' /run/json)" "$(grep -c 'label=<' /run/dot)" devices
evil=$'a"]\n<b>&\\N{|}\e[31m'
dmsetup --manglename none --verifyudev create --noudevsync "$evil" --table "0 8 linear $DISK 65536"
quiesce
dmhelper tree --dot | dot -Tsvg -o /run/svg 2>/run/line
assert_eq '' "$(cat /run/line)" 'what Graphviz has to say about a hostile name'
assert_eq '' "$(dmhelper tree | tr -d '\n -~')" 'control characters'
dmsetup --manglename none remove --noudevsync "$evil"

# --- an ordinary user, wrong words, a closed pipe -------------------------------------------------------------------
user dmhelper tree >/run/out 2>/run/line
assert_eq 'dmhelper: tree: root would also see failed paths, fill levels, and devices without a table' "$(cat /run/line)"
assert_eq "sleepy $(devno sleepy) 1 MiB suspended" "$(row sleepy /run/out)"
assert_eq "$(lines /run/text | grep -v nothing)" "$(lines /run/out)" 'devices that everybody sees'
status=0
dmhelper tree home nope /dev/null >/run/out 2>/run/line || status=$?
assert_eq '3 2' "$status $(wc -l </run/line)"
assert_eq yes "$(grep -q 'vg-home' /run/out && echo yes)" 'what was found is shown'
status=0
dmhelper tree --dot --json 2>/run/line || status=$?
assert_eq 2 "$status"
(set +e; dmhelper tree; :) 2>/run/line | head -n 1 >/run/out
assert_eq '' "$(cat /run/line)" 'nobody is told of a closed pipe'

# --- the examples of the man page -----------------------------------------------------------------------------------
sed -n '/^.Sh EXAMPLES/,/^.Sh SEE/s/^.Dl //p' /usr/share/man/man8/dmhelper-tree.8 >/run/examples
assert_eq 4 "$(wc -l </run/examples)" examples
cd /run
while read -r example; do
	bash -o pipefail -c "$example" >/run/out 2>/run/line </dev/null || fail "$example: $(cat /run/line)"
	assert_eq yes "$([ -s /run/out ] || [ -s /run/stack.svg ] && echo yes)" "$example prints something"
done </run/examples
dmsetup resume sleepy
swapoff /dev/vg/mirror
umount /run/home /run/data
