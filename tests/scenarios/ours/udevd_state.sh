# Whether a udevd processes events is known of each kind, alive or left behind, and in other namespaces: a living one is never
# taken for absent, and what is not known releases no cookie.
# timeout: 300
disk 64M
table="0 2048 linear $DISK 2048"
dmsetup create one --table "$table"
quiesce

# What is known of udevd, for programs.
state() { { dmhelper explain --json one || :; } | sed -n '/^  "udevd": {/,/^  }/s/.*"state": "\(.*\)",/\1/p'; }
# assert_spared: a tool has waited for a notification for longer than a cookie must be unchanged, and keeps its cookie.
assert_spared() {
	sleep 11
	expect_line ' kept (' "$(dmhelper cookie reap --yes)"
	assert_eq 1 "$(dm_semaphores | wc -l)" 'cookies'
}
# Nobody knows of its event but us.
tool_waits() {
	cookie=$(dmhelper cookie create)
	dmhelper cookie inc "$cookie"
	dmhelper cookie release --without-udevd --timeout 120s "$cookie" &
	tool=$!
	wait_until 20 cookie_waited_for
}
tool_ends() {
	dmhelper cookie complete "$cookie"
	wait_for_job "$tool"
}
# udevd's sockets, as they lie in its directory.
hide_sockets() { mkdir -p /run/away && for name in control io.systemd.Udev; do [ ! -L "/run/udev/$name" ] && [ ! -e "/run/udev/$name" ] || mv "/run/udev/$name" /run/away/; done; }
show_sockets() { mv /run/away/* /run/udev/; }
status_of() { "$@" >/run/said 2>&1 && echo 0 || echo $?; }

say 'the udevd of this system'
assert_eq running "$(state)"
assert_eq 0 "$(status_of dmhelper doctor)" doctor
expect_line 'running, with nothing left to do' "$(dmhelper explain one)"
cat >/etc/udev/rules.d/05-slow.rules <<'RULES'
KERNEL=="dm-*", ACTION=="change", ENV{DM_COOKIE}=="?*", TEST=="/run/slow", PROGRAM="/bin/sleep 60"
RULES
reload_rules
touch /run/slow
dmsetup create slow --table "$table" &
job=$!
wait_until 20 pgrep -f '^/bin/sleep 60'
rm /run/slow
assert_spared
assert_fails dmhelper listen --claim-udev
pkill -f '^/bin/sleep 60' || :
wait_for_job "$job"
quiesce
assert_link /dev/mapper/slow slow
dmsetup remove slow

say 'somebody has removed its socket: it lives, and tools do not know'
hide_sockets
assert_eq running "$(state)"
status=0
dmhelper doctor >/run/said || status=$?
assert_eq 7 "$status" 'doctor of a removed socket'
expect_line 'udevd is running, but /run/udev/control is not there' "$(cat /run/said)"
assert_fails dmhelper listen --claim-udev
tool_waits
assert_eq stuck "$(sleep 11; dmhelper cookie list --json | sed -n 's/.*"verdict": "\(.*\)",/\1/p')"
tool_ends
show_sockets
assert_eq 0 "$(status_of dmhelper doctor)" doctor

say 'it is stopped'
pkill -STOP -x systemd-udevd
assert_eq stopped "$(state)"
pkill -CONT -x systemd-udevd

say 'a set-uid program that a user starts under its name is none, running or stopped'
ln -s /bin/su /run/systemd-udevd
mkfifo /run/never
chmod 666 /run/never
udevd=$(pgrep -x systemd-udevd)
setsid setpriv --reuid 65534 --regid 65534 --clear-groups /run/systemd-udevd root -c true <>/run/never >/dev/null 2>&1 &
wait_until 20 pgrep -f '^/run/systemd-udevd root'
impostor=$(pgrep -f '^/run/systemd-udevd root')
expect_line '^Uid:.65534.0' "$(cat "/proc/$impostor/status")"
dmhelper wait --for settled --timeout 10s one
kill -STOP "$impostor"
kill -STOP "$udevd"
assert_eq stopped "$(state)"
kill -CONT "$udevd"
assert_eq running "$(state)"
cookie=$(dmhelper cookie create)
dmhelper cookie complete "$cookie"
sleep 11
expect_line 'removed: left behind' "$(dmhelper cookie reap --yes)"
stop_by_pid() { kill -TERM "$1"; while kill -0 "$1" 2>/dev/null; do sleep 0.1; done; }
stop_by_pid "$udevd"
hide_sockets
assert_eq absent "$(state)"
rm -rf /run/away
kill -KILL "$impostor"

say 'it was killed: nobody listens on what it has left'
start_udevd
pkill -KILL -x systemd-udevd
wait_until 20 no_udevd
assert_eq absent "$(state)"
status=0
dmhelper doctor >/run/said || status=$?
assert_eq 7 "$status" 'doctor of what was left'
expect_line 'udevd is gone, but /run/udev/control is still there' "$(cat /run/said)"
assert_eq 6 "$(status_of dmhelper wait --name --timeout 1s 'what nobody makes')" 'wait'
assert_eq 6 "$(status_of dmhelper cookie run true)" 'cookie run'
rm -f /run/udev/control /run/udev/io.systemd.Udev
ln -s /run/udev/io.systemd.Udev /run/udev/control
assert_eq absent "$(state)" 'with a link that leads nowhere'

say 'as systemd 262 has it: control is a link to a stream socket'
rm /run/udev/control
listen_as() {
	perl -MIO::Socket::UNIX -e '
		$0 = shift;
		my $socket = IO::Socket::UNIX->new(Type => eval shift, Local => "/run/udev/io.systemd.Udev", Listen => shift) or die $!;
		symlink "/run/udev/io.systemd.Udev", "/run/udev/control" or die $!;
		open my $ready, ">", "/run/ready";
		sleep 1000' "$@" &
	listener=$!
	wait_until 20 test -e /run/ready
	rm /run/ready
}
unlisten() {
	kill -KILL "$listener"
	wait "$listener" || :
	rm -f /run/udev/control /run/udev/io.systemd.Udev
}
listen_as systemd-udevd SOCK_STREAM 8
assert_eq running "$(state)"
assert_fails dmhelper listen --claim-udev
expect_line 'a udevd is running' "$(dmhelper listen --claim-udev 2>&1 || :)"
assert_eq /run/udev/io.systemd.Udev "$(readlink /run/udev/control)"
assert_eq 5 "$(status_of dmhelper wait --name --timeout 1s 'what nobody makes')" 'wait'
kill -STOP "$listener"
assert_eq stopped "$(state)"
tool_waits
assert_spared
tool_ends
unlisten

say 'who is not known is a doubt, and nothing is released for it'
for kind in 'SOCK_STREAM 8' 'SOCK_DGRAM 0'; do
	# shellcheck disable=SC2086 # two words
	listen_as stranger $kind
	assert_eq unknown "$(state)" "$kind"
	assert_fails dmhelper listen --claim-udev
	tool_waits
	assert_spared
	expect_line 'whether udevd runs is not known: an unknown process holds its control socket' "$(dmhelper cookie list)"
	tool_ends
	unlisten
done
listen_as stranger SOCK_STREAM 8
timeout 60 dmsetup --noudevsync --verifyudev create two --table "$table"
assert_explained udevd-unknown two
assert_finds() { for reason in $1; do expect_line "\"reason\": \"$reason\"" "$(dmhelper doctor --json || :)"; done; }
assert_finds udevd-unknown
unlisten
timeout 60 dmsetup --noudevsync remove two
assert_eq absent "$(state)"

say 'in another network namespace it takes events as well'
unshare --net /usr/lib/systemd/systemd-udevd --daemon
again udevadm control --ping --timeout=20
assert_eq running "$(state)"
dmsetup create three --table "$table"
quiesce
assert_link /dev/mapper/three three
pkill -STOP -x systemd-udevd
assert_eq stopped "$(state)"
dmsetup remove three &
job=$!
wait_until 20 cookie_waited_for
assert_spared
pkill -CONT -x systemd-udevd
wait_for_job "$job"
hide_sockets
assert_eq running "$(state)" 'without its socket'
assert_finds control-missing
show_sockets
stop_udevd

say 'with a /run of its own, but the same cookies, nobody does harm; with its own cookies it is none of ours'
rm -f /run/udev/control /run/udev/io.systemd.Udev
# contained OPTION...: a udevd in other namespaces.
contained() {
	unshare --mount "$@" sh -c 'mount -t tmpfs none /run && mkdir /run/udev && exec /usr/lib/systemd/systemd-udevd' &
	container=$!
	wait_until 20 grep -qE '/run/udev/(control|io.systemd.Udev)' /proc/net/unix
}
contained
assert_eq unknown "$(state)"
assert_fails dmhelper listen --claim-udev
tool_waits
assert_spared
tool_ends
kill "$container"
wait "$container" || :
contained --ipc
assert_eq absent "$(state)"
kill "$container"
wait "$container" || :
rm /etc/udev/rules.d/05-slow.rules
start_udevd
replay add

say 'the same from a chroot with a /run of its own, and from a container with the cookies of the host'
tool_waits
sleep 11
expect_line "kept (whether udevd runs is not known)" "$(unshare --mount sh -c 'mount -t tmpfs none /run && dmhelper cookie reap --yes')"
expect_line "kept (whether udevd runs is not known)" "$(unshare --mount --net --pid --fork sh -c 'mount -t proc none /proc && mount -t tmpfs none /run && dmhelper cookie reap --yes')"
tool_ends
step 'the end'
