# A udevd that starts while `dmhelper listen` stands in its place: `listen` ends, and each cookie is completed once, by the
# one or the other.
# needs: perl
# timeout: 300
stop_udevd
rm -rf /run/udev
# start_listen ARGUMENTS
start_listen() {
	dmhelper listen "$@" --pid-file /run/listen.pid 2>/run/listen.log &
	job=$!
	wait_until 20 test -s /run/listen.pid
}
listen_is_gone() { ! pgrep -x dmhelper >/dev/null; }
# It ends by itself, in order, and says why.
listen_has_ended() {
	wait_until 30 listen_is_gone
	wait_for_job "$job"
	assert_no_link /run/listen.pid
	expect_line 'listen: a udevd has started; the events are its own from now on' "$(cat /run/listen.log)"
	assert_eq '' "$(grep -E 'completed before|nobody waits' /run/listen.log || :)" 'one completion too many'
}
# What the tools have counted: 1 for who made the cookie, 1 for each event that is not complete.
value() {
	dmsetup udevcookies | while read -r cookie _ value _; do
		# Written in two ways.
		if [[ $cookie = 0x* ]] && ((cookie == $1)); then echo "$value"; fi
	done
}
# One more than there is, where an event was completed twice, makes the waiter fail at once; one less lets it wait.
release() { timeout 30 dmsetup udevreleasecookie "$1"; }
links_are() { assert_link /dev/mapper/"$1" "$1" && assert_link "/dev/disk/by-id/dm-name-$1" "$1"; }

say 'without the claim'
start_listen
# The socket of one that was killed at once is no udevd, and neither is a file.
perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Type => SOCK_SEQPACKET, Local => "/run/udev/control", Listen => 1) or die $!'
wait_until 20 grep -q 'no udevd is there after all; going on' /run/listen.log
rm /run/udev/control
touch /run/udev/control
dmsetup create b --table '0 8 error'
dmsetup remove b
rm /run/udev/control
dmsetup create a --table '0 8 error'
wait_until 20 test -L /dev/mapper/a
start_udevd
listen_has_ended
cookie=$(dmsetup udevcreatecookie)
dmsetup suspend a
dmsetup --udevcookie "$cookie" resume a
quiesce
assert_eq 1 "$(value "$cookie")" 'the cookie after a resume'
release "$cookie"
stop_udevd

say 'where it cannot notice at once'
for claim in '' --claim-udev; do
	# shellcheck disable=SC2086 # none or one
	start_listen $claim
	kill -STOP "$job"
	start_udevd
	cookie=$(dmsetup udevcreatecookie)
	dmsetup suspend a
	dmsetup --udevcookie "$cookie" resume a
	dmsetup --udevcookie "$cookie" create other --table '0 8 error'
	quiesce
	assert_eq 1 "$(value "$cookie")" 'the cookie that udevd has completed'
	kill -CONT "$job"
	listen_has_ended
	assert_eq 1 "$(value "$cookie")" 'the cookie that udevd has completed, after our end'
	release "$cookie"
	links_are other
	dmsetup remove other
	stop_udevd
done

say 'what only we have seen is ours'
start_listen --claim-udev
kill -STOP "$job"
cookie=$(dmsetup udevcreatecookie)
dmsetup suspend a
dmsetup --udevcookie "$cookie" resume a
dmsetup --udevcookie "$cookie" create new --table '0 8 error'
dmsetup --udevcookie "$cookie" rename a b
assert_eq 4 "$(value "$cookie")" 'the cookie that nobody has completed'
start_udevd
replay add
dmsetup create newer --table '0 8 error'
kill -CONT "$job"
listen_has_ended
assert_eq 1 "$(value "$cookie")" 'the cookie whose events came before udevd'
release "$cookie"
links_are b
links_are new
links_are newer
replay add
links_are new
assert_no_link /dev/mapper/a
dmsetup remove new
dmsetup remove newer
assert_eq '' "$(find /dev/mapper -name 'new*')" 'removed devices'
step 'udevd alone'

say 'at once, again and again'
work() {
	while [ ! -e /run/enough ]; do
		timeout 60 dmsetup create fast --table '0 8 error' || echo "create: status $?"
		timeout 60 dmsetup rename fast faster || echo "rename: status $?"
		timeout 60 dmsetup remove faster || echo "remove: status $?"
		echo 1 >>/run/turns
	done
}
completed=0
for i in $(seq 12); do
	stop_udevd
	rm -f /run/enough
	if [ $((i % 3)) = 0 ]; then start_listen; else start_listen --claim-udev; fi
	work >>/run/tools 2>&1 &
	working=$!
	sleep "0.$((i * 37 % 90 + 10))"
	start_udevd
	sleep 0.3
	touch /run/enough
	wait_for_job "$working"
	listen_has_ended
	completed=$((completed + $(sed -n 's/.* \([0-9]*\) cookies completed.*/\1/p' /run/listen.log)))
	quiesce
done
assert_no_cookies
events=$(($(wc -l </run/turns) * 3))
echo "rig: $completed of $events by listen"
rig_assertions=$((rig_assertions + 1))
if [ "$completed" -lt 24 ] || [ $((events - completed)) -lt 24 ]; then fail 'they never worked at the same time'; fi
assert_eq '' "$(cat /run/tools)" 'what the tools say'
assert_eq '' "$(find /dev/mapper -name 'fast*')" 'removed devices'
dmsetup remove b
step 'the end'
