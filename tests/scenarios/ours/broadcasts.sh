# What udevd sends on to everybody of an event with a cookie, for every way in which the event can end. The resident completer
# rests on it: docs/resident-completion.md. (That an event which waits in a
# socket that systemd keeps is processed by the next udevd: completer_systemd.sh.)
# timeout: 240
disk 64M
table="0 2048 linear $DISK 4096"
echo 'KERNEL=="dm-*", ENV{DM_COOKIE}=="?*", TEST=="/run/leave", ENV{RIG_MARK}="$env{SEQNUM}"' >/etc/udev/rules.d/04-mark.rules
. /rig/completer.sh
touch /run/leave
udevadm monitor --udev --property --subsystem-match=block >/run/told 2>&1 &
monitor=$!
wait_until 20 grep -q '^UDEV - ' /run/told
seen=0
# messages: those with a cookie since the last case.
messages() { tail -n "+$((seen + 1))" /run/told | tr -d '\0' | awk 'BEGIN { RS = ""; ORS = "\n\n" } /\nDM_COOKIE=/'; }
count_is() { [ "$(messages | grep -c '^SEQNUM=' || :)" = "$1" ]; }
# told COUNT [LINE...]: so many messages came, and the last has each of these lines, or, after a `!`, has not.
told() {
	local line
	wait_until 20 count_is "$1"
	if pgrep -x systemd-udevd >/dev/null; then settle; fi
	sleep 0.5
	messages
	assert_eq "$1" "$(messages | grep -c '^SEQNUM=' || :)" 'messages'
	messages | awk 'BEGIN { RS = "" } { last = $0 } END { print last }' >/run/last
	for line in "${@:2}"; do
		if [ "${line#!}" = "$line" ]; then grep -q -- "^$line" /run/last || fail "no $line"; else assert_fails grep -q -- "^${line#!}" /run/last; fi
	done
	seen=$(wc -l </run/told)
}
# let_go: a cookie that nobody completes any more.
let_go() {
	wait_until 60 reapable
	dmhelper cookie reap --yes
	wait_for_job "$tool"
}

say 'all is well: once, with what the rules have set, after the programs have run, the links and the record are made'
dmsetup create a --table "$table"
told 1 'ACTION=change' 'RIG_MARK=' 'DM_UDEV_RULES_VSN=3' '!UDEV_WORKER_FAILED'
begin run dmsetup rename a b
assert_link /dev/mapper/b b
assert_prop b RIG_MARK "$(</sys/kernel/uevent_seqnum)"
sleep 1
assert_eq 0 "$(messages | grep -c . || :)" 'messages while programs run'
wake
wait_for_job "$tool"
told 1 'ACTION=change' 'DM_NAME=b' "RIG_MARK=$(</sys/kernel/uevent_seqnum)"

say 'programs fail: the same'
touch /run/failing
dmsetup rename b a
rm /run/failing
told 1 'RIG_MARK=' '!UDEV_WORKER_FAILED'

say 'a removal: the same; what the database holds comes back with it, an older mark too'
rm /run/leave
dmsetup remove a
told 1 'ACTION=remove' 'RIG_MARK=' 'DM_NAME=a'
assert_fails grep -q "^RIG_MARK=$(sed -n 's/^SEQNUM=//p' /run/last)" /run/last
touch /run/leave
dmsetup create a --table "$table"
told 1

say 'the worker is killed, in the rules or while programs run: as it came from the kernel, and its record is gone'
for kind in rules run; do
	record=/run/udev/data/b$(devno a)
	assert_eq yes "$([ -e "$record" ] && echo yes)" 'there is a record'
	begin "$kind" dmsetup rename a b
	kill_worker
	told 1 'UDEV_WORKER_FAILED=1' 'UDEV_WORKER_SIGNAL=9' 'DM_COOKIE=' '!RIG_MARK' '!DM_NAME' '!DM_UDEV_RULES_VSN'
	assert_fails test -e "$record"
	let_go
	dmsetup rename b a
	told 1
done

say 'udevd dies: its worker goes on and tells; from 262 on it waits for the dead to watch the device, and tells of a removal alone'
begin run dmsetup rename a b
kill -KILL "$(cat /run/rig-udevd.pid)"
wait_until 20 test "$(pgrep -c -x systemd-udevd || :)" -le 1
wake
wait_for_job "$tool"
assert_link /dev/mapper/b b
if [ "$(udev_version)" -lt 262 ]; then
	told 1 'RIG_MARK=' '!UDEV_WORKER_FAILED'
else
	told 0
	waiting=$(pgrep -x '\(udev-worker\)')
	expect_line 'SigBlk:.*2..$' "$(cat "/proc/$waiting/status")"
	start_udevd
	begin run dmsetup remove b
	pkill -KILL -x systemd-udevd
	wake
	wait_for_job "$tool"
	told 1 'ACTION=remove' '!UDEV_WORKER_FAILED'
	assert_eq "$waiting" "$(pgrep -x '\(udev-worker\)')" 'who waits still'
	start_udevd
	dmsetup create b --table "$table"
	told 1
	stop_udevd
fi
wait_until 20 no_udevd

say 'it dies with its worker: nobody tells'
start_udevd
begin run dmsetup rename b a
worker=$(ps -o ppid= -p "$(pgrep -f '^/bin/sleep 30')" | tr -d ' ')
kill -KILL "$(pgrep -x systemd-udevd)" "$worker"
wake
wait_until 20 no_udevd
start_udevd
told 0
let_go

say 'it ends in order: what it has in hand is told, what waits behind that is not'
cookie=$(dmsetup udevcreatecookie)
begin run dmsetup --udevcookie "$cookie" rename a b
wait_for_job "$tool" # it does not wait for a cookie that is not its own
dmsetup --udevcookie "$cookie" rename b a
udevadm control --exit &
sleep 1
wake
wait_until 20 no_udevd
told 1 'DM_NAME=b' 'RIG_MARK='
assert_eq 1 "$(dmhelper cookie list --json | grep -c '"missing": 1,')" 'one notification is missing'
dmhelper cookie complete "$cookie"
dmhelper cookie release "$cookie"

say 'an event takes too long: as if the worker were killed; in later versions the worker ends it, without the programs that are left'
/usr/lib/systemd/systemd-udevd --daemon --event-timeout=3
again udevadm control --ping --timeout=20
begin run dmsetup rename a b
if [ "$(udev_version)" -lt 257 ]; then
	told 1 'UDEV_WORKER_FAILED=1' 'UDEV_WORKER_SIGNAL=9' '!RIG_MARK'
else
	told 1 'DM_NAME=b' 'RIG_MARK=' '!UDEV_WORKER_FAILED'
	assert_link /dev/mapper/b b
fi
wake
# The program that completes the cookie is skipped if no time is left for it.
if cookie_waited_for; then let_go; else wait_for_job "$tool"; fi
stop_udevd
start_udevd

kill "$monitor"
dmsetup remove b
assert_no_cookies
step 'the end'
