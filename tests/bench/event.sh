# What tools wait for under udevd: the stock rules and ours, in turn in one guest. BENCH_LVS is the number of logical
# volumes that are activated at once, BENCH_ROUNDS how often both sides take turns.
# needs: lvm cryptsetup
# timeout: 900
# memory: 1024
. /rig/bench.sh
rounds=$BENCH_ROUNDS
pairs=5
few=10
many=$BENCH_LVS

# Volumes come and go here when they are told to.
sed -i 's/event_activation = 1/event_activation = 0/' /etc/lvm/lvmlocal.conf
disk 64M
table="0 2048 linear $DISK 4096"
disk 64M && encrypted=$DISK
printf 'very secret' >/run/key
cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$encrypted" /run/key

# volume_group NAME VOLUMES: written at once, by restoring a backup; lvcreate would take a second for each.
volume_group() {
	disk 256M
	pvcreate -q --metadatasize 8M "$DISK"
	vgcreate -q -s 64k "$1" "$DISK"
	vgcfgbackup -q -f /run/backup "$1"
	awk -v volumes="$2" '
		{ lines[NR] = $0 }
		/^\t}$/ { last = NR } # of the section of physical volumes
		END {
			for (n = 1; n <= NR; n++) {
				print lines[n]
				if (n != last) continue
				print "logical_volumes {"
				for (i = 0; i < volumes; i++)
					printf "lv%d { id = \"%06d-aaaa-bbbb-cccc-dddd-eeee-ffffff\"\nstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\n" \
						"segment_count = 1\nsegment1 { start_extent = 0\nextent_count = 1\ntype = \"striped\"\n" \
						"stripe_count = 1\nstripes = [ \"pv0\", %d ] } }\n", i, i, i
				print "}"
			}
		}' /run/backup >/run/restored
	vgcfgrestore -q -f /run/restored "$1"
	assert_eq "$2" "$(lvs --noheadings -o name "$1" | wc -l)" 'volumes'
}
volume_group few "$few"
volume_group many "$many"
quiesce

active() { dmsetup ls | grep -c "^$1-" || :; }
opened() { cryptsetup open --key-file /run/key "$encrypted" secret; }
activate() { vgchange -q -ay "$1" >/dev/null; }
deactivate() { vgchange -q -an "$1" >/dev/null; }

# cpu: ticks of udevd, its workers, and all that these have started and waited for.
cpu() {
	{ cat /proc/[0-9]*/stat 2>/dev/null || :; } | awk -v udevd="$(pgrep -o -x systemd-udevd)" '
		{ pid = $1; sub(/^.*\) /, "") }
		pid == udevd || $2 == udevd { ticks += $12 + $13 + $14 + $15 }
		END { print ticks }'
}
# charged ROW SIDE OPERATIONS TICKS_BEFORE: what udevd has spent since, for each operation.
charged() {
	settle
	sample_ms cpu "$1" "$2" $((($(cpu) - $4) * 10000 / $3))
}

linear() {
	local before
	before=$(cpu)
	for _ in $(seq "$pairs"); do
		timed wall 'dmsetup create' "$1" dmsetup create bench --table "$table"
		timed wall 'dmsetup remove' "$1" dmsetup remove bench
	done
	charged 'dmsetup create and remove' "$1" "$pairs" "$before"
}
luks() {
	local before
	before=$(cpu)
	for _ in $(seq "$pairs"); do
		timed wall 'cryptsetup open' "$1" opened
		timed wall 'cryptsetup close' "$1" cryptsetup close secret
	done
	charged 'cryptsetup open and close' "$1" "$pairs" "$before"
}
# volumes SIDE GROUP COUNT
volumes() {
	local before
	assert_eq 0 "$(active "$2")" 'active volumes'
	before=$(cpu)
	timed wall "activation of $3 LVs" "$1" activate "$2"
	charged "activation of an LV, $3 at once" "$1" "$3" "$before"
	assert_eq "$3" "$(active "$2")" 'active volumes'
	assert_eq "$3" "$(find "/dev/$2" -type l | wc -l)" 'links'
	before=$(cpu)
	timed wall "deactivation of $3 LVs" "$1" deactivate "$2"
	charged "deactivation of an LV, $3 at once" "$1" "$3" "$before"
	assert_eq 0 "$(active "$2")" 'active volumes'
}

stop_udevd
rm -rf /run/udev
for round in $(seq "$rounds"); do
	sides='stock ours'
	if [ $((round % 2)) -eq 0 ]; then sides='ours stock'; fi
	for side in $sides; do
		begin_side "$side"
		linear "$side"
		volumes "$side" few "$few"
		luks "$side"
		if [ "$round" -le 2 ]; then volumes "$side" many "$many"; fi
		settle
		end_side "$side"
	done
	echo "show| event: round $round of $rounds after $SECONDS s"
done

# How many processes udevd starts, once each: a count does not vary.
started() {
	local row=$1 mark
	shift
	quiesce
	mark=$(wc -l </run/rig-udevd.log)
	"$@"
	quiesce
	sample processes "$row" "$side" "$(tail -n "+$((mark + 1))" /run/rig-udevd.log | grep -c ': Starting ' || :)"
}
volume_group one 1
for side in stock ours; do
	use_rules "$side"
	/usr/lib/systemd/systemd-udevd --debug 2>/run/rig-udevd.log &
	again udevadm control --ping --timeout=20
	started 'dmsetup create' dmsetup create bench --table "$table"
	started 'dmsetup remove' dmsetup remove bench
	started 'activation of an LV' activate one
	started 'deactivation of an LV' deactivate one
	started 'cryptsetup open' opened
	started 'cryptsetup close' cryptsetup close secret
	end_side "$side"
done
assert_no_cookies
start_udevd
step 'measured'
