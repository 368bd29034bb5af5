# A udevd that ends while the resident completer has cookies left to complete, and events that take too long: what udevd never
# sends on is looked for, and every tool goes on. See docs/resident-completion.md, which says how versions of udevd differ.
# needs: perl
# timeout: 400
disk 64M
table="0 2048 linear $DISK 4096"
. /rig/completer.sh
kill_udevd() { pkill -KILL -o -x systemd-udevd; }
worker() { ps -o ppid= -p "$(pgrep -f '^/bin/sleep 30')" | tr -d ' '; }
# goes_on: the tool does, after a look.
looked_for=0
lost() { grep -c 'of its events were lost, and udev has nothing left to do' /run/words || :; }
goes_on() {
	ended
	looked_for=$((looked_for + 1))
	assert_eq $looked_for "$(lost)" 'what was looked for and found'
}
start_completer
dmsetup create a --table "$table"
assert_no_cookies

say 'udevd dies with its worker, as under systemd, and the next one starts'
begin run dmsetup rename a b
kill -KILL "$(pgrep -x systemd-udevd)" "$(worker)"
wake
wait_until 20 no_udevd
start_udevd
goes_on
replay add
assert_link /dev/mapper/b b

say 'the next one dies as well, and none starts: nobody has told of it, and it was found all the same'
begin rules dmsetup rename b a
kill -KILL "$(pgrep -x systemd-udevd)" "$(worker)"
wake
goes_on
start_udevd
replay add
assert_link /dev/mapper/a a

say 'udevd dies alone: its worker tells, or waits for the answer of the dead for ever'
for next in none one; do
	for kind in run rules; do
		old=a new=b
		dmsetup info a >/dev/null 2>&1 || old=b new=a
		begin $kind dmsetup rename $old $new
		kill_udevd
		[ $next = none ] || start_udevd
		wake
		if [ "$(udev_version)" -ge 262 ]; then goes_on; else ended; fi
		assert_link "/dev/mapper/$new" $new
		[ $next = one ] || start_udevd
		quiesce
	done
	begin run dmsetup remove $new
	kill_udevd
	wake
	ended
	start_udevd
	dmsetup create a --table "$table"
done
# Nobody takes those workers for udevd's work.
dmhelper cookie list
assert_eq '' "$(dmhelper doctor | grep -i 'worker' || :)" 'what doctor says of workers'

say 'udevd ends in order: what it has in hand is told, what waits behind that is not'
cookie=$(dmsetup udevcreatecookie)
begin run dmsetup --udevcookie "$cookie" rename a b
wait_for_job "$tool" # it does not wait for a cookie that is not its own
dmsetup --udevcookie "$cookie" rename b a
dmsetup udevreleasecookie "$cookie" >/run/tool 2>&1 &
tool=$!
wait_until 20 cookie_waited_for
udevadm control --exit &
sleep 1
wake
wait_until 20 no_udevd
start_udevd
goes_on
replay add
assert_link /dev/mapper/a a

say 'an event takes too long: the tool goes on at once'
stop_udevd
/usr/lib/systemd/systemd-udevd --daemon --event-timeout=3
again udevadm control --ping --timeout=20
for kind in run rules; do
	old=a new=b
	dmsetup info a >/dev/null 2>&1 || old=b new=a
	begin $kind dmsetup rename $old $new
	ended
	wake
done
assert_eq $looked_for "$(lost)" 'what was looked for and found'
stop_udevd
start_udevd
replay add

stop_completer
dmsetup remove "$new"
assert_no_cookies
step 'the end'
