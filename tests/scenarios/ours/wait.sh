# dmhelper wait: every condition reached and missed, with the reason, before and after a device exists, across renames,
# under a udevd that is slow, stopped or gone; and that it sleeps while it waits.
# needs: lvm
# timeout: 300
disk 64M
mkdir /run/w
table() { echo "0 2048 linear $DISK $((4096 * $1))"; }

# misses REASON ARGUMENTS...: the time runs out, and one line says why.
misses() {
	local reason=$1 status=0
	shift
	dmhelper wait "$@" >/run/w/missed 2>&1 || status=$?
	assert_eq "5 dmhelper: wait for $reason" "$status $(</run/w/missed)" "wait $*"
}
# waiting ARGUMENTS...: in the background, once it sleeps; $job.
waiting() {
	dmhelper wait --timeout 60s "$@" >/run/w/out 2>/run/w/line &
	job=$!
	wait_until 20 asleep "$job"
}
asleep() { grep -qs 'State:.S' "/proc/$1/status" && [ -n "$(find "/proc/$1/fd" -lname '*inotify*' -o -lname '*/mapper/control')" ]; }
switches() { sed -n 's/^voluntary_ctxt_switches:\t*//p' "/proc/$1/status"; }
still_waits() {
	rig_assertions=$((rig_assertions + 1))
	kill -0 "$job" 2>/dev/null || fail "it does not wait any more: $(</run/w/line)"
}
done_now() { wait_for_job "$job"; assert_eq '' "$(</run/w/line)" 'messages'; }
slow_udevd() { # every event of a device takes five seconds
	echo 'KERNEL=="dm-*", TEST=="/run/w/slow", PROGRAM="/bin/sleep 5"' >/etc/udev/rules.d/05-slow.rules
	reload_rules
	touch /run/w/slow
}

say 'before it exists; usable is more than created'
misses 'one: timed out after 0s: no such device yet' --timeout 0 one
misses '/dev/mapper/one: timed out after 300ms: no such device yet' --timeout 300ms /dev/mapper/one
waiting one
before=$(switches "$job")
sleep 2
assert_eq "$before" "$(switches "$job")" 'wake-ups while nothing happens'
dmsetup create one --table "$(table 1)"
done_now
assert_link /dev/mapper/one one
assert_prop one DM_NAME one
dmhelper wait --timeout 0 one "$(devno one)" /dev/mapper/one "/dev/$(kernel_name one)"
dmhelper wait --timeout 0 --for settled one

say 'present, which has no event of its own, active, and gone'
waiting --for present nothing
dmsetup create --notable nothing
done_now
misses 'nothing: timed out after 0s: the device has no table yet' --timeout 0 --for active nothing
waiting --for active nothing
dmsetup load nothing --table "$(table 2)"
quiesce
still_waits
dmsetup resume nothing
done_now
dmsetup suspend nothing
misses 'nothing: timed out after 0s: the device is suspended' --timeout 0 nothing
waiting --for active nothing
dmsetup resume nothing
done_now
exec 9</dev/mapper/nothing
misses "nothing: timed out after 100ms: it is still there, as $(devno nothing), open once" --timeout 100ms --for gone nothing
exec 9<&-
waiting --for gone nothing
dmsetup remove nothing
done_now
dmhelper wait --timeout 0 --for gone nothing never-there
dmsetup create --notable bare
waiting --for gone bare
dmsetup remove bare
done_now

say 'gone, though another one takes its place at once'
waiting --for gone one
kill -STOP "$job"
dmsetup remove one
dmsetup create one --table "$(table 1)"
kill -CONT "$job"
done_now

say 'renamed while it is waited for by UUID, not by name'
dmsetup create first --uuid TEST-1 --table "$(table 3)"
dmsetup suspend first
waiting TEST-1
dmsetup rename first second
quiesce
still_waits
dmsetup resume second
done_now
misses 'first: timed out after 0s: no such device yet' --timeout 0 first
dmhelper wait --timeout 0 --for gone first

say 'a link that is missing, wrong, or under a directory of its own'
rm /dev/mapper/second
misses 'second: timed out after 0s: the device is active but its link /dev/mapper/second is missing' --timeout 0 second
waiting second
udevadm trigger --settle --name-match="/dev/$(kernel_name second)"
done_now
ln -sfn "../$(kernel_name one)" /dev/mapper/second
misses "second: timed out after 0s: the device is active but its link /dev/mapper/second leads to $(devno one), not to $(devno second)" --timeout 0 second
ln -sfn "../$(kernel_name second)" /dev/mapper/second
dmsetup remove one
dmsetup remove second
waiting /dev/vg/lv
vgcreate -q vg "$DISK"
lvcreate -y -q -Zn -Wn -n lv -l 3 vg
done_now
assert_link /dev/vg/lv vg-lv
rm /dev/vg/lv
misses '/dev/vg/lv: timed out after 0s: the path leads to no device-mapper device yet' --timeout 0 /dev/vg/lv
vgremove -q -y -f vg
quiesce

say 'several, all of them or any'
dmsetup create a --table "$(table 4)"
misses 'b: timed out after 0s: no such device yet' --timeout 0 a b
waiting a b c
dmsetup create b --table "$(table 5)"
quiesce
still_waits
dmsetup create c --table "$(table 6)"
done_now
assert_eq '' "$(</run/w/out)" 'nothing is printed for all'
waiting --any e d
dmsetup create d --table "$(table 7)"
done_now
assert_eq d "$(</run/w/out)" 'which one'
status=0
dmhelper wait --timeout 0 --any e f 2>/run/w/line || status=$?
assert_eq "5 2" "$status $(grep -c 'no such device yet' /run/w/line)" 'a line for each'

say 'udevd is slow: usable and settled wait for it, active does not'
slow_udevd
dmsetup create --noudevsync slow --table "$(table 8)"
dmhelper wait --timeout 0 --for active slow
misses 'slow: timed out after 1s: the device is active but udev has not processed it: it has events left, perhaps of this device' --timeout 1s slow
dmsetup suspend slow
dmhelper wait --timeout 500ms --for settled slow 2>/run/w/line || status=$?
assert_eq 1 "$(grep -c 'udev has not processed all its events: ' /run/w/line)" "$(</run/w/line)"
waiting --for settled slow
dmsetup resume --noudevsync slow
wait_until 10 asleep "$job"
misses 'slow: timed out after 1s: the device is active but udev has not processed it: it has events left, perhaps of this device' --timeout 1s slow
still_waits
done_now
rm /run/w/slow
dmhelper wait slow
assert_prop slow DM_NAME slow
assert_link /dev/mapper/slow slow

say 'the cookie of an event that udev has not reached yet counts'
touch /run/w/slow
dmsetup suspend slow
dmsetup resume slow &
resume=$!
wait_until 10 cookie_waited_for
status=0
dmhelper wait --timeout 500ms slow 2>/run/w/line || status=$?
assert_eq 1 "$(grep -c 'is active but cookie 0x0d4d[0-9a-f]*, perhaps its own, waits for 1 notification$' /run/w/line)" "$(</run/w/line)"
dmhelper wait slow
assert_no_cookies
wait_for_job "$resume"
rm /run/w/slow

say 'one event more while it is waited for is named'
waiting later
touch /run/w/slow
dmsetup create --noudevsync later --table "$(table 9)"
dmhelper wait --timeout 30s --for active later
misses_queued() {
	dmhelper wait --timeout "$1" later 2>/run/w/queued &
	local waiter=$!
	wait_until 10 asleep "$waiter"
	dmsetup suspend later
	dmsetup resume --noudevsync later
	wait "$waiter" || :
}
rm /run/w/slow
done_now
quiesce
touch /run/w/slow
dmsetup suspend later
misses_queued 2s
assert_eq 'dmhelper: wait for later: timed out after 2s: the device is active but udev has not processed it: 1 event queued' "$(</run/w/queued)"
rm /run/w/slow
quiesce

say 'udevd is stopped'
pkill -STOP -x systemd-udevd
dmsetup create --noudevsync stopped --table "$(table 10)"
status=0
misses 'stopped: timed out after 300ms: the device is active but udev has not processed it: udevd is stopped' --timeout 300ms stopped
waiting stopped
sleep 0.5
still_waits
pkill -CONT -x systemd-udevd
done_now
assert_link /dev/mapper/stopped stopped

say 'an ordinary user'
user() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
user dmhelper wait --timeout 20s stopped later
user dmhelper wait --timeout 20s --for settled stopped
status=0
user dmhelper wait --for event stopped 2>/run/w/line || status=$?
assert_eq '4 1' "$status $(wc -l </run/w/line)" 'event numbers are for root'

say 'no udevd: refused at once where it is needed'
pkill -KILL -x systemd-udevd
wait_until 20 no_udevd
dmhelper wait --timeout 0 stopped # everything was done before
for condition in usable settled; do
	status=0
	dmhelper wait --for "$condition" --timeout infinity never 2>/run/w/line || status=$?
	assert_eq '6 dmhelper: wait for never: udevd is not running, nothing will complete this' "$status $(sed 's/;.*//' /run/w/line)" "$condition"
done
misses 'never: timed out after 100ms: no such device yet' --timeout 100ms --for present never
waiting --without-udevd bynobody
dmsetup create --noudevsync --verifyudev bynobody --table "$(table 11)"
quiet_link() { [ -e /dev/mapper/bynobody ] || ln -s "../$(kernel_name bynobody)" /dev/mapper/bynobody; }
quiet_link
done_now
start_udevd
replay change

say 'words that cannot be understood'
dmsetup create TEST-1 --table "$(table 12)" || :
dmsetup create --uuid TEST-9 TEST-2 --table "$(table 13)"
dmsetup create --uuid TEST-2 other --table "$(table 14)"
for words in '' '--all --any x' '--for nonsense x' '--timeout soon x' '--devno x' '--name --uuid x' '--without-udevd --for settled x' \
	'/dev/null' 'TEST-2' '9999:0'; do
	status=0
	# shellcheck disable=SC2086
	timeout 20 dmhelper wait $words 2>/run/w/line || status=$?
	assert_eq '2 1' "$status $(wc -l </run/w/line)" "wait $words: $(</run/w/line)"
done
dmhelper wait --uuid TEST-2
step 'the end'
assert_no_cookies
