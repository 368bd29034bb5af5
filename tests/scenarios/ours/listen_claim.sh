# The claim of both of udevd's sockets: a living udevd keeps them, whichever kind it is of, also when it starts later; the link of a dead
# one stays; and udevadm is answered. From systemd 262 on, udevd's control path is a link to another socket.
# needs: perl
# timeout: 240
paths() { for path in control io.systemd.Udev; do stat -c '%N %F %i' "/run/udev/$path" 2>/dev/null || echo "no $path"; done; }
refused() {
	local line status=0
	line=$(timeout 20 dmhelper listen "$@" 2>&1) || status=$?
	assert_eq 1 "$status" "status beside a udevd: $line"
	expect_line 'listen uevents: Address already in use; a udevd ' "$line"
}
start_listen() {
	dmhelper listen "$@" --pid-file /run/listen.pid 2>/run/listen.log &
	job=$!
	wait_until 20 test -s /run/listen.pid
}
stop_listen() {
	kill -TERM "$job"
	wait_for_job "$job"
}
# synchronises NAME: whether libdevmapper waits for udev, and gets its link.
synchronises() {
	timeout 60 dmsetup create "$1" --table '0 8 error'
	assert_link "/dev/mapper/$1" "$1"
	timeout 60 dmsetup remove "$1"
	assert_no_link "/dev/mapper/$1"
}

say 'a living udevd, of this distribution'
before=$(paths)
refused
refused --claim-udev
assert_eq "$before" "$(paths)" 'its paths'
synchronises a
stop_udevd

say 'living, with the link of systemd 262: nobody else may take either path, whoever holds it'
rm -rf /run/udev
mkdir -p /run/udev
stand_in() { # NAME
	perl -MIO::Socket::UNIX -e '
		open my $comm, ">", "/proc/self/comm"; print $comm shift; close $comm;
		my $s = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "/run/udev/io.systemd.Udev", Listen => 1) or die $!;
		symlink "/run/udev/io.systemd.Udev", "/run/udev/control" or die $!;
		sleep 600' "$1" &
	udevd=$!
	wait_until 20 test -S /run/udev/control
}
for name in systemd-udevd somebody; do
	stand_in $name
	before=$(paths)
	for state in STOP CONT; do
		kill -$state $udevd
		refused
		refused --claim-udev
		assert_eq "$before" "$(paths)" "the paths of $name"
	done
	rm /run/udev/control
	refused --claim-udev
	kill $udevd
	wait $udevd || :
	rm -f /run/udev/io.systemd.Udev
done

say 'what a dead one has left: its link stays, and leads to the claim as long as that stands'
stand_in systemd-udevd
kill -KILL $udevd
wait $udevd || :
link=$(readlink /run/udev/control)
start_listen --claim-udev
assert_eq "$link" "$(readlink /run/udev/control)" 'the link'
synchronises a
refused --claim-udev
stop_listen
assert_eq "$link" "$(readlink /run/udev/control)" 'the link after the claim'
assert_eq "control" "$(ls /run/udev | grep -v data || :)" 'what is left'
# It leads nowhere: libdevmapper does not wait for nobody.
timeout 20 dmsetup create a --table '0 8 error'
timeout 20 dmsetup remove a
# A claim that was killed is no obstacle to the next.
start_listen --claim-udev
kill -KILL "$job"
wait "$job" || :
rm /run/listen.pid
start_listen --claim-udev
synchronises a
stop_listen
assert_eq "$link" "$(readlink /run/udev/control)" 'the link after two claims'
rm /run/udev/control

say 'where nothing was, nothing is left'
start_listen --claim-udev
synchronises a
assert_eq '600 600' "$(stat -c %a /run/udev/control /run/udev/io.systemd.Udev | xargs)" 'who may ask'

say 'udevadm is answered when all is done: the queue is handled, and it is told what is not there'
for _ in 1 2 3 4 5 6 7 8 9 10; do
	timeout 20 udevadm settle --timeout=10
	timeout 20 udevadm control --ping --timeout=10
done
kill -STOP "$job"
dmsetup create --noudevsync b --table '0 8 error'
timeout 60 udevadm settle --timeout=50 &
asking=$!
sleep 1
rig_assertions=$((rig_assertions + 1))
kill -0 $asking || fail 'settle has not waited'
kill -CONT "$job"
wait_for_job $asking
assert_link /dev/mapper/b b
timeout 20 udevadm wait --timeout=10 /dev/mapper/b
dmsetup remove b
if [ "$(udev_version)" -ge 262 ]; then
	assert_fails timeout 20 udevadm control --reload
	assert_fails timeout 20 udevadm control --exit
fi
status=0
timeout 5 udevadm trigger --settle --action=change /sys/class/mem/null || status=$?
assert_eq 124 "$status" 'trigger --settle waits for what only udevd sends'
stop_listen
assert_eq '' "$(ls /run/udev | grep -v data || :)" 'what is left'

say 'the udevd of this distribution starts, beside nothing and beside what the other kind has left'
for left in none socket; do
	[ $left = none ] || perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "/run/udev/io.systemd.Udev", Listen => 1) or die $!'
	start_listen --claim-udev
	start_udevd
	wait_for_job "$job"
	assert_eq '' "$(grep -E 'completed before|nobody waits|is not known' /run/listen.log || :)" 'doubts'
	synchronises a
	if [ "$(udev_version)" -ge 262 ]; then
		assert_eq /run/udev/io.systemd.Udev "$(readlink /run/udev/control)" 'its link'
	else
		assert_eq socket "$(stat -c %F /run/udev/control)" 'its socket'
	fi
	udevadm control --ping --timeout=20
	stop_udevd
	rm -f /run/udev/control /run/udev/io.systemd.Udev
done
start_udevd
step 'the end'
