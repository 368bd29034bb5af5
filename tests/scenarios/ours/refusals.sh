# What listen, event, monitor and wait cannot do they refuse in one clear line and with the documented status: words that
# cannot be understood, a place that is taken, no permission, no netlink.
# needs: strace
mkdir /run/r
user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
# refused STATUS LINE COMMAND...: LINE is a pattern for all of it.
refused() {
	local expected=$1 line=$2 status=0
	shift 2
	timeout 20 "$@" >/run/r/out 2>/run/r/line || status=$?
	assert_eq "$expected 1" "$status $(wc -l </run/r/line)" "status and lines of '$*': $(</run/r/line)"
	rig_assertions=$((rig_assertions + 1))
	grep -qx -- "dmhelper: $line" /run/r/line || fail "'$*' says: $(</run/r/line)"
	assert_eq '' "$(</run/r/out)" "what '$*' prints"
}

# --- words
refused 2 "command listen: size 1G: not a number of bytes such as 65536, 64K or 8M; see dmhelper listen --help" dmhelper listen --queue 1G
refused 2 "command listen: time soon: not a duration .*; see dmhelper listen --help" dmhelper listen --blkid-timeout soon
refused 2 '--blkid-timeout infinity: a device that never answers would stop everything' dmhelper listen --blkid-timeout infinity
refused 2 "command listen: unrecognized argument: --nonsense; see dmhelper listen --help" dmhelper listen --nonsense
refused 2 "command listen: no value provided for option \"--pid-file\"; see dmhelper listen --help" dmhelper listen --pid-file
refused 2 "command listen: takes options alone, not word; see dmhelper listen --help" dmhelper listen word
refused 1 'run /nonexistent/blkid: No such file or directory' dmhelper listen --blkid /nonexistent/blkid
refused 4 'run /proc/version: permission denied' dmhelper listen --daemon --blkid /proc/version
refused 2 "command event: takes options alone, not word; see dmhelper event --help" dmhelper event word
refused 2 "command monitor: size 1G: not a number of bytes such as 65536, 64K or 8M; see dmhelper monitor --help" dmhelper monitor --queue 1G
refused 2 "command monitor: unrecognized argument: --nonsense; see dmhelper monitor --help" dmhelper monitor --nonsense
refused 2 "command listen: size 1G: .*; see dmhelper listen --help" dmhelper listen --queue=1G
refused 2 'command lis: no such command; did you mean ls or listen? see dmhelper --help' dmhelper lis
refused 2 'command cookie frob: no such command; see dmhelper cookie --help' dmhelper cookie frob
refused 2 'wait DEVICE: say what to wait for' dmhelper wait

# --- a udevd has the place already
for command in 'listen' 'listen --claim-udev' 'listen --daemon'; do
	# shellcheck disable=SC2086
	refused 1 'listen uevents: Address already in use; a udevd is running: the events are its own' dmhelper $command
done
refused 1 'listen uevents: Address already in use; a udevd is running: the events are its own' \
	env ACTION=add DEVPATH=/devices/virtual/block/dm-0 dmhelper event
refused 4 '.*: permission denied.*' "${user[@]}" dmhelper wait --for event one

# --- no udevd, and no permission
stop_udevd
rm -rf /run/udev
refused 2 'event environment: no ACTION and DEVPATH: the device manager runs this for each uevent' dmhelper event
refused 4 'open /dev/mapper/control: permission denied' "${user[@]}" dmhelper listen
refused 4 'open /dev/mapper/control: permission denied' "${user[@]}" dmhelper listen --daemon --claim-udev
refused 4 'open /dev/mapper/control: permission denied' \
	"${user[@]}" env ACTION=add DEVPATH=/devices/virtual/block/dm-0 SUBSYSTEM=block MAJOR=253 MINOR=0 dmhelper event
refused 1 'write /nonexistent/pid: No such file or directory' dmhelper listen --daemon --pid-file /nonexistent/pid
assert_no_link /run/udev/control

# --- no netlink: a kernel without it, or a sandbox
without_netlink() {
	# shellcheck disable=SC2086
	refused 1 'listen uevents: Protocol not supported' \
		strace -f -qq -o /dev/null -e trace="$1" -e inject="$1:error=EPROTONOSUPPORT" dmhelper $2
}
without_netlink socket monitor
without_netlink socket 'wait --for present never'
# These have other sockets before, to find out whether a udevd runs; the first that they bind is netlink's.
without_netlink bind listen
without_netlink bind 'listen --claim-udev'
start_udevd
dmsetup create last --table '0 2048 error'
step 'udevd is back'
dmsetup remove last
