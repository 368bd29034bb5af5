# The resident completer: no process for a cookie, and every event completed once, however it ends. What each case rests on
# stands in broadcasts.sh.
# needs: perl strace
# udevd: debug
# timeout: 300
disk 64M
table="0 2048 linear $DISK 4096"
. /rig/completer.sh

say 'with none, a process for each event; with one, none'
dmsetup create a --table "$table"
quiesce
node=$(kernel_name a)
assert_eq 2 "$(processes_of "$node" change dmsetup rename a b)" 'processes for a change'
start_completer
assert_eq 1 "$(processes_of "$node" change dmsetup rename b a)" 'processes for a change'
assert_eq "$(</sys/kernel/uevent_seqnum)" "$(prop a DMHELPER_COMPLETE_SEQNUM)" 'the mark'
assert_eq 0 "$(processes_of "$node" remove:2 dmsetup remove a)" 'processes for a removal'
dmsetup create a --table "$table"
touch /run/failing
dmsetup rename a b
rm /run/failing
assert_link /dev/mapper/b b
# A rule behind ours that clears RUN takes a process away, but not a mark.
echo 'KERNEL=="dm-*", RUN:="/bin/true"' >/etc/udev/rules.d/99-clear.rules
reload_rules
timeout 20 dmsetup rename b a
timeout 20 dmsetup rename a b
rm /etc/udev/rules.d/99-clear.rules
reload_rules
assert_watched b yes # no race: the watch stands before the tool goes on
assert_fails dmhelper listen --complete-only
expect_line 'a completer runs already' "$(dmhelper listen --complete-only 2>&1 || :)"

say 'its end: first no event is left to it any more, then it completes those that were'
stop_completer
told 'listen: 6 cookies completed, 0 of failed events, 0 of lost events, 0 datagrams dropped, 0 times overrun'
assert_no_link /run/dmhelper/completer
start_completer
begin run dmsetup rename b a
kill -TERM "$completer"
wait_until 20 test ! -e /run/dmhelper/completer
# The database keeps the mark, and the removal of the device brings it back: it means nothing then.
dmsetup create other --table "0 8 linear $DISK 8"
sleep 1
kill -0 "$completer"
wake
ended
wait_for_job "$completer"
told 'listen: 1 cookies completed'
assert_eq 1 "$(processes_of "$(kernel_name a)" remove:2 dmsetup remove a)" 'processes for a removal'
dmsetup remove other

# follow_advice NAME: the device is as if its worker had not been killed.
follow_advice() {
	$(sed -n 's/.*its links may be missing: //p' /run/words | tail -n 1)
	assert_link "/dev/mapper/$1" "$1"
	assert_prop "$1" DM_UDEV_PRIMARY_SOURCE_FLAG 1
	assert_no_prop "$1" DM_UDEV_DISABLE_OTHER_RULES_FLAG
}

say 'workers are killed'
start_completer
dmsetup create a --table "$table"
begin rules dmsetup rename a b
kill_worker
ended
told "complete cookie 0x.*: the udev worker for 25[0-9]:0 was killed (SIGKILL); its links may be missing: udevadm trigger --settle "
follow_advice b
begin run dmsetup rename b a
kill_worker
ended
follow_advice a
begin run dmsetup remove a
kill_worker
ended
stop_completer
told 'listen: 1 cookies completed, 3 of failed events, 0 of lost events'

say 'a worker is killed when it has told of the event: udevd tells of it again'
dmsetup create a --table "$table"
start_completer
udevadm monitor --udev --property --subsystem-match=block >/run/told &
monitor=$!
dmsetup rename a b
settle
no_worker() { ! pgrep -P "$(cat /run/rig-udevd.pid)" >/dev/null; }
wait_until 20 no_worker # only those that are to come are traced
# strace holds the worker after it has sent; a cookie with one event more shows a second completion.
cookie=$(dmsetup udevcreatecookie)
dmhelper cookie inc "$cookie"
strace -f -o /run/trace -p "$(cat /run/rig-udevd.pid)" -e trace=sendmsg -e inject=sendmsg:delay_exit=4000000 2>/run/strace &
tracer=$!
wait_until 20 grep -q attached /run/strace
dmsetup --udevcookie "$cookie" rename b a
wait_until 20 missing_is 1
pkill -KILL -P "$(cat /run/rig-udevd.pid)"
kill "$tracer"
told_again() { grep -q '^UDEV_WORKER_FAILED=1$' /run/told; }
wait_until 20 told_again
kill "$monitor"
settle
assert_eq 1 "$(missing)" 'events left'
dmhelper cookie complete "$cookie"
dmhelper cookie release "$cookie"
stop_completer
told 'listen: 2 cookies completed, 0 of failed events'
assert_no_cookies
dmsetup remove a

say 'an event that had begun before the completer: who completes it cannot be told, so that it must be stuck'
dmsetup create a --table "$table"
begin rules dmsetup rename a b
start_completer
kill_worker
ended
told 'complete cookie 0x.*: 1 of its events were lost'
stop_completer
told 'listen: 0 cookies completed, 0 of failed events, 1 of lost events'
udevadm trigger --settle "/sys/dev/block/$(devno b)"

say 'udevd dies, and the worker goes on'
start_completer
begin run dmsetup rename b a
kill -KILL "$(cat /run/rig-udevd.pid)"
sleep 1
wake
ended
wait_until 20 no_udevd
start_udevd
begin run dmsetup rename a b
pkill -TERM -o -x systemd-udevd # as systemd stops it
sleep 1
wake
ended
wait_until 20 no_udevd
/usr/lib/systemd/systemd-udevd --daemon --event-timeout=3
again udevadm control --ping --timeout=20
begin run dmsetup rename b a
ended
# Later versions end the event instead, and send it on.
if [ "$(udev_version)" -lt 257 ]; then told "udev worker for 25[0-9]:0 was killed (SIGKILL)"; fi
stop_udevd
start_udevd
udevadm trigger --settle "/sys/dev/block/$(devno a)"

say 'it dies, and its socket with it'
begin run dmsetup rename a b
kill -KILL "$completer"
wait "$completer" || :
wake
settle
wait_until 20 cookie_waited_for
timeout 20 dmsetup create other --table "0 8 linear $DISK 8" || fail 'a process must complete this'
# One that ends in order before it has found it leaves word to the next.
start_completer
stop_completer
told 'some cookies may never be completed: if a tool hangs, .dmhelper cookie reap. releases it'
assert_eq withdrawn "$(readlink /run/dmhelper/completer)" 'the trace'
start_completer
ended
told 'the completer before this one did not end in order'
told 'complete cookie 0x.*: 1 of its events were lost'
dmsetup remove other

say 'it is stopped: who waits is told'
kill -STOP "$completer"
dmsetup rename b a >/run/tool 2>&1 &
tool=$!
wait_until 20 cookie_waited_for
settle
assert_explained cookie-waiting "$(dm_semaphores)"
assert_explained completer-stopped "$(dm_semaphores)" also
sleep 11
expect_line 'kept (udev may still complete it)' "$(dmhelper cookie reap --yes)"
expect_line "completer (process $completer) is stopped" "$(dmhelper doctor || [ $? = 7 ])"
kill -CONT "$completer"
ended
stop_completer

say 'more events than the queue holds'
start_completer --queue 4096
dmsetup rename a b
kill -STOP "$completer"
uevent=/sys/block/${DISK#/dev/}/uevent
for _ in $(seq 60); do echo change >"$uevent"; done
settle
dmsetup rename b a >/run/tool 2>&1 &
tool=$!
wait_until 20 cookie_waited_for
settle
kill -CONT "$completer"
ended
told 'events were lost, more came than the kernel keeps'
stop_completer
told 'listen: 1 cookies completed, 0 of failed events, 1 of lost events, 0 datagrams dropped, [1-9]'

say 'rules that do not leave it anything'
echo 'ENV{.DMHELPER_ANY_IPC_NAMESPACE}="1"' >/etc/udev/rules.d/90-dmhelper.rules
reload_rules
start_completer
dmsetup rename a b >/run/tool 2>&1 &
tool=$!
ended
begin rules dmsetup rename b a
kill_worker
ended # after a look, for nothing is certain here
stop_completer
told "the udev rules leave no cookies to this completer"
told 'listen: 0 cookies completed, 0 of failed events, 1 of lost events'
rm /etc/udev/rules.d/90-dmhelper.rules
reload_rules
udevadm trigger --settle "/sys/dev/block/$(devno a)"

dmsetup remove a
assert_no_cookies
step 'the end'
