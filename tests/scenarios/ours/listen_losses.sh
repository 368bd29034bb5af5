# More events than the kernel keeps for us, a storm of them, and `dmhelper event` once for each.
# timeout: 240
listen_is_gone() { ! pgrep -x dmhelper >/dev/null; }
stop_udevd
rm -rf /run/udev

# --- losses: a small queue, and nobody to read it
disk 16M
dmhelper listen --claim-udev --queue 4096 --pid-file /run/listen.pid 2>/run/listen.log &
job=$!
wait_until 20 test -s /run/listen.pid
dmsetup create before --table '0 2048 error'
kill -STOP "$job"
dmsetup create lost --table '0 2048 error' &
tool=$!
wait_until 20 cookie_waited_for
for i in $(seq 60); do
	dmsetup create --noudevsync "burst$i" --table '0 2048 error'
	[ "$((i % 2))" = 0 ] || dmsetup remove --noudevsync "burst$i"
done
dmsetup rename --noudevsync before after
kill -CONT "$job"
wait_until 20 grep -q 'events were lost' /run/listen.log
all_burst_links() { [ "$(find /dev/mapper -name 'burst*' -type l | wc -l)" = 30 ]; }
wait_until 20 all_burst_links
for i in $(seq 60); do
	if [ "$((i % 2))" = 0 ]; then assert_link "/dev/mapper/burst$i" "burst$i"; else assert_no_link "/dev/mapper/burst$i"; fi
done
assert_link /dev/mapper/after after
assert_no_link /dev/mapper/before
# The cookie whose event may be among the lost ones is named, or its event was not lost and the tool is done.
if kill -0 "$tool" 2>/dev/null && cookie_waited_for; then
	expect_line 'cookie 0x0d4d.* is waited for and may have lost its events' "$(cat /run/listen.log)"
	wait_until 60 reapable
	dmhelper cookie reap --yes
fi
wait_for_job "$tool"
assert_link /dev/mapper/lost lost
kill -TERM "$job"
wait_for_job "$job"
expect_line 'listen: [0-9]* events, [0-9]* cookies completed, [0-9]* datagrams dropped, [1-9][0-9]* times overrun' "$(cat /run/listen.log)"
assert_no_cookies
dmsetup remove_all --noudevsync 2>/dev/null
rm -rf /run/udev /dev/mapper/burst* /dev/mapper/after /dev/mapper/lost /dev/disk

# --- a storm ends in the right state
dmhelper listen --claim-udev --daemon --pid-file /run/listen.pid
# What the path from an event to its completion needs is there from the start, and locked: the process asks the system
# for no memory however many events come.
dmsetup create --noudevsync storm --table '0 2048 error' && dmsetup remove storm
memory() { awk '/VmData|VmStk|VmLck/' "/proc/$(cat /run/listen.pid)/status"; }
before=$(memory)
for i in $(seq 300); do dmsetup create --noudevsync storm --table '0 2048 error' && dmsetup remove --noudevsync storm; done
dmsetup create storm --table '0 2048 error'
assert_link /dev/mapper/storm storm
dmsetup remove storm
assert_no_link /dev/mapper/storm
assert_eq '' "$(find /dev/mapper -type l)" 'links after the storm'
assert_eq "$before" "$(memory)" 'memory after the storm'
kill -TERM "$(cat /run/listen.pid)"
wait_until 20 listen_is_gone
assert_no_link /run/listen.pid
rm -rf /run/udev

# --- a record for which there is no room
mkdir -p /run/udev/data
mount -t tmpfs -o size=64k none /run/udev/data
dmhelper listen --claim-udev --pid-file /run/listen.pid 2>/run/listen.log &
job=$!
wait_until 20 test -s /run/listen.pid
dmsetup create --notable full
dmsetup load full --table '0 2048 error' # announces it
wait_until 20 test -s "/run/udev/data/b$(cat /sys/block/"$(kernel_name full)"/dev)"
cat /dev/zero >/run/udev/data/full 2>/dev/null || :
dmsetup resume full
assert_link /dev/mapper/full full
expect_line 'write .*/run/udev/data/b[0-9:]*: No space left on device' "$(cat /run/listen.log)"
rm /run/udev/data/full
kill -TERM "$job"
wait_for_job "$job"
start_udevd
replay add
assert_link /dev/mapper/full full
expect_line S:mapper/full "$(cat "/run/udev/data/b$(cat /sys/block/"$(kernel_name full)"/dev)")"
dmsetup remove full
assert_no_link /dev/mapper/full
stop_udevd
umount /run/udev/data
rm -rf /run/udev

# --- one call for each event, as mdev and mdevd make them
mkdir -p /run/udev
touch /run/udev/control # so that tools synchronise
perl -e '
	socket(my $s, 16, 3, 15) or die $!;
	bind($s, pack("SSLL", 16, 0, 0, 1)) or die $!;
	while (defined recv($s, my $event, 65536, 0)) {
		my ($head, @properties) = split /\0/, $event;
		next unless grep { $_ eq "SUBSYSTEM=block" } @properties;
		local %ENV = (PATH => $ENV{PATH}, map { split /=/, $_, 2 } @properties);
		system("dmhelper", "event");
	}' &
manager=$!
sleep 1
timeout 20 dmsetup create one --uuid ONE-1 --table '0 2048 error'
assert_link /dev/mapper/one one
assert_link /dev/disk/by-id/dm-uuid-ONE-1 one
timeout 20 dmsetup rename one two
assert_link /dev/mapper/two two
assert_no_link /dev/mapper/one
timeout 20 dmsetup remove two
assert_eq '' "$(find /dev/mapper -type l)" 'links after the removal'
assert_eq '' "$(find /run/udev/data -name 'b25*')" 'records after the removal'
assert_no_cookies
kill "$manager"
wait "$manager" || :
# Whatever cannot be found out, the cookie is completed.
cookie=$(dmhelper cookie create)
dmhelper cookie inc "$cookie"
ln -sf control /run/udev/control
assert_fails env ACTION=change DEVPATH=/devices/virtual/block/dm-77 SUBSYSTEM=block DM_COOKIE=$((cookie & 0xffff)) dmhelper event
rm /run/udev/control
dmhelper cookie wait --without-udevd --timeout 10s "$cookie"
rm -rf /run/udev
start_udevd
dmsetup create last --table '0 2048 error'
step 'udevd is back'
dmsetup remove last
