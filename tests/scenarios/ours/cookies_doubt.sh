# What decides over a cookie and cannot be found out is an error, and the cookie stays: a process that could not be looked at
# may be the one that waits for it.
# needs: perl strace
# timeout: 400
user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
calls=(openat:error=EMFILE openat:error=ENFILE openat:error=ENOMEM '/^readlink:error=ENOMEM' getdents64:error=ENOMEM
	read:error=EIO '/^(stat|newfstatat|statx):error=ENOMEM')
# faulty COMMAND...: with each of these calls failing, from each of some moments on; none takes it for a no. Its last words are in
# /run/line, its status is in $status.
faulty() {
	local call moment
	for call in "${calls[@]}"; do
		for moment in 3 6 9 14 30; do
			status=0
			strace -qq -o /run/trace -e "trace=${call%%:*}" -e "inject=$call:when=$moment+" "$@" >/run/line 2>&1 || status=$?
			check "$call from $moment on"
		done
	done
}

say 'complete, and a stopped process of root'"'"'s may wait for it'
sleep 600 &
tool=$!
is_stopped() { grep -q '^State:.*stopped' "/proc/$tool/status"; }
kill -STOP "$tool"
wait_until 20 is_stopped
cookie=$(dmhelper cookie create)
dmhelper cookie complete "$cookie"
sleep 12 # past the grace
check() {
	rig_assertions=$((rig_assertions + 1))
	grep -q "$((cookie))" /proc/sysvipc/sem || fail "$1: the cookie is gone: $(</run/line)"
}
faulty dmhelper cookie reap --yes
kill -KILL "$tool"
wait "$tool" || :
expect_line 'removed: left behind' "$(dmhelper cookie reap --yes)"

say 'in use by a script of root'"'"'s'
cookie=$(dmsetup udevcreatecookie)
DM_UDEV_COOKIE=$cookie sleep 600 &
script=$!
faulty dmhelper cookie reap --older-than 0 --yes
expect_line 'kept (a process holds it in DM_UDEV_COOKIE)' "$(dmhelper cookie reap --older-than 0 --yes)"
kill "$script"
wait "$script" || :

say 'what an ordinary user has in its environment keeps nothing, and what may change devices does'
DM_UDEV_COOKIE=$cookie "${user[@]}" --inh-caps=+sys_admin --ambient-caps=+sys_admin sleep 600 &
script=$!
DM_UDEV_COOKIE=$cookie "${user[@]}" sleep 600 &
stranger=$!
is_a_users() { [ "$(awk '/^Uid/ { print $2 }' "/proc/$stranger/status")" = 65534 ] && [ "$(cat "/proc/$stranger/comm")" = sleep ]; }
wait_until 20 is_a_users
expect_line 'kept (a process holds it in DM_UDEV_COOKIE)' "$(dmhelper cookie reap --older-than 0 --yes)"
kill "$script"
wait "$script" || :
for ids in --ruid --euid; do
	DM_UDEV_COOKIE=$cookie setpriv "$ids=65534" sleep 600 &
	script=$!
	sleep 1
	expect_line 'kept (a process holds it in DM_UDEV_COOKIE)' "$(dmhelper cookie reap --older-than 0 --yes)"
	kill "$script"
	wait "$script" || :
done
expect_line 'removed: in use' "$(dmhelper cookie reap --older-than 0 --yes)"
kill "$stranger"
wait "$stranger" || :
assert_no_cookies

say 'a tool in a container waits for it'
cat >/run/container <<'PERL'
my $id = semget(0x0d4d5555, 1, 0600 | 03000) // die "semget: $!";
semctl($id, 0, 16, 30000);
open(my $f, ">", "/run/contained");
sleep 600;
PERL
unshare --ipc perl /run/container &
container=$!
wait_until 20 test -e /run/contained
value() { nsenter --ipc="/proc/$container/ns/ipc" perl -e 'print semctl(semget(0x0d4d5555, 1, 0), 0, 12, 0) + 0'; }
before=$(value)
check() {
	local after
	after=$(value)
	rig_assertions=$((rig_assertions + 1))
	if [ "$status" = 0 ]; then
		[ "$after" = $((before - 1)) ] || fail "$1: not completed, and no error: $(</run/line)"
	else
		[ "$after" = "$before" ] || fail "$1: completed, and an error: $(</run/line)"
		grep -q 'look for IPC namespaces\|complete cookie' /run/line || fail "$1: $(</run/line)"
	fi
	before=$after
}
faulty dmhelper cookie complete --any-ipc-namespace 0x5555
# The limit itself: three descriptors are open, and the directory of processes would be a fourth.
status=0
prlimit --nofile=3 dmhelper cookie complete --any-ipc-namespace 0x5555 2>/run/line || status=$?
assert_eq "1 $before" "$status $(value)" 'at the limit of open files'
expect_line 'look for IPC namespaces: ' "$(</run/line)"
kill "$container"
wait "$container" || :
expect_line 'nobody waits for it in any IPC namespace' "$(dmhelper cookie complete --any-ipc-namespace 0x5555 2>&1)"
