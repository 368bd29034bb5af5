# Datagrams that neither the kernel nor root's udevd has sent, while monitor and wait are running: dropped, counted, and
# believed by nobody. And more events than a waiter's queue holds: it looks again, and sees what it waits for.
# needs: perl
disk 16M
table="0 2048 linear $DISK 4096"
mkdir /run/f
dmsetup create there --table "$table"
quiesce

# forge GROUP PROPERTY...: an event as the kernel (1) or udevd (2) frames it; RUBBISH as it stands.
cat >/run/f/forge.pl <<'PERL'
	my ($group, @properties) = @ARGV;
	my $rubbish = "@properties" eq "RUBBISH";
	my $text = join("", map { "$_\0" } @properties);
	$text = "libudev\0" . pack("NLLLLLLL", 0xfeedcafe, 40, 40, length $text, 0, 0, 0, 0) . $text if $group == 2 && !$rubbish;
	$text = "$1\@$2\0$text" if $group == 1 && "@properties" =~ /ACTION=(\S+) DEVPATH=(\S+)/;
	socket(my $socket, 16, 3, 15) or die $!;
	bind($socket, pack("SSLL", 16, 0, 0, 0)) or die $!;
	defined send($socket, $text, 0, pack("SSLL", 16, 0, 0, $group)) or die $!;
PERL
# A process may send to a group with a capability alone, without being root.
capable() { setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=+net_admin --ambient-caps=+net_admin "$@"; }
properties() { # properties ACTION
	local node number
	node=$(kernel_name there)
	number=$(devno there)
	printf '%s\n' "ACTION=$1" "DEVPATH=/devices/virtual/block/$node" SUBSYSTEM=block "DEVNAME=/dev/$node" "MAJOR=${number%:*}" "MINOR=${number#*:}" SEQNUM=999999 DM_NAME=forged
}

dmhelper monitor >/run/f/text 2>/run/f/last &
monitor=$!
dmhelper wait --for gone --timeout 60s there 2>/run/f/gone &
gone=$!
dmhelper wait --for event --timeout 60s there 2>/run/f/event &
event=$!
followed() { [ -n "$(find "/proc/$1/fd" -lname '*/mapper/control')" ]; }
for process in "$monitor" "$gone" "$event"; do wait_until 20 followed "$process"; done
sleep 0.5
mapfile -t remove < <(properties remove)
mapfile -t change < <(properties change)
perl /run/f/forge.pl 1 "${remove[@]}"         # root plays the kernel
capable perl /run/f/forge.pl 1 "${remove[@]}" # somebody else does
capable perl /run/f/forge.pl 2 "${change[@]}" # somebody plays udevd
perl /run/f/forge.pl 2 RUBBISH                # root, but no event
rig_assertions=$((rig_assertions + 1))
for process in "$gone" "$event"; do kill -0 "$process" || fail "a waiter believed it: $(cat /run/f/gone /run/f/event)"; done
echo change >"/sys/block/$(kernel_name there)/uevent"
quiesce
wait_until 20 grep -q ' kernel change there ' /run/f/text
dmsetup remove there
wait_for_job "$gone"
kill -TERM "$event" "$monitor"
wait "$event" || :
wait_for_job "$monitor"
cat /run/f/text /run/f/last
assert_eq 0 "$(grep -c forged /run/f/text || :)" 'lines about a forged event'
assert_eq 1 "$(grep -c 'events, 4 datagrams dropped, 0 overruns' /run/f/last)" "$(</run/f/last)"

# --- an ordinary user's queue is as small as the system's limit
setpriv --reuid=nobody --regid=nogroup --clear-groups dmhelper wait --timeout 60s awaited 2>/run/f/awaited &
job=$!
subscribed() { [ -n "$(find "/proc/$1/fd" -lname '*inotify*')" ]; }
wait_until 20 subscribed "$job"
sleep 0.5
kill -STOP "$job"
inodes=$(find "/proc/$job/fd" -lname 'socket:*' -printf '%l\n' | tr -dc '0-9\n')
overran() { [ "$(awk -v inodes="$inodes" 'index(inodes, $10) && $9 > 0' /proc/net/netlink | wc -l)" -gt 0 ]; }
uevent=/sys/block/${DISK#/dev/}/uevent
for _ in $(seq 100); do
	for _ in $(seq 100); do echo change >"$uevent"; done
	if overran; then break; fi
done
rig_assertions=$((rig_assertions + 1))
overran || fail "the queue did not overrun: $(cat /proc/net/netlink)"
dmsetup create awaited --table "$table"
quiesce
kill -CONT "$job"
wait_for_job "$job"
assert_eq 'dmhelper: wait: events were lost, more came than the kernel keeps; looking at the devices again' "$(</run/f/awaited)" 'what the waiter says'
dmsetup remove awaited
quiesce
step 'the end'
