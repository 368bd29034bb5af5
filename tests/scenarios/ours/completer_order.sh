# The order of the resident completer's steps, at its start and at its end, and how long its end may take: where another order
# would complete an event twice or never, it is held between two steps while that event comes.
# needs: strace
# timeout: 300
disk 64M
table="0 2048 linear $DISK 4096"
. /rig/completer.sh
echo 'KERNEL=="dm-*", ENV{DM_COOKIE}=="?*", TEST=="/run/slow-late", RUN+="/bin/sleep 30"' >/etc/udev/rules.d/99-late.rules
reload_rules
# told_to_end: it has been told, and nothing is left to it any more.
told_to_end() {
	kill -TERM "$completer"
	wait_until 20 test ! -e /run/dmhelper/completer
}

say 'first the token, then the number of the last event that cannot have found it'
dmsetup create a --table "$table"
cookie=$(dmsetup udevcreatecookie)
dmhelper cookie inc "$cookie"
strace -o /run/trace -e trace=/^rename -e inject=/^rename:delay_enter=15000000 \
	dmhelper listen --complete-only --pid-file /run/completer.pid 2>/run/words &
tracer=$!
wait_until 20 test -L /run/dmhelper/.completer # the next step is to rename it
# In between an event whose process is run, and ends; then its worker is held.
touch /run/slow-late
dmsetup --udevcookie "$cookie" rename a b
wait_until 12 pgrep -f '^/bin/sleep 30'
rm /run/slow-late
assert_fails test -e /run/dmhelper/completer
assert_eq 1 "$(missing)" 'missing when the process has ended'
wait_until 30 test -s /run/completer.pid
completer=$(</run/completer.pid)
timeout 20 dmsetup create other --table "0 8 linear $DISK 8" # from here on the rules are known to heed the token
kill_worker
settle
told_to_end
wait_for_job "$tracer"
told 'listen: 1 cookies completed, 0 of failed events'
assert_eq 1 "$(missing)" 'missing after the worker was killed'
dmhelper cookie complete "$cookie"
dmhelper cookie release "$cookie"
udevadm trigger --settle "/sys/dev/block/$(devno b)"
dmsetup remove other

say 'first whether udevd is idle, then what it has sent on'
start_completer
begin run dmsetup rename b a
# Each look into its socket lasts: what comes then is there only at the next one.
strace -p "$completer" -o /run/trace -e trace=recvmsg -e inject=recvmsg:delay_exit=3000000 2>/run/strace &
wait_until 20 grep -q attached /run/strace
told_to_end
sleep 1
wake
ended
wait_for_job "$completer"
told 'listen: 1 cookies completed'
assert_no_link /run/dmhelper/completer

say 'a udevd that is idle is not all: another was killed, and its worker goes on'
start_completer
kill -KILL "$completer"
wait "$completer" || :
start_completer # it looks for what that one may have lost
begin run dmsetup rename a b
kill -KILL "$(cat /run/rig-udevd.pid)"
start_udevd
udevadm trigger --settle "/sys/block/${DISK#/dev/}" # what the one that was killed has said of its queue is gone
sleep 16
assert_eq 1 "$(missing)" 'missing while the worker has it in hand'
told_to_end
sleep 2
wake
ended
wait_for_job "$completer"
told 'listen: 1 cookies completed, 0 of failed events, 0 of lost events'
assert_no_link /run/dmhelper/completer

say 'an event that takes longer than a minute is left to the next one'
start_completer
begin run dmsetup rename b a
pkill -STOP -f '^/bin/sleep 30'
before=$SECONDS
told_to_end
completer_gone() { ! kill -0 "$completer" 2>/dev/null; }
wait_until 90 completer_gone
assert_eq yes "$([ $((SECONDS - before)) -ge 59 ] && echo yes)" "a minute ($((SECONDS - before)) s)"
told 'udevd still works on events after 60 s; nobody completes their cookies'
assert_eq withdrawn "$(readlink /run/dmhelper/completer)" 'the trace'
start_completer
pkill -KILL -f '^/bin/sleep 30'
ended
stop_completer
told 'listen: 1 cookies completed, 0 of failed events, 0 of lost events'

dmsetup remove a
step 'the end'
