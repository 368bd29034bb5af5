# Whatever happens to devices, `dmhelper listen` works in the memory that it has locked at its start: it asks the kernel
# for none, and no page of it has to be brought in.
# needs: strace
# timeout: 240
listen_is_gone() { ! pgrep -x dmhelper >/dev/null; }
stop_udevd
rm -rf /run/udev
disk 16M
table="0 2048 linear $DISK 4096"
dmhelper listen --claim-udev --daemon --pid-file /run/listen.pid
listener=$(cat /run/listen.pid)
dmsetup create steady --uuid STEADY-1 --table "$table"

# Sizes, what is locked, and what has been brought in from a disk. The number of minor faults is the tenth field of stat;
# the second is a name without spaces.
memory() {
	grep -E '^Vm(Size|Data|Stk|Lck|RSS|Swap):' "/proc/$listener/status"
	awk '{ print "major faults:", $12 }' "/proc/$listener/stat"
}
faults() { awk '{ print $10 }' "/proc/$listener/stat"; }
# storm N: reloads, changes that no tool has caused, renames, lives.
storm() {
	local i
	for i in $(seq "$1"); do
		dmsetup reload steady --table "$table"
		dmsetup resume steady
		echo change >"/sys/block/$(kernel_name steady)/uevent"
	done
	assert_link /dev/disk/by-id/dm-uuid-STEADY-1 steady
	for i in $(seq $(($1 / 3))); do
		dmsetup rename steady "name$i"
		dmsetup rename "name$i" steady
	done
	assert_link /dev/mapper/steady steady
	for i in $(seq "$1"); do
		dmsetup create "life$i" --table "$table"
		dmsetup remove "life$i"
	done
	assert_eq '/dev/mapper/steady' "$(find /dev/mapper -type l)" 'links'
}
storm 9
before=$(memory)
faults_before=$(faults)
echo "$before"
assert_eq 'VmLck: locked' "$(awk '/VmLck/ { print "VmLck:", ($2 > 0 ? "locked" : "not locked") }' "/proc/$listener/status")" 'memory'
strace -f -o /run/strace -e trace=%memory,recvmsg -p "$listener" 2>/dev/null &
tracer=$!
traced() { ! grep -q '^TracerPid:[[:space:]]*0$' "/proc/$listener/status"; }
wait_until 20 traced
storm 60
kill -TERM "$tracer"
wait "$tracer" || :
rig_assertions=$((rig_assertions + 1))
events=$(grep -c 'recvmsg(.*) = [1-9]' /run/strace)
[ "$events" -ge 280 ] || fail "the tracer saw $events events only"
assert_eq '' "$(grep -v recvmsg /run/strace || :)" 'calls that ask for memory'
assert_eq "$before" "$(memory)" 'memory after the events'
# User-Mode Linux counts a fault when a page is touched for the first time, even if it is there and locked: a seldom used
# page of the program may have been left.
rig_assertions=$((rig_assertions + 1))
[ $(($(faults) - faults_before)) -le 4 ] || fail "$(($(faults) - faults_before)) minor faults in $events events"
kill -TERM "$listener"
wait_until 20 listen_is_gone
assert_no_cookies
dmsetup remove --noudevsync steady
rm -rf /run/udev /dev/disk
start_udevd
dmsetup create last --table "$table"
step 'udevd is back'
dmsetup remove last
