# What an ordinary user can make look like a cookie of root's: it is never taken for one.
# needs: perl
# timeout: 180
user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
# forge KEY VALUE [wait]: a set that gives itself to root, and a process that waits for it.
cat >/run/forge <<'PERL'
my ($key, $value, $wait) = @ARGV;
my $id = semget(hex $key, 1, 0666 | 03000); # IPC_CREAT, IPC_EXCL
defined $id or die "semget: $!";
defined semctl($id, 0, 16, $value) or die "SETVAL: $!";
defined semctl($id, 0, 2, my $status = "") or die "IPC_STAT: $!";
substr($status, 4, 8) = pack "L2", 0, 0; # uid, gid
defined semctl($id, 0, 1, $status) or die "IPC_SET: $!";
semop($id, pack "s3", 0, -9, 0) if $wait;
PERL
forge() { "${user[@]}" perl /run/forge "$@"; }
value() { perl -e 'print semctl(semget($ARGV[0], 1, 0), 0, 12, 0) + 0' "$(($1))"; }
# refused STATUS PATTERN COMMAND...
refused() {
	local expected=$1 pattern=$2 status=0 message
	shift 2
	message=$("$@" 2>&1) || status=$?
	assert_eq "$expected" "$status" "status of $*: $message"
	expect_line "$pattern" "$message"
}

say 'a set that its owner has given to root'
forge 0x0d4d1111 0
forge 0x0d4d2222 2 wait &
waiter=$!
wait_until 20 cookie_waited_for
for key in 0x0d4d1111 0x0d4d2222; do
	assert_eq '0 65534' "$(awk -v key=$((key)) '$1 == key { print $5, $7 }' /proc/sysvipc/sem)" 'owner and creator'
done
sleep 12 # past the grace that root's have
list=$(dmhelper cookie list)
expect_line '0x0d4d1111 .*uid 65534 .*foreign: not created by root' "$list"
expect_line '0x0d4d2222 .*uid 65534 .*foreign: not created by root' "$list"
expect_line '"creator_uid": 65534' "$(dmhelper cookie list --json)"
for command in reap 'reap --older-than 0' complete-all; do
	# shellcheck disable=SC2086
	assert_eq 2 "$(dmhelper cookie $command --yes | grep -c 'kept (not created by root)')" "kept by $command"
done
assert_explained cookie-foreign 0x0d4d2222
assert_eq 0 "$(dmhelper doctor | grep -c 'ookie' || :)" 'what doctor says of them'
for command in inc wait 'release --cancel'; do
	# shellcheck disable=SC2086
	refused 1 '0x0d4d1111: it was created by user 65534, not by root' dmhelper cookie $command 0x0d4d1111
done
assert_eq 0 "$(value 0x0d4d1111)" 'the value'
assert_eq 2 "$(value 0x0d4d2222)" 'the value'
kill "$waiter"
wait "$waiter" || :
ipcrm -S 0x0d4d1111
ipcrm -S 0x0d4d2222

say 'it hides no tool in a container, neither at home nor in a namespace of its own'
cat >/run/container <<'PERL'
my $id = semget(0x0d4d5555, 1, 0600 | 03000) // die "semget: $!";
semctl($id, 0, 16, 2);
open(my $f, ">", "/run/contained");
close $f;
sleep 1 while semctl($id, 0, 12, 0) == 2 && $n++ < 60;
open($f, ">", "/run/completed");
print $f semctl($id, 0, 12, 0) + 0, "\n";
PERL
unshare --ipc perl /run/container &
container=$!
wait_until 20 test -e /run/contained
forge 0x0d4d5555 2
# shellcheck disable=SC2016
unshare --ipc "${user[@]}" sh -c 'perl /run/forge 0x0d4d5555 2 && echo >/tmp/beside && exec sleep 60' &
beside=$!
wait_until 20 test -e /tmp/beside
assert_eq '' "$(dmhelper cookie complete --any-ipc-namespace 0x5555 2>&1)" 'what is said'
wait_for_job "$container"
assert_eq 1 "$(cat /run/completed)" 'the tool in the container is told'
assert_eq 2 "$(value 0x0d4d5555)" 'the set at home'
kill "$beside"
wait "$beside" || :
ipcrm -S 0x0d4d5555
assert_no_cookies

say 'thousands of stopped processes are not named one by one'
for _ in $(seq 12); do
	sleep 300 &
	kill -STOP $!
done
cookie=$(dmhelper cookie create)
dmhelper cookie complete "$cookie"
expect_line 'in use, perhaps by [a-z]*\[[0-9]*\] or [a-z]*\[[0-9]*\] or [a-z]*\[[0-9]*\] or 9 others, which are stopped$' "$(dmhelper cookie list)"
kill -KILL $(jobs -p)
ipcrm -S "$cookie"
