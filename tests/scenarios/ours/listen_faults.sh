# A call that fails for a reason that passes costs neither a link nor a cookie nor the listener: it is made again.
# needs: strace perl
# timeout: 240
disk 16M
table="0 2048 linear $DISK 4096"
# fail PID CALLS ERROR[:when=...]: from here on these calls of the process fail so; until `work`.
fail_calls() {
	strace -f -p "$1" -o /run/trace -e "trace=$2" -e "inject=$2:error=$3" 2>/run/strace &
	tracer=$!
	wait_until 20 grep -q attached /run/strace
}
work() {
	kill "$tracer" 2>/dev/null || :
	wait "$tracer" || :
}

say 'one program for a completion'
cookie=$(dmhelper cookie create)
dmhelper cookie inc "$cookie"
for calls in '/^semget' '/^sem.*op'; do
	dmhelper cookie inc "$cookie"
	strace -qq -o /run/trace -e "trace=$calls" -e "inject=$calls:error=EIO:when=1..3" dmhelper cookie complete "$cookie"
	expect_line INJECTED "$(</run/trace)"
done
expect_line '"missing": 1' "$(dmhelper cookie list --json)"
dmhelper cookie complete "$cookie"
dmhelper cookie release "$cookie"

say 'the resident completer'
. /rig/completer.sh
start_completer
fail_calls "$completer" '/^sem' EIO:when=1..5
timeout 60 dmsetup create a --table "$table"
work
told 'complete cookie 0x.*: I/O error; it is tried again'
told 'complete cookie 0x.*: tried again: completed'
fail_calls "$completer" recvmsg ENOMEM:when=1..3
timeout 60 dmsetup rename a b
work
told 'listen: events may be lost, receiving them failed (Out of memory); looking for cookies that are stuck'
kill -0 "$completer"
stop_completer
told 'listen: 2 cookies completed, 0 of failed events, 0 of lost events, 0 datagrams dropped, 0 times overrun'
dmsetup remove b

say 'listen'
stop_udevd
rm -rf /run/udev
start_listen() {
	rm -f /run/listen.pid
	dmhelper listen --claim-udev --pid-file /run/listen.pid 2>/run/words &
	job=$!
	wait_until 20 test -s /run/listen.pid
}
start_listen
fail_calls "$job" '/^sem' EIO:when=1..5
timeout 60 dmsetup create a --table "$table"
work
assert_link /dev/mapper/a a
told 'complete cookie 0x.*: tried again: completed'

# An event's question is asked twice at once. What its tool wanted is known when it is asked again.
fail_calls "$job" ioctl ENOMEM:when=1..4
flags=0x$(printf %x $((0x0010 | 0x0040))) # LOW_PRIORITY, PRIMARY_SOURCE
dmsetup suspend a
resume_with_flags a "$flags"
timeout 60 dmsetup create b --uuid B-1 --table "$table"
told 'listen: 25[0-9]:[0-9]*: an event that failed is done'
work
wait_until 20 test -L /dev/disk/by-id/dm-uuid-B-1
assert_link /dev/mapper/b b
assert_prop b DM_ACTIVATION 1
wait_until 20 grep -q '^L:-100' "/run/udev/data/b$(devno a)"

for error in ENOMEM EIO ECONNRESET; do
	: >/run/words
	fail_calls "$job" recvmsg "$error:when=1..3"
	timeout 60 dmsetup rename b "after-$error"
	work
	assert_link "/dev/mapper/after-$error" "after-$error"
	assert_no_link /dev/mapper/b
	told 'listen: events may be lost, receiving them failed (.*); looking at all devices again'
	dmsetup rename "after-$error" b
done
assert_link /dev/mapper/b b

# All devices are to be looked at, and that fails as well.
fail_calls "$job" 'recvmsg,ioctl' ENOMEM:when=1..4
timeout 60 dmsetup rename b c
wait_until 30 test -L /dev/mapper/c
work
assert_link /dev/mapper/c c
assert_no_link /dev/mapper/b
dmsetup remove c
dmsetup remove a
assert_eq '' "$(find /dev/mapper -type l)" 'links'
kill -TERM "$job"
wait_for_job "$job"
assert_no_cookies

say 'a socket that never works again ends it, and is not asked for ever'
start_listen
fail_calls "$job" recvmsg ENOMEM
dmsetup create --noudevsync a --table "$table"
status=0
wait_for_job "$job" || status=$?
work
assert_eq 1 "$status" 'status'
told '^dmhelper: receive uevents: Out of memory'
dmsetup remove --noudevsync a
rm -rf /run/udev
start_udevd
step 'udevd is back'
