# How long a tool waits for its cookie under udevd with the stock rules, udevd with ours, and `dmhelper listen`, in one
# guest and in turn; how many events a second `listen` handles; its memory. Lines that begin with "show|" are shown.
# timeout: 900
disk 64M
table="0 2048 linear $DISK 4096"
rounds=5
pairs=20
devices=1000

kill_udevd() {
	stop_udevd
	rm -rf /run/udev
}
listen_is_gone() { ! pgrep -x dmhelper >/dev/null; }
rules=/usr/lib/udev/rules.d
mkdir -p /run/ours
cp "$rules"/{55-dm,56-lvm,60-persistent-storage-dm,95-dm-notify}.rules /run/ours/

start() {
	case $1 in
	stock | ours)
		rm -f "$rules"/{55-dm,56-lvm,60-persistent-storage-dm,95-dm-notify}.rules
		if [ "$1" = stock ]; then cp /run/rig-stock/*.rules "$rules"; else cp /run/ours/*.rules "$rules"; fi
		start_udevd
		;;
	listen) dmhelper listen --claim-udev --daemon --pid-file /run/listen.pid ;;
	esac
}
stop() {
	if [ "$1" = listen ]; then
		kill -TERM "$(cat /run/listen.pid)"
		wait_until 20 listen_is_gone
		rm -rf /run/udev
	else
		kill_udevd
	fi
}
# Microseconds, without a process.
now() { printf -v "$1" '%s' "${EPOCHREALTIME/./}"; }

kill_udevd
for round in $(seq "$rounds"); do
	for side in stock ours listen none; do
		[ "$side" = none ] || start "$side"
		for _ in $(seq "$pairs"); do
			now begin
			dmsetup create bench --table "$table"
			now middle
			dmsetup remove bench
			now end
			printf '%s\n' $((middle - begin)) >>"/run/bench-create-$side"
			printf '%s\n' $((end - middle)) >>"/run/bench-remove-$side"
		done
		[ "$side" = none ] || stop "$side"
	done
	echo "rig: round $round"
done

# statistic FILE PERCENT: that percentile, in microseconds.
statistic() { sort -n "$1" | awk -v percent="$2" '{ value[NR] = $1 } END { i = int(NR * percent / 100 + 0.5); print value[i < 1 ? 1 : i] }'; }
printf 'show| %-34s %12s %12s %12s %12s\n' "microseconds, $((rounds * pairs)) of each, in turn" 'udevd+stock' 'udevd+ours' 'listen' 'no udev'
for operation in create remove; do
	for percent in 50 99; do
		printf 'show| %-34s' "dmsetup $operation, percentile $percent"
		for side in stock ours listen none; do printf ' %12s' "$(statistic "/run/bench-$operation-$side" "$percent")"; done
		printf '\n'
	done
done

# Events a second: a queue of changes of one device, then a cookie behind them.
dmhelper listen --claim-udev --daemon --pid-file /run/listen.pid
listener=$(cat /run/listen.pid)
dmsetup create many --table "$table"
kill -STOP "$listener"
uevent=/sys/block/$(kernel_name many)/uevent
for _ in $(seq 2000); do echo change >"$uevent"; done
now begin
kill -CONT "$listener"
dmsetup create behind --table "$table"
now end
printf 'show| listen: %d events a second (2000 queued changes of one device, then a cookie)\n' $((2000 * 1000000 / (end - begin)))
dmsetup remove behind
dmsetup remove many

# The same for monitor, until the last line is written.
dmhelper monitor --kernel --json >/run/monitor.json 2>/dev/null &
monitor=$!
dmsetup create many --table "$table"
wait_until 20 test -s /run/monitor.json
kill -STOP "$monitor"
for _ in $(seq 2000); do echo change >"$uevent"; done
now begin
kill -CONT "$monitor"
monitored() { [ "$(wc -l </run/monitor.json)" -ge 2000 ]; }
deadline=$((SECONDS + 60))
until monitored; do [ "$SECONDS" -lt "$deadline" ] || fail "monitor has written $(wc -l </run/monitor.json) of 2000 lines"; done
now end
kill -TERM "$monitor"
wait "$monitor" || :
printf 'show| monitor --json: at least %d events a second (2000 queued changes of one device)\n' $((2000 * 1000000 / (end - begin)))
dmsetup remove many

# A storm of 1000 lives ends in the right state.
now begin
for _ in $(seq 1000); do dmsetup create --noudevsync storm --table "$table" && dmsetup remove --noudevsync storm; done
dmsetup create after --table "$table"
now end
assert_eq '/dev/mapper/after' "$(find /dev/mapper -type l)" 'links after the storm'
dmsetup remove after
printf 'show| listen: a storm of 1000 creations and removals, right state %d ms after its begin\n' $(((end - begin) / 1000))

for i in $(seq "$devices"); do dmsetup create --noudevsync "d$i" --table "$table"; done
dmsetup create last --table "$table"
assert_eq $((devices + 1)) "$(find /dev/mapper -type l | wc -l)" 'links'
printf 'show| listen: %s resident, all of it locked, with %s devices\n' "$(awk '/VmRSS/ { print $2 " " $3 }' "/proc/$listener/status")" "$devices"
kill -TERM "$listener"
wait_until 20 listen_is_gone
assert_no_cookies
start ours
step 'measured'
