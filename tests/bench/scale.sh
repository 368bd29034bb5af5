# What it costs to look at 100, 1,000 and 5,000 devices, and as many cookies: dmhelper against the stock tools, in one
# guest and in turn.
# needs: lsblk strace perl
# timeout: 900
# memory: 2048
. /rig/bench.sh
disk 64M
# Without udevd: its processes would be measured as well.
stop_udevd
rm -rf /run/udev

# make_devices FIRST LAST: many with one process. A third of them lie on others, as volumes do.
make_devices() {
	local at batch=''
	for at in $(seq "$1" "$2"); do
		if [ $((at % 3)) -eq 0 ]; then
			batch+=";d$at,,,rw,0 8 linear $major:$((at - 2)) 0"
		else
			batch+=";d$at,,,rw,0 8 linear $DISK $((at * 8))"
		fi
		if [ $((at % 200)) -eq 0 ] || [ "$at" -eq "$2" ]; then
			dmsetup create --noudevsync --concise "${batch#;}"
			batch=''
		fi
	done
}
dmsetup create --noudevsync d0 --table "0 8 linear $DISK 0"
number=$(devno d0)
major=${number%%:*}

# cookies create|remove COUNT
cookies() {
	perl -e '
		my ($what, $count) = @ARGV;
		for my $base (1 .. $count) {
			my $key = 0x0d4d0000 | $base;
			# IPC_CREAT | IPC_EXCL, SETVAL, IPC_RMID
			my $set = semget($key, 1, $what eq "create" ? 03600 : 0) // die "$key: $!";
			($what eq "create" ? semctl($set, 0, 16, 1) : semctl($set, 0, 0, 0)) // die "$key: $!";
		}' "$1" "$2"
}
# look TABLE COMMAND: timed at the present size, without the shell's own part.
look() {
	local words
	read -r -a words <<<"$2"
	words[0]=$(command -v "${words[0]}")
	timeout 300 /rig/bench --in-guest look "$1" "$2" "$target" "${words[@]}" >>/rig/out/samples
}
# The descriptors, processes and questions to the kernel do not depend on the number of devices.
frugal() {
	strace -f -o /run/trace -e trace=ioctl,open,openat,clone,clone3,fork,vfork,execve "$@" >/dev/null || [ $? = 7 ]
	assert_eq '' "$(awk -F' = ' '/open/ && $NF + 0 > 8' /run/trace)" "descriptors past 8 of $*"
	assert_eq 1 "$(grep -cE 'exec|clone|fork' /run/trace)" "processes of $*"
}
first_line_of_monitor() {
	rm -f /run/monitor
	dmhelper monitor --kernel --json >/run/monitor 2>/dev/null &
	monitor=$!
	local deadline=$((SECONDS + 60))
	until [ -s /run/monitor ]; do
		[ "$SECONDS" -lt "$deadline" ] || fail 'monitor shows nothing'
		echo change >/sys/block/dm-0/uevent
		pause
	done
}

for target in 100 1000 5000; do
	make_devices "${count:-1}" $((target - 1))
	count=$target
	rounds=5
	if [ "$target" = 5000 ]; then rounds=3; fi
	assert_eq "$target" "$(dmhelper ls --no-headings -o name | wc -l)" 'devices'
	assert_eq "$target" "$(dmsetup info -c --noheadings -o name | wc -l)" 'devices of dmsetup'
	for _ in $(seq "$rounds"); do
		look devices 'dmhelper ls'
		look devices 'dmhelper ls -o name,uuid,devno,events'
		look devices 'dmhelper info --json'
		look devices 'dmsetup info -c'
		look devices 'dmhelper tree'
		look devices 'dmsetup ls --tree'
		look devices 'lsblk'
		look devices 'dmhelper doctor'
	done
	frugal dmhelper ls
	assert_eq 1 "$(grep -c DM_LIST_DEVICES /run/trace)" 'queries for the list'
	# One for each device is cheaper than the files of sysfs that tell the same.
	assert_eq "$target" "$(grep -c 'DM_DEV\|DM_TABLE' /run/trace || :)" 'queries for devices'
	frugal dmhelper tree
	frugal dmhelper doctor
	assert_eq 1 "$(grep -c DM_LIST_DEVICES /run/trace)" 'queries of doctor for the list'
	assert_eq $((2 * target)) "$(grep -c 'DM_DEV\|DM_TABLE' /run/trace || :)" 'queries of doctor for devices'

	cookies create "$target"
	assert_eq "$target" "$(dmhelper cookie list | grep -c ^0x0d4d)" 'cookies'
	assert_eq "$target" "$(dmsetup udevcookies | grep -c ^0xd4d)" 'cookies of dmsetup'
	for _ in $(seq "$rounds"); do
		look cookies 'dmhelper cookie list'
		look cookies 'dmsetup udevcookies'
	done
	cookies remove "$target"

	for _ in 1 2; do
		timed running 'monitor: start to first line, ms' "$target" first_line_of_monitor
		kill -TERM "$monitor"
		wait "$monitor" || :
		find /dev/mapper -name 'd*' -delete
		timed running 'listen: start, all links to make, ms' "$target" begin_side listen
		assert_eq "$target" "$(find /dev/mapper -type l | wc -l)" 'links'
		/rig/bench --in-guest resume d50 20 running 'listen: resume to answer, us' "$target" >>/rig/out/samples
		sample running 'listen: resident, kB' "$target" "$(awk '/VmRSS/ { print $2 }' "/proc/$(cat /run/listen.pid)/status")"
		end_side listen
	done
	echo "show| scale: $target devices after $SECONDS s"
done
assert_no_cookies
start_udevd
step 'measured'
