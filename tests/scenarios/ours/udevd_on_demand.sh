# systemd holds udevd's sockets and has not started it: nothing that asks for a udevd starts one, and all take it for one. And
# what doctor advises where somebody has removed its socket gives it back.
# needs: file:/lib/systemd/systemd
# udevd: systemd
# timeout: 240
disk 64M
table="0 8 linear $DISK 8"
dmsetup create one --table "$table"
quiesce
state() { { dmhelper explain --json one || :; } | sed -n '/^  "udevd": {/,/^  }/s/.*"state": "\(.*\)",/\1/p'; }
main_pid() { systemctl show -p MainPID --value systemd-udevd.service; }
status_of() { "$@" >/run/said 2>&1 && echo 0 || echo $?; }
is_started() { [ "$(main_pid)" != 0 ]; }
is_stopped() { ! is_started && no_udevd; }
assert_eq systemd "$(</proc/1/comm)" 'the first process'

say 'it is started with the next event, and with no question'
assert_eq running "$(state)"
systemctl stop systemd-udevd.service
wait_until 30 is_stopped
assert_eq 'on demand' "$(state)"
expect_line 'not started yet; systemd starts it with the next event' "$(dmhelper explain one)"
assert_eq 0 "$(status_of dmhelper doctor)" doctor
assert_eq 5 "$(status_of dmhelper wait --name --timeout 1s 'what nobody makes')" 'wait'
assert_eq 0 "$(status_of dmhelper wait --for settled --timeout 20s one)" 'wait'
assert_eq 0 "$(status_of dmhelper cookie run true)" 'cookie run'
assert_fails dmhelper listen --claim-udev
assert_fails dmhelper listen
cookie=$(dmhelper cookie create)
expect_line 'kept (' "$(dmhelper cookie reap --yes)"
dmhelper cookie release "$cookie"
assert_eq 'on demand' "$(state)"
assert_eq 0 "$(main_pid)" 'the udevd that a question has started'
timeout 60 dmsetup create two --table "$table"
wait_until 20 is_started
assert_eq running "$(state)"
quiesce
assert_link /dev/mapper/two two

say 'its socket is removed: what doctor advises gives it back'
rm -f /run/udev/control
assert_eq running "$(state)"
timeout 60 dmsetup --verifyudev create three --table "$table"
quiesce
status=0
dmhelper doctor >/run/said || status=$?
assert_eq 7 "$status" doctor
expect_line 'udevd is running, but /run/udev/control is not there' "$(cat /run/said)"
advice=$(tr '\n' ' ' </run/said | tr -s ' ' | sed -n 's/.*\(systemctl stop systemd-udevd; [^>]*systemctl start systemd-udevd\).*/\1/p')
expect_line 'systemctl restart' "$advice"
(eval "$advice")
wait_until 20 is_started
replay change
assert_eq running "$(state)"
# What tools have made meanwhile.
dmhelper doctor --fix --yes
assert_eq 0 "$(status_of dmhelper doctor)" "$(cat /run/said)"
timeout 60 dmsetup remove three
dmsetup remove two
step 'the end'
