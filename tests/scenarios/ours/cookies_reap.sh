# What `cookie reap` must not remove, and that one trouble does not keep it from the rest.
# timeout: 240
disk 64M
table="0 2048 linear $DISK 0"

say 'what it does cannot be told: it is done all the same, and the failure is told in the end'
for _ in 1 2 3; do dmhelper cookie create; done
status=0
message=$(dmhelper cookie reap --older-than 0 --yes 2>&1 >/dev/full) || status=$?
assert_eq 1 "$status" 'status on a full disk'
expect_line 'write standard output: No space left on device' "$message"
assert_eq 1 "$(wc -l <<<"$message")" 'told once'
assert_no_cookies
for _ in 1 2 3; do dmhelper cookie create; done
status=0
dmhelper cookie complete-all --yes >/dev/full || status=$?
assert_eq 1 "$status" 'status on a full disk'
assert_no_cookies

say 'the tool that waits is stopped: the kernel counts it no longer, and udev completes what is left'
pkill -STOP -x systemd-udevd
dmsetup create held --table "$table" &
job=$!
wait_until 20 cookie_waited_for
kill -STOP "$job"
is_stopped() { grep -q '^State:.*stopped' "/proc/$1/status"; }
wait_until 20 is_stopped "$job"
pkill -CONT -x systemd-udevd
settle
expect_line '"value": 0' "$(dmhelper cookie list --json)"
expect_line '"waiting": 0' "$(dmhelper cookie list --json)"
expect_line "in use, perhaps by dmsetup\[$job\], which is stopped" "$(dmhelper cookie list)"
# Past the grace that a complete cookie has.
sleep 12
expect_line 'kept (a stopped process may wait for it; --older-than says when none does)' "$(dmhelper cookie reap --yes)"
kill -CONT "$job"
wait_for_job "$job"
assert_no_cookies
assert_link /dev/mapper/held held
step 'the tool went on'
dmsetup remove held

say 'who stands in for udevd has not read the event yet'
stop_udevd
rm -rf /run/udev
dmhelper listen --claim-udev --daemon --pid-file /run/listen.pid
kill -STOP "$(cat /run/listen.pid)"
dmsetup create unread --table "$table" &
job=$!
wait_until 20 cookie_waited_for
# Past the grace after which nothing more is expected of an idle udevd.
sleep 12
expect_line 'waiting for udev for .*, dmsetup\[' "$(dmhelper cookie list)"
expect_line 'kept (udev may still complete it)' "$(dmhelper cookie reap --yes)"
assert_explained cookie-waiting "$(dm_semaphores)"
assert_eq 0 "$(dmhelper doctor | grep -c 'is stuck' || :)" 'nothing is stuck for doctor either'
kill -CONT "$(cat /run/listen.pid)"
wait_for_job "$job"
assert_link /dev/mapper/unread unread
dmsetup remove unread
assert_no_cookies
kill -TERM "$(cat /run/listen.pid)"
