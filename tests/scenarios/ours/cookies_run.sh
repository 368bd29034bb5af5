# `cookie run`: what it returns, what is left behind when it or its command dies, and what one wait for many saves.
# needs: strace
# timeout: 240
disk 64M
count=15

status_of() {
	local status=0
	"$@" || status=$?
	echo "$status"
}

assert_eq 0 "$(status_of dmhelper cookie run true)" 'status of true'
assert_eq 7 "$(status_of dmhelper cookie run -- sh -c 'exit 7')" 'status of the command'
assert_eq 137 "$(status_of dmhelper cookie run -- sh -c 'kill -9 $$')" 'status of a killed command'
assert_eq 1 "$(status_of dmhelper cookie run /no/such/command)" 'status without a command'
assert_eq 2 "$(status_of dmhelper cookie run)" 'status without words'
assert_no_cookies

# Signals, and the one that nobody can catch: the guard sees us die.
for signal in TERM INT HUP KILL; do
	setsid dmhelper cookie run -- sleep 30 &
	runner=$!
	wait_until 10 cookie_exists
	kill "-$signal" "$(pgrep -x dmhelper | head -n 1)" 2>/dev/null || kill "-$signal" "$runner"
	wait "$runner" || :
	wait_until 10 no_cookie
	pkill -x sleep || :
done
assert_no_cookies

# Interrupted while it waits for udev.
setsid dmhelper cookie run -- sh -c 'dmhelper cookie inc "$DM_UDEV_COOKIE"' &
runner=$!
wait_until 10 cookie_waited_for
kill -TERM "$runner"
status=0
wait_for_job "$runner" || status=$? # not in a subshell, which could not wait for a child of ours
assert_eq 143 "$status" 'status after SIGTERM in the wait'
assert_no_cookies

# Time over: status 5, and nothing left.
assert_eq 5 "$(status_of dmhelper cookie run --timeout 500ms -- sh -c 'dmhelper cookie inc "$DM_UDEV_COOKIE"')" 'status after the time is over'
assert_no_cookies

create_all() {
	local i
	for i in $(seq "$count"); do dmsetup create "$1-$i" --table "0 2048 linear $DISK 0"; done
}
export -f create_all
export DISK count
milliseconds() { echo $(($(date +%s%N) / 1000000)); }

one=$(milliseconds)
create_all each
two=$(milliseconds)
dmhelper cookie run -- bash -c 'create_all together'
three=$(milliseconds)
for i in $(seq "$count"); do
	assert_link "/dev/mapper/each-$i" "each-$i"
	assert_link "/dev/mapper/together-$i" "together-$i"
done
# A matter of record: tests never depend on speed.
echo "rig: $count creates: $((two - one)) ms with a wait each, $((three - two)) ms under one cookie run"
step 'all made'
dmhelper cookie run -- dmsetup remove_all
step 'all removed'

# No task more: one line, and nothing left. The first clone is the guard's, the next the thread's, then the command's.
for call in 1 2 3; do
	status=0
	strace -qq -o /dev/null -e trace=clone,clone3,vfork -e inject=clone,clone3,vfork:error=EAGAIN:when="$call" \
		dmhelper cookie run true 2>/run/line || status=$?
	assert_eq '1 1' "$status $(wc -l </run/line)" "status and lines of call $call: $(</run/line)"
	expect_line '^dmhelper: .*: Try again; the limit of tasks is reached (ulimit -u, TasksMax=)$' "$(</run/line)"
	wait_until 10 no_cookie
done
