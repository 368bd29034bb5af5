# How long a tool waits under udevd with the stock rules, with ours, and under `dmhelper listen`, in one guest and in
# turn; how many events a second `listen` and `monitor` handle; memory.
# timeout: 400
. /rig/bench.sh
rounds=4
disk 64M
table="0 2048 linear $DISK 4096"
stop_udevd
rm -rf /run/udev

for round in $(seq "$rounds"); do
	for side in stock ours listen none; do
		begin_side "$side"
		dmsetup create bench --table "$table"
		case $side in
		none | listen)
			for _ in 1 2 3 4 5; do
				timed tool 'dmsetup create' "$side" dmsetup create more --table "$table"
				timed tool 'dmsetup remove' "$side" dmsetup remove more
			done
			;;
		esac
		if [ "$side" != none ]; then
			/rig/bench --in-guest resume bench 25 answer 'resume' "$side" >>/rig/out/samples
			assert_link /dev/mapper/bench bench
		fi
		dmsetup remove bench
		end_side "$side"
	done
	echo "show| listener: round $round of $rounds after $SECONDS s"
done

# Events a second: a queue of changes of one device, then a cookie behind them.
begin_side listen
listener=$(cat /run/listen.pid)
dmsetup create queued --table "$table"
uevent=/sys/block/$(kernel_name queued)/uevent
for _ in 1 2 3; do
	kill -STOP "$listener"
	for _ in $(seq 1000); do echo change >"$uevent"; done
	now begin
	kill -CONT "$listener"
	dmsetup create behind --table "$table"
	now end
	sample figures 'listen: events a second, 1,000 queued changes, then a cookie' figure $((1000 * 1000000 / (end - begin)))
	dmsetup remove behind
done

# The same for monitor, until the last line is written.
dmhelper monitor --kernel --json >/run/monitor.json 2>/dev/null &
monitor=$!
written() { [ "$(wc -l </run/monitor.json)" -ge "$1" ]; }
until [ -s /run/monitor.json ]; do
	[ "$SECONDS" -lt 300 ] || fail 'monitor shows nothing'
	echo change >"$uevent"
	pause
done
for _ in 1 2 3; do
	kill -STOP "$monitor"
	before=$(wc -l </run/monitor.json)
	for _ in $(seq 1000); do echo change >"$uevent"; done
	deadline=$((SECONDS + 60))
	now begin
	kill -CONT "$monitor"
	until written $((before + 1000)); do
		[ "$SECONDS" -lt "$deadline" ] || fail "monitor has written $(wc -l </run/monitor.json) lines"
		pause
	done
	now end
	sample figures 'monitor --json: events a second, at least' figure $((1000 * 1000000 / (end - begin)))
done
kill -TERM "$monitor"
wait "$monitor" || :

for batch in 0 1 2 3 4; do
	concise=''
	for i in $(seq 200); do concise+=";d$((batch * 200 + i)),,,rw,$table"; done
	dmsetup create --noudevsync --concise "${concise#;}"
done
dmsetup create last --table "$table"
assert_eq 1002 "$(find /dev/mapper -type l | wc -l)" 'links'
sample figures 'listen: kB resident, with 1,000 devices' figure "$(awk '/VmRSS/ { print $2 }' "/proc/$listener/status")"
sample figures 'listen: kB locked, with 1,000 devices' figure "$(awk '/VmLck/ { print $2 }' "/proc/$listener/status")"
end_side listen
assert_no_cookies
start_udevd
step 'measured'
