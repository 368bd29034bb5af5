# dmhelper ls, deps, name and translate on real devices of real tools, compared with what dmsetup, lsblk, findmnt and
# udevadm tell: as root and as an ordinary user. The examples of the man page are run.
# needs: cryptsetup lvm thin_check mkfs.ext4 lsblk findmnt script strace module:dm-crypt module:dm-thin-pool
# timeout: 240

user() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
ls_() { dmhelper ls --no-headings "$@"; }
same() { assert_eq "$(cat "$1")" "$(cat "$2")" "$3"; }

assert_eq '' "$(ls_)" 'without a device'
assert_eq '[]' "$(dmhelper ls --json)"

disk 200M
vgcreate -q vg "$DISK"
lvcreate -q -y -L 24M -n my-data vg
lvcreate -q -y -L 16M -n home vg
lvcreate -q -y --type thin-pool -L 16M -n pool vg
lvcreate -q -y -V 32M --thinpool vg/pool -n thin
lvextend -q -L +8M vg/home # two ranges
printf secret >/run/key
cryptsetup luksFormat -q --type luks2 --uuid aaaaaaaa-1111-1111-1111-111111111111 --pbkdf pbkdf2 \
	--pbkdf-force-iterations 1000 /dev/vg/my-data /run/key
cryptsetup open --key-file /run/key /dev/vg/my-data secret
mkfs.ext4 -q /dev/vg/home
mkdir -p '/run/my home' /run/second
mount /dev/vg/home '/run/my home'
mount --bind '/run/my home' /run/second
mkswap -q /dev/vg/thin
swapon /dev/vg/thin
disk 32M
dmsetup create sleepy --table "0 2048 linear $DISK 2048"
dmsetup suspend sleepy
dmsetup create --notable nothing
dmsetup create inactive --table "0 2048 linear $DISK 4096"
dmsetup reload inactive --table "0 4096 linear $DISK 4096"
dmsetup create ro --readonly --table "0 2048 linear $DISK 8192"
dmsetup create --uuid mpath-3600a0b80000f1 mp --table "0 4096 linear $DISK 16384"
dmsetup create --uuid part1-mpath-3600a0b80000f1 mp-part1 --table "0 2048 linear $(devno mp) 1024"
dmsetup create 'my disk' --table "0 2048 linear $DISK 0"
quiesce
step 'devices of every kind'

# --- every column against an oracle -------------------------------------------------------------------------------
tab=$'\t'
dm() { dmsetup info -c --noheadings --separator "$tab" -o "$1" | sort; }
dm mangled_name,unmangled_name,mangled_uuid,devno,major,minor,open,events,segments,vg_name,lv_name,lv_layer >/run/theirs
ls_ -o name,meant,uuid,devno,major,minor,open,events,segments,vg,lv,layer | sort >/run/ours
same /run/theirs /run/ours 'what dmsetup tells of every device'
assert_eq 15 "$(wc -l </run/ours)" 'number of devices'
dm mangled_name,tables_loaded | tr '[:upper:]' '[:lower:]' | sort >/run/theirs
ls_ -o name,tables | sort >/run/ours
same /run/theirs /run/ours tables
# The rest is sysfs's, where a device without a table is not.
others() { grep -v '^nothing' | sort; }
# (dmsetup fails for all, asked for the kernel's name of one without a table.)
dm mangled_name,read_ahead,readonly,suspended | others | sed 's/Writeable/no/; s/Read-only/yes/; s/Active$/active/; s/Suspended$/suspended/' >/run/theirs
ls_ -o name,read_ahead,read_only,state | others >/run/ours
same /run/theirs /run/ours 'what dmsetup and sysfs tell'
while IFS=$tab read -r name kernel; do assert_eq "$(kernel_name "$name")" "$kernel" "$name"; done < <(ls_ -o name,kernel | others)
assert_eq "nothing$tab$tab$tab${tab}no_table$tab" "$(ls_ -o name,kernel,size,deps,state,mounts --filter name=nothing)"
lsblk -bnro MAJ:MIN,SIZE | grep "^$(devno mp | cut -d: -f1):" | tr ' ' '\t' | sort -u >/run/theirs
ls_ -o devno,size --filter name!=nothing | sort >/run/ours
same /run/theirs /run/ours "lsblk's sizes"
while IFS=$tab read -r number sequence; do assert_eq "$(cat "/sys/dev/block/$number/diskseq")" "$sequence" "$number"; done < <(ls_ -o devno,diskseq --filter name!=nothing)
# dmsetup loses its way among dependencies where a name is mangled; by number it does not.
in_order() { while IFS=$tab read -r one many; do printf '%s\t%s\n' "$one" "$(tr ', ' '\n\n' <<<"$many" | sed '/^$/d' | sort -V | paste -sd,)"; done | sort; }
dm devno,devnos_used | in_order >/run/theirs
dm devno,devnos_using_dev | in_order >/run/theirs-reverse
for one in theirs theirs-reverse; do grep -v "^$(dmsetup info -c --noheadings -o devno nothing)$tab" "/run/$one" >/run/x && mv /run/x "/run/$one"; done
of_json='/^    "devno"/ { gsub(/[",]/, "", $2); device = $2; list[device] = "" } /^        "devno"/ { gsub(/[",]/, "", $2); list[device] = list[device] "," $2 } END { for (device in list) print device "\t" list[device] }'
dmhelper ls --json -o devno,deps --filter name!=nothing | awk "$of_json" | in_order >/run/ours
same /run/theirs /run/ours dependencies
dmhelper ls --json -o devno,dependants --filter name!=nothing | awk "$of_json" | in_order >/run/ours
same /run/theirs-reverse /run/ours dependants
while IFS=$tab read -r number links; do
	assert_eq "$(udevadm info -q symlink "/dev/block/$number" | tr ' ' '\n' | sed '/./s/^/\/dev\//' | sort | paste -sd,)" "$links" "links of $number"
done < <(ls_ -o devno,links --filter name!=nothing)
assert_eq '/run/my home,/run/second' "$(ls_ -o mounts --filter name=vg-home)"
assert_eq '[swap]' "$(ls_ -o mounts --filter name=vg-thin)"
assert_eq 'vg-home vg-thin' "$(ls_ -o name --filter mounts!= | paste -sd' ')"
assert_eq 'linear crypt thin-pool' "$(ls_ -o targets --filter name=vg-home) $(ls_ -o targets --filter name=secret) $(ls_ -o targets --filter name=vg-pool-tpool)"
assert_eq 'LVM cryptsetup multipath kpartx ' "$(for name in vg-home secret mp mp-part1 ro; do ls_ -o subsystem --filter "name=$name"; done | paste -sd' ')"
assert_eq no "$(ls_ -o udev --filter name=nothing)"

fits() { if [ "$(LC_ALL=C.UTF-8 wc -L)" -le "$1" ]; then echo yes; fi; }

# --- chosen, sorted, cut ------------------------------------------------------------------------------------------
assert_eq sleepy "$(ls_ -o name --filter state=suspended)"
assert_eq 'vg-home,vg-pool,vg-pool_tdata' "$(ls_ -o name --sort -size,name --filter 'size>=16M' --filter size!=32M --filter 'name=vg-*' --filter targets=linear --filter subsystem=LVM --filter name!=vg-my--data | paste -sd,)"
assert_eq "$(dm mangled_name)" "$(ls_ -o name)" 'by name'
status=0
dmhelper ls -o nope >/run/out 2>/run/line || status=$?
assert_eq '2 0 1' "$status $(wc -c </run/out) $(grep -c 'there are name, meant' /run/line)"
for width in 20 40 80 200; do
	LC_ALL=C.UTF-8 on_terminal "$width" 'dmhelper ls' >/run/out
	assert_eq yes "$(grep -v '^dmhelper: ' /run/out | fits "$width")" "lines fit $width"
	assert_eq 15 "$(grep -cE '^(vg-|secret|sleepy|nothing|inactive|ro|mp|my)' /run/out)" "devices at $width"
done
assert_eq '/run/my home,/run/second' "$(grep -o '/run/my.*' /run/out)" 'whole at 200 columns'
(set +e; dmhelper ls -o all; echo "$?" >/run/status) 2>/run/line | head -n 1 >/run/out
assert_eq '0' "$(wc -c </run/line)" 'nobody is told of a closed pipe'

# --- one query for the list, few descriptors ----------------------------------------------------------------------
traced() { strace -f -o /run/trace -e trace=ioctl,openat,open dmhelper ls "$@" >/dev/null; }
# One query tells a device's state and what it uses, and whose number it is. What files tell of a number has to be
# confirmed by one more at the end: between list and look it may have become another device's.
queries() { grep -c 'DM_DEV_STATUS\|DM_TABLE' /run/trace || :; }
traced
assert_eq 1 "$(grep -c 'DM_LIST_DEVICES' /run/trace)" 'queries for the list'
assert_eq 15 "$(grep -c '/size"' /run/trace)" 'files of sysfs: sizes'
assert_eq 16 "$(queries)" 'queries for devices, with the usual columns: one more for a table that is not in force yet'
traced -o name,uuid,devno,events,subsystem,vg,mounts
assert_eq 0 "$(queries)" 'queries where the list tells all'
traced -o name,links,udev
assert_eq 15 "$(queries)" 'queries after records'
traced -o name,open,segments,tables
assert_eq 16 "$(queries)" 'queries with columns that need one: again one more'
assert_eq '' "$(awk -F' = ' '/open/ && $NF + 0 > 8' /run/trace)" 'descriptors past 8'
assert_eq '' "$(grep -E '"/dev/(dm-|mapper/[^c])' /run/trace || :)" 'block devices opened'

# --- an ordinary user, and records that cannot be read -------------------------------------------------------------
dmhelper ls --no-headings -o name,uuid,devno,size,state,read_only,subsystem,deps,dependants,links,mounts --filter name!=nothing >/run/theirs
user dmhelper ls --no-headings -o name,uuid,devno,size,state,read_only,subsystem,deps,dependants,links,mounts >/run/ours 2>/run/line
same /run/theirs /run/ours 'what everybody sees'
assert_eq 'dmhelper: ls: root would also see devices without a table' "$(cat /run/line)"
assert_eq '' "$(user dmhelper ls --no-headings -o open 2>/run/line | tr -d '\n')"
assert_eq 'dmhelper: ls: root would also see open, devices without a table' "$(cat /run/line)"
chmod 0 "/run/udev/data/b$(devno ro)" "/run/udev/data/b$(devno mp)"
assert_eq '|' "$(user dmhelper ls --no-headings -o links --filter 'name=ro' 2>/run/line)|" 'links that cannot be read'
assert_eq 2 "$(wc -l </run/line)"
assert_eq 1 "$(grep -c "ls: read /run/udev/data/b.*: permission denied; and 1 more" /run/line)"
chmod 644 "/run/udev/data/b$(devno ro)" "/run/udev/data/b$(devno mp)"
# A record of another device that had the number before.
cp "/run/udev/data/b$(devno mp)" /run/kept
sed -i 's/^E:DM_UUID=.*/E:DM_UUID=OTHER-1/' "/run/udev/data/b$(devno mp)"
assert_eq "${tab}no" "$(ls_ -o links,udev --filter name=mp)"
cp /run/kept "/run/udev/data/b$(devno mp)"

# What a table is made of that waits for a resume is in use as well, and sysfs says so.
dmsetup reload mp-part1 --table "0 2048 linear $DISK 20480"
assert_eq "$(for one in /sys/dev/block/"$(devno mp-part1)"/slaves/*; do dmhelper name "${one##*/}" 2>/run/line || echo "${one##*/}"; done | sort | paste -sd,)" \
	"$(ls_ -o deps --filter name=mp-part1 | tr , '\n' | sort | paste -sd,)" 'devices of both tables'
assert_eq "$(user dmhelper ls --no-headings -o deps --filter name=mp-part1 2>/run/line)" "$(ls_ -o deps --filter name=mp-part1)" 'the same for everybody'
assert_eq 2 "$(dmhelper deps --no-headings mp-part1 | wc -l)"
dmsetup clear mp-part1
assert_eq 1 "$(dmhelper deps --no-headings mp-part1 | wc -l)"

# --- deps ---------------------------------------------------------------------------------------------------------
disk=$(basename "$(losetup -a | head -n 1 | cut -d: -f1)")
assert_eq "DEVICE${tab}USES${tab}DEVNO${tab}LINK" "$(dmhelper deps vg-home | head -n 1)"
assert_eq "secret${tab}vg-my--data$tab$(devno vg-my--data)$tab/dev/mapper/vg-my--data" "$(dmhelper deps --no-headings secret)"
assert_eq "$(lsblk -nro NAME "/dev/$disk" --inverse | wc -l) 1" "1 $(dmhelper deps --no-headings vg-home | wc -l)"
assert_eq "$(dmsetup deps -o blkdevname vg-home | sed 's/.*(\(.*\))/\1/')" "$(dmhelper deps --no-headings "$(devno vg-home)" | cut -f2)"
assert_eq 'vg-pool_tdata vg-pool_tmeta' "$(dmhelper deps --no-headings "/dev/$(kernel_name vg-pool-tpool)" | cut -f2 | sort | paste -sd' ')"
assert_eq 'mp-part1' "$(dmhelper deps --no-headings --reverse "$(kernel_name mp)" | cut -f2)"
dmhelper deps --reverse mp-part1 >/run/out 2>/run/line
assert_eq '0 dmhelper: deps: mp-part1: no device uses it' "$(wc -c </run/out) $(cat /run/line)"
status=0
dmhelper deps mp-part1 no-such /dev/null >/run/out 2>/run/line || status=$?
assert_eq '3 2 2' "$status $(wc -l </run/out) $(wc -l </run/line)" 'one of three is found'
assert_eq "$(dmsetup deps -o devno | grep -o '([0-9]*, [0-9]*)' | wc -l)" "$(dmhelper deps --no-headings | wc -l)" 'all pairs'

# --- name, translate ----------------------------------------------------------------------------------------------
for word in "$(kernel_name secret)" "$(devno secret)" "/dev/$(kernel_name secret)" /dev/mapper/secret secret \
	CRYPT-LUKS2-aaaaaaaa111111111111111111111111-secret; do
	assert_eq secret "$(dmhelper name "$word")" "the name of $word"
	assert_eq secret "$(user dmhelper name "$word")" "the name of $word, for everybody"
done
assert_eq $'my\\x20disk\nvg-home' "$(dmhelper name 'my disk' vg-home)"
status=0
dmhelper name mp dm-999 "$disk" ro >/run/out 2>/run/line || status=$?
assert_eq "3 mp,ro 2" "$status $(paste -sd, /run/out) $(wc -l </run/line)"
log() {
	printf 'EXT4-fs (%s): mounted; 12:%s %s.service x%s /sys/block/%s/ro\n' "$1" "$2" "$1" "$1" "$1"
	printf 'device-mapper: thin: %s: low\tdev /dev/%s, %s.\0\xff \e[1m%s\e[0m' "$2" "$1" "$2" "$1"
}
log "$(kernel_name secret)" "$(devno secret)" | dmhelper translate >/run/ours
{
	printf 'EXT4-fs (secret): mounted; 12:%s %s.service x%s /sys/block/%s/ro\n' "$(devno secret)" "$(kernel_name secret)" "$(kernel_name secret)" "$(kernel_name secret)"
	printf 'device-mapper: thin: secret: low\tdev /dev/mapper/secret, secret.\0\xff \e[1msecret\e[0m'
} >/run/theirs
assert_eq "$(od -c /run/theirs)" "$(od -c /run/ours)" 'a log'
# Devices that come while a log is followed have their names too, and none keeps another's.
mkfifo /run/log
dmhelper translate </run/log >/run/ours &
translator=$!
exec 8>/run/log
number=$(devno mp-part1)
echo "$number" >&8
wait_until 10 grep -q '^mp-part1$' /run/ours
dmsetup rename mp-part1 renamed
quiesce
sleep 1.2
echo "$number" >&8
wait_until 10 grep -q '^renamed$' /run/ours
exec 8>&-
wait_for_job "$translator"
dmsetup rename renamed mp-part1

# --- a name made to do harm -----------------------------------------------------------------------------------------
evil=$'a\tb\n\e[31mowned\e]0;x\a'"'"'$(id) ..'
dmsetup --manglename none --verifyudev create --noudevsync "$evil" --table "0 8 linear $DISK 32792"
quiesce
for words in 'ls -o all' 'ls --json -o all' 'deps' 'deps --json' "deps --reverse --json /dev/$disk"; do
	# shellcheck disable=SC2086
	assert_eq '' "$(dmhelper $words | tr -d '\n\t -~')" "control characters of $words"
done
# shellcheck disable=SC2016
assert_eq 'a\x09b\x0a\x1b[31mowned\x1b]0;x\x07\x27$(id) ..' "$(ls_ -o name --filter 'name=a*')"
assert_eq 1 "$(dmhelper ls --no-headings -o name,meant --filter 'name=a*' | awk -F'\t' 'NF == 2' | wc -l)"
dmsetup --manglename none remove --noudevsync "$evil"

# --- devices that come and go while they are listed -----------------------------------------------------------------
(while [ ! -e /run/enough ]; do
	dmsetup create --noudevsync passing --table "0 8 linear $DISK 32800" && dmsetup remove --noudevsync passing || :
done) >/dev/null 2>&1 &
coming=$!
for _ in $(seq 40); do
	ls_ -o name,size,open,deps --filter name=passing >/run/out 2>/run/line
	assert_eq '' "$(grep -vE "^passing$tab(4096$tab[0-9]$tab[a-z0-9]+|0?$tab[0-9]?$tab)\$" /run/out || :)" 'a passing device'
	assert_eq '' "$(cat /run/line)"
done
touch /run/enough
wait_for_job "$coming"
dmsetup remove --noudevsync passing 2>/run/line || :

# --- the examples of the man page -----------------------------------------------------------------------------------
sed -n '/^.Sh EXAMPLES/,/^.Sh SEE/s/^.Dl //p' /usr/share/man/man8/dmhelper-ls.8 >/run/examples
assert_eq 6 "$(wc -l </run/examples)" examples
while read -r example; do
	bash -o pipefail -c "$example" >/run/out 2>/run/line </dev/null || fail "$example: $(cat /run/line)"
	assert_eq yes "$([ -s /run/out ] && echo yes)" "$example prints something"
done </run/examples
swapoff /dev/vg/thin
umount /run/second '/run/my home'
