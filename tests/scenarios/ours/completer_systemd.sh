# The completer's units under a real systemd, which holds its socket, and that of udevd: turned on and off, crashed, udevd
# restarted, while tools work.
# needs: file:/lib/systemd/systemd
# udevd: systemd
# timeout: 240
disk 64M
table="0 8 linear $DISK 8"
released() { timeout 60 "$@" || fail "not released: $*"; }
pid() { systemctl show -p MainPID --value dmhelper-completer.service; }
state() { systemctl is-active "dmhelper-completer.$1" || :; }
# marked: who completed the last event of the device: the event's own number stands in its record, or an older one.
marked() { prop "$1" DMHELPER_COMPLETE_SEQNUM || echo none; }
assert_eq systemd "$(</proc/1/comm)" 'the first process'
# There is no journal here.
mkdir -p /run/systemd/system/dmhelper-completer.service.d
printf '[Service]\nStandardError=append:/run/words\n' >/run/systemd/system/dmhelper-completer.service.d/words.conf
systemctl daemon-reload

say 'it is off until it is turned on'
assert_eq 'disabled inactive' "$(systemctl is-enabled dmhelper-completer.socket || :) $(state socket)"
released dmsetup create a --table "$table"
quiesce
assert_eq none "$(marked a)" 'the mark'
released systemctl enable --now dmhelper-completer.socket
# The next event of udev starts the service.
released dmsetup rename a b
wait_until 30 test -e /run/dmhelper/completer
assert_eq 'active active' "$(state socket) $(state service)"
assert_eq "completer.d/$(pid)" "$(readlink /run/dmhelper/completer)" 'the token'
released dmsetup rename b a
first=$(marked a)
assert_eq "$(</sys/kernel/uevent_seqnum)" "$first" 'the mark'
assert_eq '' "$(</run/words)" 'what it complains of'

say 'it crashes: systemd keeps the socket and starts it again'
before=$(pid)
kill -STOP "$before"
dmsetup rename a b &
tool=$!
wait_until 20 cookie_waited_for
settle
kill -KILL "$before"
wait_for_job "$tool"
assert_no_cookies
assert_eq yes "$([ "$(pid)" != "$before" ] && echo yes)" 'another process'
wait_until 20 test -e /run/dmhelper/completer

say 'udevd is restarted, with events in its own socket, which systemd holds as well'
pkill -STOP -x systemd-udevd
dmsetup rename b a &
tool=$!
wait_until 20 cookie_waited_for
pkill -KILL -o -x systemd-udevd
wait_for_job "$tool"
assert_no_cookies
released dmsetup rename a b
released systemctl restart systemd-udevd.service
released dmsetup rename b a
assert_eq yes "$([ "$(marked a)" -gt "$first" ] && echo yes)" 'the completer did it'

say 'stopped alone it comes back with the next event; turned off it stays off'
released systemctl stop dmhelper-completer.service
words() { grep -c "$1" /run/words || :; }
assert_eq 1 "$(words 'the completer before this one did not end in order')" 'what it says after a crash'
assert_eq 1 "$(words 'listen: [1-9][0-9]* cookies completed')" 'what it says at its end'
released dmsetup rename a b
wait_until 30 test -e /run/dmhelper/completer
released systemctl disable --now dmhelper-completer.socket
assert_eq 'inactive inactive' "$(state socket) $(state service)"
assert_no_link /run/dmhelper/completer
last=$(marked b)
released dmsetup rename b a
settle
assert_eq none "$(marked a)" "the mark (it was $last)"
released dmsetup remove a

say 'one that cannot start takes nothing with it'
released systemctl enable --now dmhelper-completer.socket
mv /usr/sbin/dmhelper /usr/sbin/dmhelper.away
udevadm trigger --settle "/sys/block/${DISK#/dev/}"
failed() { [ "$(state service)" = failed ]; }
wait_until 60 failed
mv /usr/sbin/dmhelper.away /usr/sbin/dmhelper
released dmsetup create a --table "$table"
released dmsetup remove a
systemctl status --no-pager dmhelper-completer.socket dmhelper-completer.service || :
released systemctl disable --now dmhelper-completer.socket
assert_no_cookies
step 'the end'
