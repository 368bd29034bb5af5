# A stranger's process has the number of a completer that died, and its descriptors: the rules take it for none.
# needs: perl
# timeout: 180
disk 64M
table="0 2048 linear $DISK 4096"
. /rig/completer.sh
user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
start_completer
dmsetup create a --table "$table"
assert_eq "completer.d/$completer" "$(readlink /run/dmhelper/completer)" 'the token'
assert_eq 700 "$(stat -c %a /run/dmhelper/completer.d)" 'mode of the directory'
assert_fails "${user[@]}" readlink "/run/dmhelper/completer.d/$completer"
assert_fails "${user[@]}" ls /run/dmhelper/completer.d
expect_line "^Completer *running (process $completer)" "$("${user[@]}" dmhelper explain a)"
way=$(readlink "/run/dmhelper/completer.d/$completer")
assert_eq yes "$([ -e "$way" ] && [ "/proc/$completer/fd" = "$(dirname "$(dirname "$way")")" ] && echo yes)" 'where the token leads'

# What a user may know of it: numbers of descriptors, and names of earlier tokens.
mkdir -p /tmp/stranger
touch /tmp/stranger/{completer,completer.d,withdrawn,"$completer"}
chmod -R a+rX /tmp/stranger
cat >/run/stranger.pl <<'PERL'
use POSIX ();
my $number = shift @ARGV;
my $tid = pack "l", $number;
# struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup
my $arguments = pack "Q11", 0, 0, 0, 0, 17, 0, 0, 0, unpack("Q", pack("P", $tid)), 1, 0;
my $child = syscall 435, $arguments, 88;
$child >= 0 or die "clone3: $!";
if (!$child) {
	POSIX::setgid(65534); POSIX::setuid(65534);
	$^F = 2000;
	open(my $directory, "<", "/tmp/stranger") or die "open: $!";
	POSIX::dup2(fileno $directory, $_) for grep { $_ != fileno $directory } 3 .. 1000;
	exec "sleep", "600" or die "exec: $!";
}
waitpid $child, 0;
PERL
kill -KILL "$completer"
wait "$completer" || :
assert_fails test -e /run/dmhelper/completer
doctor() { dmhelper doctor || [ $? = 7 ]; }
expect_line "completer (process $completer) has died: udev's rules run a process" "$(doctor | tr '\n' ' ' | tr -s ' ')"
prlimit --nofile=2000 perl /run/stranger.pl "$completer" &
parent=$!
is_stranger() { [ "$(cat "/proc/$completer/comm" 2>/dev/null)" = sleep ]; }
wait_until 20 is_stranger
assert_eq 65534 "$(awk '/^Uid/ { print $2 }' "/proc/$completer/status")" "the stranger's user"
assert_eq /tmp/stranger "$(readlink "/proc/$completer/fd/999")" 'a descriptor of the stranger'

assert_fails test -e /run/dmhelper/completer
timeout 40 dmsetup rename a b || fail 'a tool waits for a stranger'
quiesce
assert_no_prop b DMHELPER_COMPLETE_SEQNUM
timeout 40 dmsetup rename b a
expect_line "has died, and sleep\[$completer\], a stranger, has its number now" "$(doctor | tr '\n' ' ' | tr -s ' ')"
assert_explained completer-dead "$(dmhelper cookie create)" also
expect_line "^Completer *dead (it was process $completer)" "$("${user[@]}" dmhelper explain a)"
expect_line '"completer": "dead"' "$(dmhelper explain --json a)"
dmhelper cookie complete-all --yes

# The next one goes on, with another name.
start_completer
dmsetup rename a b
quiesce
assert_prop b DMHELPER_COMPLETE_SEQNUM "$(</sys/kernel/uevent_seqnum)"
assert_eq 0 "$(doctor | grep -c ompleter || :)" 'what doctor says of it'
assert_fails test -e "$way"
stop_completer
assert_no_link /run/dmhelper/completer
kill "$(pgrep -P "$parent")"
wait "$parent" || :
dmsetup remove b
assert_no_cookies
step 'the end'
