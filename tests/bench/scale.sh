# What it costs to look at 100, 1,000 and 5,000 devices: dmhelper against the stock tools, in one guest and in turn.
# Lines that begin with "show|" are shown.
# needs: lsblk strace
# timeout: 900
# memory: 2048
disk 64M
# Without udevd: its processes would be measured as well.
stop_udevd
rm -rf /run/udev

now() { printf -v "$1" '%s' "${EPOCHREALTIME/./}"; }
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

commands=(
	'dmhelper ls'
	'dmhelper ls -o name,uuid,devno,events'
	'dmhelper ls -o name,devno,open,segments,events'
	'dmsetup info -c'
	'dmhelper tree'
	'dmsetup ls --tree'
	'lsblk'
	'dmhelper name 253:0'
)
commands[7]="dmhelper name $number"
commands+=('dmhelper doctor' 'dmhelper explain d50')
declare -A time
rounds=3
count=1
for target in 100 1000 5000; do
	make_devices "$count" $((target - 1))
	count=$target
	assert_eq "$target" "$(dmhelper ls --no-headings -o name | wc -l)" 'devices'
	for _ in $(seq "$rounds"); do
		for command in "${commands[@]}"; do
			now begin
			# 7: doctor finds that there is no udevd, and so for each device.
			timeout 300 $command >/run/out 2>/run/line || [ $? = 7 ] || fail "$command: $(cat /run/line)"
			now end
			spent=$(((end - begin) / 1000))
			best=${time[$command $target]:-}
			if [ -z "$best" ] || [ "$spent" -lt "$best" ]; then time[$command $target]=$spent; fi
		done
	done
	strace -f -o /run/trace -e trace=ioctl,open,openat dmhelper ls >/dev/null
	assert_eq 1 "$(grep -c DM_LIST_DEVICES /run/trace)" 'queries for the list'
	# One for each device is cheaper than the files of sysfs that tell the same.
	assert_eq "$target" "$(grep -c 'DM_DEV\|DM_TABLE' /run/trace || :)" 'queries for devices'
	assert_eq '' "$(awk -F' = ' '/open/ && $NF + 0 > 8' /run/trace)" 'descriptors past 8'
	strace -f -o /run/trace -e trace=open,openat,clone,clone3,fork,vfork,execve dmhelper tree >/dev/null
	assert_eq '' "$(awk -F' = ' '/open/ && $NF + 0 > 8' /run/trace)" 'descriptors past 8 of tree'
	assert_eq 1 "$(grep -cE 'exec|clone|fork' /run/trace)" 'processes'
	strace -f -o /run/trace -e trace=ioctl,open,openat,clone,clone3,fork,vfork,execve dmhelper doctor >/dev/null || [ $? = 7 ]
	assert_eq '' "$(awk -F' = ' '/open/ && $NF + 0 > 8' /run/trace)" 'descriptors past 8 of doctor'
	assert_eq 1 "$(grep -cE 'exec|clone|fork' /run/trace)" 'processes of doctor'
	assert_eq 1 "$(grep -c DM_LIST_DEVICES /run/trace)" 'queries of doctor for the list'
	assert_eq $((2 * target)) "$(grep -c 'DM_DEV\|DM_TABLE' /run/trace || :)" 'queries of doctor for devices'
	echo "rig: $target devices"
done
printf 'show| %-46s %8s %8s %8s %18s\n' "milliseconds, best of $rounds" 100 1000 5000 'growth 1000-5000'
for command in "${commands[@]}"; do
	printf 'show| %-46s %8s %8s %8s %17s×\n' "$command" "${time[$command 100]}" "${time[$command 1000]}" "${time[$command 5000]}" \
		"$(awk -v a="${time[$command 1000]}" -v b="${time[$command 5000]}" 'BEGIN { printf "%.1f", b / (a ? a : 1) }')"
done
start_udevd
step 'measured'
