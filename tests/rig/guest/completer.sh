#!/bin/bash
# For scenarios of the resident completer, which source it: events that udevd has in hand for as long as one likes, and a
# completer with a socket of its own.

# Rules that take their time before 95-dm-notify, and programs that run after all rules.
cat >/etc/udev/rules.d/05-slow.rules <<'RULES'
KERNEL=="dm-*", ENV{DM_COOKIE}=="?*", TEST=="/run/slow-rules", PROGRAM="/bin/sleep 30"
KERNEL=="dm-*", ENV{DM_COOKIE}=="?*", TEST=="/run/slow-run", RUN+="/bin/sleep 30"
KERNEL=="dm-*", ENV{DM_COOKIE}=="?*", TEST=="/run/failing", IMPORT{program}="/bin/false", RUN+="/bin/false"
RULES
reload_rules

# begin rules|run COMMAND...: the command in the background ($tool, its words in /run/tool), its event where the rules take
# their time, or its programs.
begin() {
	touch "/run/slow-$1"
	"${@:2}" >/run/tool 2>&1 &
	tool=$!
	wait_until 20 pgrep -f '^/bin/sleep 30'
	rm "/run/slow-$1"
}
# wake: the event goes on.
wake() { pkill -f '^/bin/sleep 30' || :; }
kill_worker() {
	kill -KILL "$(ps -o ppid= -p "$(pgrep -f '^/bin/sleep 30')")"
	wake # it may have gone with its worker
}
# ended: the tool has ended well, and without complaint; in time, so that only the completer can have done it.
ended() {
	wait_for_job "$tool"
	assert_eq '' "$(</run/tool)" 'what the tool says'
	assert_no_cookies
}

# start_completer [OPTION...]: its process is $completer, its words are in /run/words.
start_completer() {
	rm -f /run/completer.pid # one that was killed leaves it
	dmhelper listen --complete-only --pid-file /run/completer.pid "$@" 2>/run/words &
	completer=$!
	wait_until 20 test -s /run/completer.pid
}
# told PATTERN: it has said a line that matches; it completes first and speaks then.
told() {
	rig_assertions=$((rig_assertions + 1))
	wait_until 20 grep -q -e "$1" /run/words
}
stop_completer() {
	kill -TERM "$completer"
	wait_for_job "$completer"
	cat /run/words
}

# missing: the notifications that the only cookie still misses.
missing() { dmhelper cookie list --json | sed -n 's/.*"missing": \([0-9]*\),/\1/p'; }
missing_is() { [ "$(missing)" = "$1" ]; }
