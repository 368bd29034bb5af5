# Where the resident completer starts and where not, and whom it believes.
# needs: perl
disk 64M
table="0 2048 linear $DISK 4096"
. /rig/completer.sh
dmsetup create a --table "$table"
mkdir -p /run/dmhelper

say 'where it cannot work it does not start'
refused() { # refused STATUS PATTERN COMMAND...
	local status=0
	"${@:3}" 2>/run/line || status=$?
	assert_eq "$1" "$status" "status of ${*:3}"
	expect_line "$2" "$(</run/line)"
}
refused 2 'leave the other options out' dmhelper listen --complete-only --claim-udev
other_directory='mount -t tmpfs none /run/dmhelper && exec dmhelper listen --complete-only'
refused 2 'udevd has another /run/dmhelper; its rules would not find the completer' unshare -m sh -c "$other_directory"
refused 2 'udevd is in another ipc namespace' unshare -i dmhelper listen --complete-only
refused 2 'udevd is in another net namespace' unshare -n dmhelper listen --complete-only
refused 4 'permission denied' setpriv --reuid=nobody --regid=nogroup --clear-groups dmhelper listen --complete-only

say 'what does not concern it does not keep it away'
# A udevd in a container, beside ours, whose state is not that of ours.
unshare -m -i sh -c 'mount -t tmpfs none /run && mkdir /run/udev && exec perl -e "\$0 = q(systemd-udevd); sleep 600"' &
container=$!
contained() { [ "$(cat "/proc/$container/comm")" = systemd-udevd ]; }
wait_until 20 contained
kill -STOP "$container"
dmhelper wait --for settled --timeout 20s a
# Any user can open the directory; the lock is another file.
setpriv --reuid=nobody --regid=nogroup --clear-groups flock -F /run/dmhelper sleep 600 &
locker=$!
locked() { ! flock -n /run/dmhelper true; }
wait_until 20 locked
assert_eq 600 "$(stat -c %a /run/dmhelper/completer.lock)" 'mode of the lock'
dmhelper listen --complete-only --pid-file /run/completer.pid 2>/run/words &
completer=$!
wait_until 20 test -s /run/completer.pid
assert_eq "completer.d/$completer" "$(readlink /run/dmhelper/completer)" 'the token'
before=$SECONDS
stop_completer
assert_eq yes "$([ $((SECONDS - before)) -lt 30 ] && echo yes)" "it waits for our udevd alone ($((SECONDS - before)) s)"
kill -KILL "$container" "$locker"
wait "$container" "$locker" || :

say 'a socket is passed to it'
# As systemd passes a socket that has subscribed to a group.
cat >/run/passed.pl <<'PERL'
	use Socket; use POSIX (); $^F = 255;
	socket(my $s, 16, 3, 15) or die $!;
	bind($s, pack("SSLL", 16, 0, 0, shift @ARGV)) or die $!;
	POSIX::dup2(fileno($s), 3) if fileno($s) != 3;
	$ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; exec @ARGV or die $!;
PERL
refused 1 'has not subscribed to the events of udevd' perl /run/passed.pl 1 dmhelper listen --complete-only
perl /run/passed.pl 2 dmhelper listen --complete-only --pid-file /run/completer.pid 2>/run/words &
completer=$!
wait_until 20 test -s /run/completer.pid
dmsetup rename a b

say 'only root is believed, on a socket that was passed as well'
cat >/run/forge.pl <<'PERL'
	my ($cookie) = @ARGV;
	my @properties = qw(ACTION=change DEVPATH=/devices/virtual/block/dm-9 SUBSYSTEM=block MAJOR=254 MINOR=9 SEQNUM=99 DMHELPER_COMPLETE_SEQNUM=99);
	my $text = join("", map { "$_\0" } @properties, "DM_COOKIE=$cookie");
	$text = "libudev\0" . pack("NLLLLLLL", 0xfeedcafe, 40, 40, length $text, 0, 0, 0, 0) . $text;
	socket(my $socket, 16, 3, 15) or die $!;
	bind($socket, pack("SSLL", 16, 0, 0, 0)) or die $!;
	defined send($socket, $text, 0, pack("SSLL", 16, 0, 0, 2)) or die $!;
PERL
cookie=$(dmhelper cookie create)
dmhelper cookie inc "$cookie"
# A process may send with a capability alone, without being root.
setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=+net_admin --ambient-caps=+net_admin perl /run/forge.pl "$((cookie))"
sleep 1
assert_eq 1 "$(missing)" 'missing after a forgery'
perl /run/forge.pl "$((cookie))" # the same from root: it was no fault of the message
wait_until 20 missing_is 0
dmhelper cookie release "$cookie"
stop_completer
told 'listen: 2 cookies completed, 0 of failed events, 0 of lost events, 1 datagrams dropped'

say 'in the background'
dmhelper listen --complete-only --daemon --pid-file /run/completer.pid
dmsetup rename b a
assert_eq "$(</sys/kernel/uevent_seqnum)" "$(prop a DMHELPER_COMPLETE_SEQNUM)" 'the mark'
kill -TERM "$(cat /run/completer.pid)"
wait_until 20 test ! -L /run/dmhelper/completer
dmsetup remove a
step 'the end'
