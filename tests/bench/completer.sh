# How long a tool waits for its cookie when a process completes it and when the resident completer does, under one udevd and in
# turn.
# timeout: 400
. /rig/bench.sh
disk 64M
table="0 2048 linear $DISK 4096"
for round in $(seq "$BENCH_ROUNDS"); do
	for side in process completer; do
		if [ "$side" = completer ]; then
			dmhelper listen --complete-only 2>/dev/null &
			completer=$!
			wait_until 20 test -e /run/dmhelper/completer
		fi
		quiesce
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			timed wall 'dmsetup create' "$side" dmsetup create bench --table "$table"
			timed wall 'dmsetup remove' "$side" dmsetup remove bench
		done
		if [ "$side" = completer ]; then
			kill -TERM "$completer"
			wait_for_job "$completer"
		fi
	done
	echo "show| completer: round $round of $BENCH_ROUNDS after $SECONDS s"
done
assert_no_cookies
step 'measured'
