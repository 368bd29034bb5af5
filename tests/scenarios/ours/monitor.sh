# dmhelper monitor beside the real tools: every event in words, by name, in lines and in JSON, as many as udevadm counts.
# needs: lvm perl module:dm-multipath module:dm-round-robin
# timeout: 240
disk 64M
volumes=$DISK
disk 64M
mkdir /run/m
modprobe -a dm-multipath dm-round-robin

# started COMMAND...: a monitor in the background, once it has subscribed; its process is in $job.
started() {
	"$@" &
	job=$!
	# shellcheck disable=SC2016 # for the other shell
	wait_until 20 bash -c 'for fd in /proc/"$1"/fd/*; do readlink "$fd"; done | grep -q mapper/control' bash "$job"
	sleep 0.3
}
ended() { kill -TERM "$1" && wait_for_job "$1"; }
# said FILE PATTERN: exactly one line of the text says so.
said() { assert_eq 1 "$(grep -c -- "$2" "$1")" "lines like '$2'"; }
# object PATTERN...: the only line of JSON that has all of these.
object() {
	local lines pattern
	lines=$(cat /run/m/json)
	for pattern; do lines=$(grep -F -- "$pattern" <<<"$lines" || :); done
	rig_assertions=$((rig_assertions + 1))
	if [ -z "$lines" ] || [ "$(wc -l <<<"$lines")" -ne 1 ]; then fail "not one object with $*: $lines"; fi
	printf '%s\n' "$lines"
}
value() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" <<<"$2"; }

started dmhelper monitor >/run/m/text 2>/run/m/text.err; text=$job
started dmhelper monitor --json >/run/m/json 2>/run/m/json.err; json=$job
started dmhelper monitor --kernel >/run/m/kernel 2>/run/m/kernel.err; kernel=$job
started dmhelper monitor --udev >/run/m/udev 2>/run/m/udev.err; udev=$job
started dmhelper monitor --kernel later UUID-of-another >/run/m/chosen 2>/run/m/chosen.err; chosen=$job
udevadm monitor --kernel --udev --subsystem-match=block >/run/m/udevadm &
udevadm=$!
wait_until 20 grep -q KERNEL /run/m/udevadm

dmsetup create one --table "0 2048 linear $DISK 4096"
quiesce
one=$(devno one)
dmsetup rename one two
dmsetup suspend two
dmsetup reload two --table "0 4096 linear $DISK 4096"
dmsetup resume two
quiesce
dmsetup suspend two
dmsetup rename two later
quiesce
dmsetup resume later
quiesce
udevadm trigger --action=add --name-match=/dev/mapper/later
settle
udevadm trigger --settle --name-match=/dev/mapper/later
echo written >/dev/mapper/later
quiesce
dmsetup suspend later
dmsetup reload later --readonly --table "0 4096 linear $DISK 4096"
dmsetup resume later
quiesce
dmsetup rename later last
quiesce
dmsetup remove last
quiesce
dmsetup create another --uuid UUID-of-another --table "0 8 linear $DISK 8"
path=$(cat "/sys/block/${DISK#/dev/}/dev")
other=$(cat "/sys/block/${volumes#/dev/}/dev")
dmsetup create paths --table "0 2048 multipath 0 0 2 1 round-robin 0 1 1 $path 1 round-robin 0 1 1 $other 1"
quiesce
dmsetup message paths 0 "fail_path $path"
dmsetup message paths 0 "reinstate_path $path"
quiesce
dmsetup remove paths
vgcreate -q vg "$volumes"
lvcreate -y -q -Zn -Wn -n lv -l 3 vg
lvcreate -y -q -s -n snap -l 3 vg/lv
vgremove -q -y -f vg
dmsetup remove another
quiesce

for process in $text $json $kernel $udev $chosen; do ended "$process"; done
kill "$udevadm"
wait "$udevadm" || :
cat /run/m/text

# --- in words -----------------------------------------------------------------------------------------------------
said /run/m/text "kernel add    one          $one   created, without a table yet\$"
said /run/m/text "kernel change one          $one   activated, cookie 0x0d4d[0-9a-f]*\$"
said /run/m/text "udev   change one          $one   activated, [0-9.]* ms after the kernel\$"
said /run/m/text "kernel change two          $one   renamed from one to two, cookie"
said /run/m/text "kernel change two          $one   resumed with another size, cookie"
said /run/m/text "kernel change later        $one   renamed from two to later, suspended, cookie"
said /run/m/text "kernel add    later        $one   coldplugged\$"
said /run/m/text "kernel change later        $one   changed (asked for)\$"
said /run/m/text "kernel change later        $one   became read-only\$"
said /run/m/text "kernel remove last         $one   removed, cookie"
said /run/m/text "kernel remove last         $one   removed, its disk too\$"
said /run/m/text "udev   remove last         $one   removed, its disk too, "
said /run/m/text "kernel change paths  .* path $path failed, 1 left\$"
said /run/m/text "kernel change paths  .* path $path reinstated, 2 left\$"
said /run/m/text 'kernel change vg-snap-cow .*the rules of its subsystem are off, no /dev/disk links'
assert_eq '' "$(grep -w 'dm-[0-9]*' /run/m/text || :)" "the kernel's internal name"
assert_eq '' "$(grep '^[^ ]* [^ ]* *[^ ]* *- ' /run/m/text || :)" 'lines without a name'
assert_eq '' "$(grep -v '^[012][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9][0-9][0-9] ' /run/m/text || :)" 'lines without a time'

# --- as many as udevadm counts --------------------------------------------------------------------------------------
count() { grep -c "^$1 .*/dm-[0-9]* (block)" /run/m/udevadm; }
assert_eq "$(count KERNEL.*)" "$(grep -c ' kernel ' /run/m/text)" 'kernel events'
assert_eq "$(count UDEV.*)" "$(grep -c ' udev ' /run/m/text)" 'udev events'
assert_eq "$(wc -l </run/m/text)" "$(wc -l </run/m/json)" 'events in JSON'
assert_eq "$(grep ' kernel ' /run/m/text | cut -c 14-)" "$(cut -c 14- /run/m/kernel)" '--kernel'
assert_eq "$(grep -c ' udev ' /run/m/text)" "$(grep -c ' udev ' /run/m/udev)" '--udev'
assert_eq "$(wc -l </run/m/udev)" "$(grep -c ' after the kernel' /run/m/udev)" 'latencies with --udev alone'
rig_assertions=$((rig_assertions + 1))
grep -q 'udev   change one .* after the kernel, cookie 0x0d4d' /run/m/udev || fail 'no cookie with --udev alone'
events=$(wc -l </run/m/text)
assert_eq "dmhelper: monitor: $events events, 0 datagrams dropped, 0 overruns, at most 0 lost" "$(</run/m/text.err)" 'the last words'

# --- those that were asked for ---------------------------------------------------------------------------------------
assert_eq 0 "$(grep -c ' one \| vg-\| paths ' /run/m/chosen || :)" 'devices that were not asked for'
said /run/m/chosen 'renamed from two to later'
said /run/m/chosen 'renamed from later to last' # still the same device
said /run/m/chosen 'last .* removed, its disk too'
said /run/m/chosen 'another .* activated'

# --- JSON ------------------------------------------------------------------------------------------------------------
assert_eq '' "$(grep -v '^{"time_usec":[0-9]*,"source":"\(kernel\|udev\)",.*}$' /run/m/json || :)" 'lines that are no objects'
found=$(object '"source":"kernel"' '"event":"renamed"' '"name":"two"')
assert_eq one "$(value renamed_from "$found")"
assert_eq "$one" "$(value devno "$found")"
assert_eq null "$(value latency_usec "$found")"
seqnum=$(value seqnum "$found")
found=$(object '"source":"udev"' "\"seqnum\":$seqnum,")
assert_eq renamed "$(value event "$found")"
assert_eq 1 "$(($(value latency_usec "$found") > 0))" 'a latency'
found=$(object '"source":"kernel"' '"event":"path_failed"')
assert_eq "$path 1" "$(value path "$found") $(value paths_left "$found")"
found=$(object '"source":"kernel"' '"event":"activated"' '"name":"another"')
assert_eq UUID-of-another "$(value uuid "$found")"
assert_eq 1 "$(grep -c '"flags":\["[^]]*DM_UDEV_PRIMARY_SOURCE_FLAG' <<<"$found")" 'flags'
count_keys() { grep -o '"[a-z_]*":' | sort -u | wc -l; }
assert_eq 18 "$(count_keys </run/m/json)" 'keys'
assert_eq "$(wc -l </run/m/json)" "$(grep -c '"time_usec":.*"source":.*"action":.*"seqnum":.*"name":.*"uuid":.*"devno":.*"diskseq":.*"event":.*"text":.*"suspended":.*"renamed_from":.*"path":.*"paths_left":.*"cookie":.*"flags":.*"latency_usec":.*"lost":' /run/m/json)" 'all keys, always'

# --- a terminal gets colours, unless it must not ----------------------------------------------------------------------
mountpoint -q /dev/pts || { mkdir -p /dev/pts && mount -t devpts devpts /dev/pts; }
[ -e /dev/ptmx ] || ln -s pts/ptmx /dev/ptmx
dmsetup create shown --table "0 8 linear $DISK 8"
cat >/run/m/terminal.pl <<'PERL'
	# Runs a command whose standard output is a terminal, and copies what it writes. TIOCSPTLCK, TIOCGPTN.
	open(my $master, "+<", "/dev/ptmx") or die "ptmx: $!";
	my $number = pack "i", 0;
	ioctl($master, 0x40045431, $number) && ioctl($master, 0x80045430, $number) or die "pty: $!";
	if (!fork) {
		open(STDOUT, ">", "/dev/pts/" . unpack "i", $number) or die "pts: $!";
		exec @ARGV or die "exec: $!";
	}
	while (sysread $master, my $text, 4096) { syswrite STDOUT, $text }
PERL
colours() { # colours HOW_OFTEN ASSIGNMENT...
	local expected=$1
	shift
	env -u NO_COLOR TERM=xterm "$@" perl /run/m/terminal.pl dmhelper monitor --kernel shown >/run/m/terminal &
	job=$!
	wait_until 20 pgrep -x dmhelper
	sleep 0.5
	echo change >"/sys/block/$(kernel_name shown)/uevent"
	wait_until 10 grep -q 'changed' /run/m/terminal
	pkill -TERM -x dmhelper
	wait_for_job "$job"
	assert_eq "$expected" "$(grep -c $'\e\\[1mshown\e\\[0m' /run/m/terminal || :)" "colours with $*"
}
colours 1
colours 1 NO_COLOR=
colours 0 NO_COLOR=1
colours 0 TERM=dumb
colours 0 TERM=
quiesce

echo "rig: --- its end"
# --- its end ----------------------------------------------------------------------------------------------------------
for signal in INT HUP; do
	started dmhelper monitor 2>"/run/m/end.$signal"
	kill "-$signal" "$job"
	wait_for_job "$job"
	assert_eq 'dmhelper: monitor: 0 events, 0 datagrams dropped, 0 overruns, at most 0 lost' "$(<"/run/m/end.$signal")" "SIG$signal"
done
{ timeout 30 dmhelper monitor --kernel 2>/run/m/end.pipe; echo $? >/run/m/status; } | head -n 1 >/run/m/first &
job=$!
wait_until 20 pgrep -x dmhelper
sleep 0.5
echo change >"/sys/block/$(kernel_name shown)/uevent"
wait_for_job "$job"
wait_until 10 test -s /run/m/status # without another event: the closed pipe itself ends it
assert_eq '0 dmhelper: monitor: 1 event, 0 datagrams dropped, 0 overruns, at most 0 lost' "$(</run/m/status) $(</run/m/end.pipe)" 'a closed pipe'
quiesce

# A reader who does not read: the monitor still ends when it is told to.
mkfifo /run/m/fifo
sleep 60 </run/m/fifo &
reader=$!
dmhelper monitor --kernel --json >/run/m/fifo 2>/run/m/end.full &
job=$!
sleep 0.5
shown=$(kernel_name shown)
for _ in $(seq 250); do echo change >"/sys/block/$shown/uevent"; done # more than the 64 KiB that a pipe takes
kill -TERM "$job"
wait_for_job "$job"
assert_eq 1 "$(grep -c 'dmhelper: monitor: 250 events, ' /run/m/end.full)" "$(</run/m/end.full)"
kill "$reader"
settle

# An ordinary user sees the same, by sysfs.
setpriv --reuid=nobody --regid=nogroup --clear-groups dmhelper monitor --kernel >/run/m/user 2>/run/m/user.err &
job=$!
sleep 0.5
dmsetup rename shown seen
quiesce
ended "$job"
said /run/m/user 'renamed from shown to seen, cookie'
dmsetup remove seen

status=0
dmhelper monitor --queue 1G 2>/run/m/line || status=$?
assert_eq '2 1' "$status $(wc -l </run/m/line)" 'a bad option'
step 'the end'
