# Several wait for one cookie: none is told too early that udev is done, none removes what another still waits for, and
# none waits for what has come already.
# timeout: 180
disk 64M
table="0 2048 linear $DISK 0"

all_wait() { dmhelper cookie list --json | grep -q "\"waiting\": $1"; }
# a_tool_joins: beside us, who wait already; its process is $tools.
a_tool_joins() {
	wait_until 20 all_wait 1
	dmsetup udevreleasecookie "$cookie" &
	tools=$!
	wait_until 20 all_wait 2
}
has_value() { dmhelper cookie list --json | grep -q "\"value\": $1"; }

# A tool that waits later than we do takes the first 1: the value is then what it is when nothing is missing.
say 'a tool begins to wait beside us'
for command in 'wait' 'release' 'wait --no-remove'; do
	cookie=$(dmsetup udevcreatecookie)
	pkill -STOP -x systemd-udevd
	dmsetup create --udevcookie "$cookie" late --table "$table"
	dmhelper cookie $command --timeout 60s "$cookie" &
	ours=$!
	a_tool_joins
	sleep 1
	expect_line 'udevd is stopped: 1 notification missing' "$(dmhelper cookie list)"
	pkill -CONT -x systemd-udevd
	wait_for_job "$ours"
	assert_link /dev/mapper/late late
	wait_for_job "$tools"
	assert_no_cookies
	dmsetup remove late
done

say 'the time is over while a tool waits: nothing has changed for it'
cookie=$(dmsetup udevcreatecookie)
dmhelper cookie inc "$cookie"
dmhelper cookie inc "$cookie"
dmhelper cookie wait --timeout 5s "$cookie" 2>/run/message &
ours=$!
a_tool_joins
status=0
wait_for_job "$ours" || status=$?
assert_eq 5 "$status" 'status after the time is over'
expect_line '2 notifications are missing after 5s' "$(cat /run/message)"
dmhelper cookie complete "$cookie"
wait_until 20 has_value 1
all_wait 1
dmhelper cookie complete "$cookie"
wait_for_job "$tools"
assert_no_cookies

say 'both are ours, and the first to wait leaves the cookie'
cookie=$(dmhelper cookie create)
dmhelper cookie inc "$cookie"
dmhelper cookie wait --no-remove --timeout 30s "$cookie" &
first=$!
wait_until 20 all_wait 1
dmhelper cookie release --timeout 30s "$cookie" &
second=$!
wait_until 20 all_wait 2
dmhelper cookie complete "$cookie"
wait_for_job "$first"
wait_for_job "$second"
assert_no_cookies

say 'both are ours, and the first to wait gives up'
cookie=$(dmhelper cookie create)
dmhelper cookie inc "$cookie"
dmhelper cookie wait --timeout 5s "$cookie" &
first=$!
wait_until 20 all_wait 1
dmhelper cookie release --timeout 30s "$cookie" &
second=$!
wait_until 20 all_wait 2
status=0
wait_for_job "$first" || status=$?
assert_eq 5 "$status" 'status of the first'
dmhelper cookie complete "$cookie"
wait_for_job "$second"
assert_no_cookies

say 'the tool beside us is killed: what is missing to it is missing to us'
cookie=$(dmsetup udevcreatecookie)
dmhelper cookie inc "$cookie"
dmhelper cookie wait --timeout 30s "$cookie" &
ours=$!
a_tool_joins
sleep 1
kill -KILL "$tools"
wait "$tools" || :
all_wait 1
kill -0 "$ours"
dmhelper cookie complete "$cookie"
wait_for_job "$ours"
ipcrm -S "$cookie"
step 'the end'
