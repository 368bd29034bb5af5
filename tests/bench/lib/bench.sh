# shellcheck shell=bash
# What the benchmark's scenarios share; each sources it, after the rig's own lib.sh.
# shellcheck source=/dev/null
. /rig/settings

# now NAME: microseconds into that variable, without a process.
now() { printf -v "$1" '%s' "${EPOCHREALTIME/./}"; }

# sample TABLE ROW COLUMN NUMBER: the host makes medians and ratios of them.
sample() { printf '%s\t%s\t%s\t%s\n' "$@" >>/rig/out/samples; }

# sample_ms TABLE ROW COLUMN MICROSECONDS
sample_ms() {
	local ms
	printf -v ms '%d.%03d' $(($4 / 1000)) $(($4 % 1000))
	sample "$1" "$2" "$3" "$ms"
}

# timed TABLE ROW COLUMN COMMAND...: milliseconds of it, which must succeed.
timed() {
	local table=$1 row=$2 column=$3 begin end
	shift 3
	now begin
	"$@"
	now end
	sample_ms "$table" "$row" "$column" $((end - begin))
}

# pause: a moment, without a process.
pause() { read -r -t 0.02 <>/run/rig-never || :; }

# --- who processes events: stock, ours, listen, or none ------------------------------------------------------------

bench_rules=/usr/lib/udev/rules.d
mkdir -p /run/ours
cp "$bench_rules"/{55-dm,56-lvm,60-persistent-storage-dm,95-dm-notify}.rules /run/ours/

use_rules() {
	rm -f "$bench_rules"/{55-dm,56-lvm,60-persistent-storage-dm,95-dm-notify}.rules
	if [ "$1" = stock ]; then cp /run/rig-stock/*.rules "$bench_rules"; else cp /run/ours/*.rules "$bench_rules"; fi
}
begin_side() {
	case $1 in
	stock | ours)
		use_rules "$1"
		start_udevd
		;;
	listen) dmhelper listen --claim-udev --daemon --pid-file /run/listen.pid ;;
	none) ;;
	esac
}
listen_is_gone() { ! pgrep -x dmhelper >/dev/null; }
end_side() {
	case $1 in
	stock | ours) stop_udevd ;;
	listen)
		kill -TERM "$(cat /run/listen.pid)"
		wait_until 20 listen_is_gone
		;;
	esac
	rm -rf /run/udev
}
