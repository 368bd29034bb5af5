# The resident completer comes and goes while tools work, in order and killed, its socket held as systemd holds it: every
# event is completed exactly once, now by a process, now by the completer. One that is killed may lose the event that it has
# in hand: the next one finds its cookie when it is provably stuck, for which it must itself live for 12 s. So the tools rest
# after each kill, and nobody is killed until they do.
# needs: perl
# udevd: debug
# timeout: 540
disk 64M
pairs=60
# Holds the socket and keeps a completer running on it, as dmhelper-completer.socket and .service do.
cat >/run/holder.pl <<'PERL'
	use Socket; use POSIX (); $^F = 255;
	socket(my $s, 16, 3, 15) or die $!;
	setsockopt($s, SOL_SOCKET, 33, pack("i", 16 << 20)) or die $!; # SO_RCVBUFFORCE
	bind($s, pack("SSLL", 16, 0, 0, 2)) or die $!;
	POSIX::dup2(fileno($s), 3) if fileno($s) != 3;
	my $stop;
	$SIG{TERM} = sub { $stop = 1 };
	until ($stop) {
		my $child = fork();
		if (!$child) { $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; exec qw(dmhelper listen --complete-only) or die $!; }
		until (waitpid($child, POSIX::WNOHANG) > 0) {
			kill TERM => $child if $stop; # more than once: the first may find it before its exec
			select(undef, undef, undef, 0.05);
		}
	}
PERL
hold() {
	perl /run/holder.pl 2>>/run/words &
	holder=$!
	wait_until 20 test -e /run/dmhelper/completer
}
work() { # work NAME START: pairs of creation and removal, each with a deadline
	local cookie
	for _ in $(seq "$pairs"); do
		pause "$1"
		timeout 150 dmsetup create "$1" --table "0 8 linear $DISK $2" || echo "create: status $?"
		timeout 150 dmsetup remove "$1" || echo "remove: status $?"
		# Two events under one cookie, for each of which it is completed once.
		cookie=$(dmsetup udevcreatecookie)
		dmsetup --udevcookie "$cookie" create "$1" --table "0 8 linear $DISK $2" || echo "create: status $?"
		dmsetup --udevcookie "$cookie" create "$1-2" --table "0 8 linear $DISK $(($2 + 32))" || echo "create: status $?"
		timeout 150 dmsetup udevreleasecookie "$cookie" || echo "udevreleasecookie: status $?"
		timeout 150 dmsetup remove "$1-2" || echo "remove: status $?"
		timeout 150 dmsetup remove "$1" || echo "remove: status $?"
	done
	touch "/run/rests-$1"
} 2>&1
events=7 # of one turn of the loop
pause() { # between two pairs
	if [ ! -e /run/pause ]; then return; fi
	touch "/run/rests-$1"
	until [ ! -e /run/pause ]; do sleep 0.1; done
	rm "/run/rests-$1"
}
rest() { [ -e /run/rests-one ] && [ -e /run/rests-two ]; }
hold
work one 8 >/run/one &
one=$!
work two 16 >/run/two &
two=$!
working() { kill -0 "$one" 2>/dev/null || kill -0 "$two" 2>/dev/null; }
turns=0
while working && [ "$turns" -lt 40 ]; do
	turns=$((turns + 1))
	sleep "0.$((turns * 37 % 90 + 10))"
	case $((turns % 4)) in
	0 | 1) # a crash
		pkill -KILL -P "$holder" || :
		touch /run/pause
		wait_until 100 rest
		rm /run/pause
		;;
	2) pkill -TERM -P "$holder" || : ;; # its end, and a new one from the same socket
	3) # switched off, and on again
		# Not in the instant after a crash: whoever takes the socket away then takes its events.
		wait_until 20 test -e /run/dmhelper/completer
		kill -TERM "$holder"
		wait_for_job "$holder"
		sleep 0.3
		hold
		;;
	esac
done
wait "$one" "$two" # in the end a completer runs, and nobody kills it
kill -TERM "$holder"
wait_for_job "$holder"
settle
lost=$(grep -c 'of its events were lost' /run/words || :)
echo "rig: $turns turns, $lost events lost by a completer that was killed"
cat /run/words
assert_eq '' "$(cat /run/one /run/two)" 'what the tools say'
assert_no_cookies
assert_eq '' "$(grep -E 'Address already in use|nobody waits|completed before' /run/words /run/rig-udevd.log || :)" 'one completion too many'
processes=$(grep -c "Starting '/usr/sbin/dmhelper cookie complete" /run/rig-udevd.log || :)
told=$(sed -n 's/.*listen: \([0-9]*\) cookies completed.*/\1/p' /run/words | awk '{ sum += $1 } END { print sum + 0 }')
echo "rig: $processes by a process, at least $told by completers" # one that was killed does not tell
rig_assertions=$((rig_assertions + 1))
if [ "$processes" -lt 20 ] || [ "$told" -lt 20 ] || [ $((processes + told)) -gt $((pairs * 2 * events)) ]; then fail "$processes and $told of $((pairs * 2 * events))"; fi
step 'the end'
