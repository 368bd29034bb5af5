# What goes wrong with cookies in the field, and that each ends bounded and explained.
# needs: lvm
# timeout: 300
disk 64M
table="0 2048 linear $DISK 0"


say 'a udev worker is killed while a rule runs: lvcreate is released, and named'
vgcreate vg "$DISK"
cat >/etc/udev/rules.d/05-slow.rules <<'RULES'
KERNEL=="dm-*", ACTION=="change", ENV{DM_COOKIE}=="?*", TEST=="/run/slow", PROGRAM="/bin/sleep 20"
RULES
reload_rules
touch /run/slow
lvcreate -y -Zn -Wn -n stuck -l 1 vg &
job=$!
wait_until 20 pgrep -f '^/bin/sleep 20'
rm /run/slow
kill -KILL "$(ps -o ppid= -p "$(pgrep -f '^/bin/sleep 20')")"
wait_until 30 cookie_waited_for
list=$(dmhelper cookie list)
expect_line 'lvcreate\[' "$list"
expect_line 'lvcreate' "$(dmhelper cookie reap)"
wait_until 60 reapable
assert_explained cookie-stuck vg-stuck also
result=$(dmhelper cookie reap --yes)
expect_line 'completed: stuck: 1 notification missing for .*, lvcreate\[[0-9]*\] waits' "$result"
wait_for_job "$job"
assert_no_cookies
rm /etc/udev/rules.d/05-slow.rules
reload_rules
lvremove -y vg/stuck

say 'a udev worker is killed while our import program, and while our completion runs'
mv /usr/sbin/dmhelper /usr/sbin/dmhelper.real
cat >/usr/sbin/dmhelper <<'SH'
#!/bin/sh
if [ "$(cat /run/slow 2>/dev/null)" = "$1 $2" ] || [ "$(cat /run/slow 2>/dev/null)" = "$1" ]; then sleep 21; fi
exec /usr/sbin/dmhelper.real "$@"
SH
chmod +x /usr/sbin/dmhelper
for program in udev 'cookie complete'; do
	echo "$program" >/run/slow
	dmsetup create victim --table "$table" &
	job=$!
	wait_until 20 pgrep -f '^sleep 21'
	rm /run/slow
	# udevd's worker is the parent of the program, which is the parent of sleep.
	parent=$(ps -o ppid= -p "$(pgrep -f '^sleep 21')")
	kill -KILL "$(ps -o ppid= -p "$((parent))" | tr -d ' ')"
	pkill -KILL -f '^sleep 21' || :
	wait_until 30 cookie_waited_for
	wait_until 60 reapable
	expect_line 'completed: stuck: 1 notification missing for .*, dmsetup\[[0-9]*\] waits' "$(dmhelper cookie reap --yes)"
	wait_for_job "$job"
	assert_no_cookies
	dmsetup remove victim
done
mv /usr/sbin/dmhelper.real /usr/sbin/dmhelper

say 'RUN is never executed because another rule clears it'
cat >/etc/udev/rules.d/99-clear.rules <<'RULES'
KERNEL=="dm-*", TEST=="/run/clear", RUN:="/bin/true"
RULES
reload_rules
touch /run/clear
dmsetup create cleared --table "$table" &
job=$!
wait_until 20 cookie_waited_for
settle
rm /run/clear
assert_eq 0 "$(dmhelper cookie reap --yes | grep -c completed || :)" 'nothing is reaped at once'
wait_until 60 reapable
expect_line 'completed: stuck: .* dmsetup\[' "$(dmhelper cookie reap --yes)"
wait_for_job "$job"
assert_no_cookies
rm /etc/udev/rules.d/99-clear.rules
reload_rules
dmsetup remove cleared

say 'udevd is stopped and goes on'
pkill -STOP -x systemd-udevd
dmsetup create stopped --table "$table" &
job=$!
wait_until 20 cookie_waited_for
expect_line 'udevd is stopped: 1 notification missing' "$(dmhelper cookie list)"
expect_line '"verdict": "udevd stopped"' "$(dmhelper cookie list --json)"
expect_line 'kept (udevd is stopped and may go on)' "$(dmhelper cookie reap --yes)"
# Beside a tool that waits: one notification is missing to both, and the set is the tool's to remove.
status=0
message=$(dmhelper cookie wait --timeout 1s "$(dm_semaphores)" 2>&1) || status=$?
assert_eq 5 "$status" 'a wait beside a tool'
expect_line '1 notification is missing after 1s' "$message"
pkill -CONT -x systemd-udevd
wait_for_job "$job"
assert_no_cookies

say 'the waiter is killed: what it leaves is complete and is removed'
pkill -STOP -x systemd-udevd
dmsetup remove stopped &
job=$!
wait_until 20 cookie_waited_for
kill -KILL "$job"
wait "$job" || :
pkill -CONT -x systemd-udevd
settle
expect_line 'left behind: complete' "$(dmhelper cookie list)"
wait_until 60 reapable
expect_line 'removed: left behind' "$(dmhelper cookie reap --yes)"
assert_no_cookies

say 'udevd is killed: its socket stays, nobody listens'
pkill -KILL -x systemd-udevd
wait_until 20 no_udevd
[ -e /run/udev/control ] || touch /run/udev/control
dmsetup create orphan --table "$table" &
job=$!
wait_until 20 cookie_waited_for
expect_line 'no udevd: 1 notification missing for .*, dmsetup\[' "$(dmhelper cookie list)"
status=0
message=$(dmhelper cookie run true 2>&1) || status=$?
assert_eq 6 "$status" 'status without udevd'
expect_line 'udevd is not running, nothing will complete this' "$message"
cookie=$(dmhelper cookie create)
dmhelper cookie inc "$cookie"
status=0
dmhelper cookie release --timeout infinity "$cookie" || status=$?
assert_eq 6 "$status" 'a wait that cannot end is refused'
dmhelper cookie release --cancel --timeout 0 --without-udevd "$cookie" || status=$?
assert_eq 5 "$status" 'cancelled when the time was over'
expect_line 'kept (udevd may just be starting again)' "$(dmhelper cookie reap --yes)"
wait_until 60 reapable
dmhelper cookie reap --yes
wait_for_job "$job"
assert_no_cookies
rm -f /run/udev/control
start_udevd
replay change
dmsetup remove orphan

say 'the set is removed under the waiter'
cookie=$(dmhelper cookie create)
dmhelper cookie inc "$cookie"
dmhelper cookie release --timeout 30s "$cookie" 2>/run/removed &
job=$!
wait_until 20 cookie_waited_for
ipcrm -S "$cookie"
wait_for_job "$job"
expect_line 'somebody removed it' "$(cat /run/removed)"

say 'completed once too often: nothing that can come would end a wait well'
cookie=$(dmhelper cookie create)
dmhelper cookie complete "$cookie"
expect_line 'all its events were completed before' "$(dmhelper cookie complete "$cookie" 2>&1)"
status=0
message=$(dmhelper cookie wait --timeout infinity "$cookie" 2>&1) || status=$?
assert_eq 1 "$status" 'status of a wait without a first 1'
expect_line 'completed once too often' "$message"
ipcrm -S "$cookie"

say 'a storm of interruptions'
cookie=$(dmhelper cookie create)
dmhelper cookie inc "$cookie"
dmhelper cookie release --timeout 60s "$cookie" &
job=$!
wait_until 20 cookie_waited_for
for _ in $(seq 50); do
	kill -STOP "$job"
	kill -CONT "$job"
done
dmhelper cookie complete "$cookie"
wait_for_job "$job"
assert_no_cookies

say 'the limit of semaphore sets is reached'
limits=$(cat /proc/sys/kernel/sem)
echo '32000 1024000000 500 2' >/proc/sys/kernel/sem
one=$(dmhelper cookie create)
two=$(dmhelper cookie create)
status=0
message=$(dmhelper cookie create 2>&1) || status=$?
assert_eq 1 "$status" 'status at the limit'
expect_line 'semaphore limits are reached' "$message"
expect_line '2 of 2 semaphore sets in use' "$(dmhelper cookie list)"
dmhelper cookie release "$one"
dmhelper cookie release "$two"
echo "$limits" >/proc/sys/kernel/sem

say 'an unprivileged user squats on keys'
setpriv --reuid=65534 --regid=65534 --clear-groups perl -e 'defined semget(0x0d4d0000 | $_, 1, 0666 | 01000) or die $! for 1..200'
cookie=$(dmhelper cookie create)
dmhelper cookie release "$cookie"
list=$(dmhelper cookie list)
expect_line '0x0d4d0001 .*uid 65534 .*foreign: not created by root' "$list"
expect_line '0x0d4d0001  kept (not created by root)' "$(dmhelper cookie reap --older-than 0 --yes)"
perl -e 'semctl(semget(0x0d4d0000 | $_, 1, 0), 0, 0, 0) for 1..200'

say 'a thousand cookies at once'
for _ in $(seq 1000); do dmhelper cookie create; done >/run/cookies
assert_eq 1000 "$(sort -u /run/cookies | wc -l)" 'different cookies'
expect_line '^1000 cookies; 1000 of ' "$(dmhelper cookie list)"
dmhelper cookie complete-all >/run/dry
assert_eq 1000 "$(grep -c 'would remove' /run/dry)" 'a dry run'
dmhelper cookie complete-all --older-than 1h --yes >/run/young
assert_eq 1000 "$(grep -c 'kept (younger' /run/young)" 'an age limit'
dmhelper cookie complete-all --yes >/run/done
assert_no_cookies

say 'a scripted transaction is left alone while a process exports its cookie'
cookie=$(dmsetup udevcreatecookie)
DM_UDEV_COOKIE=$cookie sleep 30 &
job=$!
expect_line 'kept (may be a script' "$(dmhelper cookie reap --yes)"
expect_line 'kept (a process holds it' "$(dmhelper cookie reap --older-than 0 --yes)"
kill "$job"
wait "$job" || :
expect_line 'removed: in use' "$(dmhelper cookie reap --older-than 0 --yes)"

say 'a cookie whose value is used again after its removal'
cookie=$(dmhelper cookie create)
dmhelper cookie release "$cookie"
expect_line 'nobody waits for it' "$(dmhelper cookie complete "$cookie" 2>&1)"
perl -e 'my $s = semget($ARGV[0], 1, 0600 | 01000); semctl($s, 0, 16, 2)' "$((cookie))"
dmhelper cookie complete "$cookie"
dmhelper cookie release --timeout 10s "$cookie"
assert_no_cookies

say 'the kernel shows no System V IPC'
mount -t tmpfs none /proc/sysvipc
status=0
message=$(dmhelper cookie list 2>&1) || status=$?
assert_eq 1 "$status" 'status without the table'
expect_line 'read /proc/sysvipc/sem: .*no System V IPC' "$message"
dmsetup create unseen --table "$table"
umount /proc/sysvipc
step 'cookies are completed all the same'
dmsetup remove unseen
vgremove -y -f vg
step 'the end'
