#!/bin/bash
# What a scenario may use. Sourced before it, in a bash with errexit, nounset and pipefail: any command that fails ends
# the scenario as failed. Nothing here passes by default: a scenario without a step or an assertion is refused.

rig_steps=0
rig_assertions=0
rig_disks=0
rig_raw=0

# --- for scenarios -----------------------------------------------------------------------------------------------

# step DESCRIPTION: wait until nothing moves any more, then record what udev knows and what /dev holds. In a parity
# scenario every step is compared between the two rule sets.
step() {
	quiesce
	rig_steps=$((rig_steps + 1))
	local file
	printf -v file '/rig/out/steps/%03d' "$rig_steps"
	echo "rig: step $rig_steps: $1 (after ${SECONDS} s)"
	record_state "$1" >"$file"
}

# udevd 252 sometimes drops a message on its control socket ("Invalid sender uid 65534"): a question is asked again, an
# order is given by a signal.
settle() { again udevadm settle --timeout=60; }
again() { "$@" || { sleep 0.2 && "$@"; } || { sleep 0.5 && "$@"; }; }
reload_rules() {
	pkill -HUP -x systemd-udevd || : # none where `listen` stands in its place, and no rules either
	sleep 0.5
	settle
}
stop_udevd() {
	pkill -TERM -x systemd-udevd || :
	wait_until 60 no_udevd
}
start_udevd() {
	/usr/lib/systemd/systemd-udevd --daemon
	again udevadm control --ping --timeout=20
}

# quiesce: settle, and see to it that no event comes after. A file descriptor closed after writing makes udevd ask for
# an event a little later, which `settle` alone does not know yet.
quiesce() {
	local before after
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		before=$(</sys/kernel/uevent_seqnum)
		settle
		sleep 0.15
		settle
		after=$(</sys/kernel/uevent_seqnum)
		if [ "$before" = "$after" ]; then return 0; fi
	done
	fail "events never cease: sequence number $after and rising"
}

# disk SIZE: a sparse disk; its device is in $DISK.
disk() {
	rig_disks=$((rig_disks + 1))
	local file=/var/lib/rig/disk$rig_disks
	truncate -s "$1" "$file"
	# shellcheck disable=SC2034 # for the scenario
	DISK=$(losetup --find --show "$file")
	quiesce
}

# replay ADD|CHANGE: ask udev to replay that event for every block device.
replay() {
	udevadm trigger --action="$1" --subsystem-match=block
	settle
}

# even_out: for use after a tool that wrote to a new device. udevd sets its watch after it has completed the cookie, so
# whether it sees the tool close the device is a race under any rules. Two spurious changes lead to the same state.
even_out() {
	quiesce
	replay change
	replay change
}

# after_writing: for use after a tool has written to a device that is in use already. udevd's watch sees the tool close
# it and looks again; without udevd nobody watches, and somebody has to ask.
after_writing() {
	if under_listen; then replay change; else quiesce; fi
}

# resume_with_flags NAME FLAGS [BASE]: resume a suspended device as a tool does that sends exactly these udev flags (the
# upper half of the cookie); with base 0 there is nothing to complete. No tool lets one choose the flags freely.
resume_with_flags() {
	perl -e '
		my ($name, $number) = @ARGV;
		# struct dm_ioctl: version[3], data_size, data_start, target_count, open_count, flags, event_nr, padding,
		# dev, name[128], uuid[129], data[7]; request 6 is DM_DEV_SUSPEND, which without DM_SUSPEND_FLAG resumes.
		my $request = pack("L10 Q a128 a129 a7", 4, 0, 0, 312, 312, 0, 0, 0, $number, 0, 0, $name, "", "");
		open(my $control, "+<", "/dev/mapper/control") or die "control: $!";
		ioctl($control, 0xc138fd06, $request) or die "resume $name: $!";
	' "$1" "$(($2 << 16 | ${3:-0}))"
}

# Linux 6.1 still takes them for names; 6.12 does not.
kernel_takes_dots() { printf '%s\n' "$(uname -r)" 6.12 | sort --check=quiet --version-sort; }

# create_raw NAME UUID: a device on $DISK, made by plain ioctls, so that no library mangles or refuses anything. The resume has a
# real cookie; whatever the name, the waiter must be released.
create_raw() {
	local cookie
	cookie=$(dmsetup udevcreatecookie)
	rig_raw=$((rig_raw + 1))
	perl -e '
		my ($name, $uuid, $cookie, $dev, $start) = @ARGV;
		open(my $control, "+<", "/dev/mapper/control") or die "control: $!";
		sub call {
			my ($number, $by_uuid, $event, $targets, $data) = @_;
			my $request = pack("L10 Q a128 a129 a7", 4, 0, 0, 312 + length $data, 312, $targets, 0, 0, $event, 0, 0,
				$number == 3 || !$by_uuid ? $name : "", $number == 3 || $by_uuid ? $uuid : "", "") . $data;
			ioctl($control, 0xc1380000 | 0xfd00 | $number, $request) or die "ioctl $number: $!";
		}
		my $parameters = "$dev $start\0";
		$parameters .= "\0" x (-length($parameters) % 8);
		call(3, 0, 0, 0, "");                                                                  # create
		call(9, 0, 0, 1, pack("Q Q l L a16", 0, 2048, 0, 40 + length $parameters, "linear") . $parameters); # load
		# one more completion to wait for, as libdevmapper does before its ioctl
		my $key = 0x0d4d << 16 | ($cookie & 0xffff);
		my $set = semget($key, 1, 0);
		defined $set or die "semget: $!";
		semop($set, pack("s!3", 0, 1, 0)) or die "semop: $!";
		call(6, 0, 0x60 << 16 | ($cookie & 0xffff), 0, "");                                     # resume
	' "$1" "$2" "$((cookie))" "$DISK" "$((4096 * rig_raw))"
	timeout 30 dmsetup udevreleasecookie "$cookie" || fail "the cookie of '$1' was not completed"
}

# on_terminal WIDTH COMMAND: what the command, one word, shows on a terminal that wide.
on_terminal() {
	mkdir -p /dev/pts
	mountpoint -q /dev/pts || mount -t devpts devpts /dev/pts
	COLUMNS=$1 script -qec "$2" /dev/null </dev/null | tr -d '\r'
}

# say TEXT: what comes next, in the log.
say() { printf 'rig: --- %s\n' "$*"; }

fail() {
	printf 'rig: FAILED: %s\n' "$*"
	[ -e /rig/out/failure ] || printf '%s\n' "$*" >/rig/out/failure
	record_state 'at the failure' >/rig/out/at-failure
	exit 1
}

# wait_until SECONDS COMMAND...: for effects that no event announces.
wait_until() {
	local seconds=$1 waited=0
	shift
	until "$@"; do
		waited=$((waited + 1))
		if [ "$waited" -gt $((seconds * 5)) ]; then fail "not within $seconds s: $*"; fi
		sleep 0.2
	done
}

# --- assertions --------------------------------------------------------------------------------------------------

# assert_eq EXPECTED ACTUAL [WHAT]
assert_eq() {
	rig_assertions=$((rig_assertions + 1))
	[ "$1" = "$2" ] || fail "${3:-value}: expected '$1', found '$2'"
}

# assert_fails COMMAND...
assert_fails() {
	rig_assertions=$((rig_assertions + 1))
	if "$@"; then fail "succeeded, but must not: $*"; fi
}

# expect_line PATTERN TEXT: some line of the text matches.
expect_line() {
	rig_assertions=$((rig_assertions + 1))
	grep -q -- "$1" <<<"$2" || fail "no line like '$1' in: $2"
}

# assert_link PATH DEVICE: PATH is a symbolic link, relative as udev makes them, to the node of the DM device.
assert_link() {
	rig_assertions=$((rig_assertions + 1))
	[ -L "$1" ] || fail "$1 is not a link"
	local want
	want=$(devnode "$2")
	[ "$(readlink -f -- "$1")" = "$want" ] || fail "$1 leads to $(readlink -- "$1"), not to $want ($2)"
}

assert_no_link() {
	rig_assertions=$((rig_assertions + 1))
	if [ -L "$1" ] || [ -e "$1" ]; then fail "$1 exists, but must not: $(ls -ld -- "$1")"; fi
}

# assert_prop DEVICE KEY VALUE: the udev database record of the DM device holds exactly this.
assert_prop() {
	rig_assertions=$((rig_assertions + 1))
	local found
	if ! found=$(prop "$1" "$2"); then fail "$1 has no property $2 (expected '$3')"; fi
	[ "$found" = "$3" ] || fail "$1: $2 is '$found', expected '$3'"
}

# assert_no_prop DEVICE KEY: absent or empty.
assert_no_prop() {
	rig_assertions=$((rig_assertions + 1))
	local found
	found=$(prop "$1" "$2") || return 0
	[ -z "$found" ] || fail "$1: $2 is '$found', expected none"
}

# assert_watched DEVICE yes|no: whether udevd watches the node for writers that close it.
assert_watched() {
	rig_assertions=$((rig_assertions + 1))
	local watched=no
	if [ -L "/run/udev/watch/b$(devno "$1")" ]; then watched=yes; fi
	[ "$watched" = "$2" ] || fail "$1: watched is $watched, expected $2"
}

# assert_unit UNIT STATE: systemd comes to hold the unit in that state (active, inactive, failed): it learns of an event
# after udev has settled.
assert_unit() {
	rig_assertions=$((rig_assertions + 1))
	wait_until 60 unit_is "$1" "$2"
}
unit_is() { [ "$(systemctl is-active "$1" || :)" = "$2" ]; }

assert_no_cookies() {
	rig_assertions=$((rig_assertions + 1))
	local left
	left=$(dm_semaphores)
	[ -z "$left" ] || fail "cookies left: $left"
}

# assert_explained REASON WORD [also]: `dmhelper explain` answers with this reason or, with `also`, gives it among others.
assert_explained() {
	local found
	rig_assertions=$((rig_assertions + 1))
	dmhelper explain "$2" || [ $? = 3 ]
	found=$({ dmhelper explain --json "$2" || :; } | sed -n 's/^ *"reason": "\(.*\)",/\1/p' | tail -n +2 | tr '\n' ' ')
	case "${3:-} $found" in " $1 "* | also*" $1 "*) ;; *) fail "$1 is not why $2, but $found" ;; esac
}

# --- questions ---------------------------------------------------------------------------------------------------

# kernel_name NAME: dm-N of the device that the kernel holds under exactly this name.
kernel_name() {
	local sys name
	for sys in /sys/block/dm-*; do
		name=$(<"$sys/dm/name") || continue
		if [ "$name" = "$1" ]; then
			echo "${sys##*/}"
			return 0
		fi
	done
	fail "no device is named '$1'"
}

# The helpers below run inside $(...): a failure in there must end the scenario, not only the subshell.
devnode() { local k && k=$(kernel_name "$1") && echo "/dev/$k"; }
devno() { local k && k=$(kernel_name "$1") && cat "/sys/block/$k/dev"; }

# prop DEVICE KEY: the stored property; status 1 when there is none.
prop() {
	local number
	number=$(devno "$1") || exit 1
	[ -e "/run/udev/data/b$number" ] || return 1
	sed -n "s/^E:$2=//p" "/run/udev/data/b$number" | grep -q '' || return 1
	sed -n "s/^E:$2=//p" "/run/udev/data/b$number"
}

# udev_version: systemd's, a number.
udev_version() { udevadm --version | grep -o '^[0-9]*'; }

# dm_semaphores: the key of every semaphore set that is a cookie (keys 0x0d4dXXXX).
dm_semaphores() {
	local key rest
	while read -r key rest; do
		case $key in key | '') continue ;; esac
		if [ $((key >> 16 & 0xffff)) -eq $((0x0d4d)) ]; then printf '0x%x\n' "$key"; fi
	done </proc/sysvipc/sem
}

# Conditions for wait_until.
cookie_exists() { [ -n "$(dm_semaphores)" ]; }
no_cookie() { [ -z "$(dm_semaphores)" ]; }
no_udevd() { ! pgrep -x systemd-udevd >/dev/null; }
# cookie_waited_for: a process waits for a notification.
cookie_waited_for() { dmhelper cookie list --json | grep -q '"waiting": [1-9]'; }
# reapable: a cookie is provably stuck by now.
reapable() { dmhelper cookie reap | grep -q 'would '; }

# wait_for_job PID: the status of a background job that must end within a minute.
wait_for_job() {
	# No sleep, which would be left to itself: the kernel hangs up on a scenario that has stopped a process when such a one ends.
	( read -r -t 60 <>/run/rig-never || :; kill -KILL "$1" ) 2>/dev/null &
	local watchdog=$! status=0
	wait "$1" || status=$?
	kill "$watchdog" 2>/dev/null || :
	return "$status"
}

# processes_of KERNEL_NAME ACTION[:EVENTS] COMMAND...: run the command, which must cause exactly one such event of the
# device (or so many), and print how many processes udevd started for them. Needs `# udevd: debug`.
processes_of() {
	local name=$1 action=${2%:*} expected=1 mark
	if [ "$2" != "$action" ]; then expected=${2#*:}; fi
	shift 2
	mark=$(wc -l </run/rig-udevd.log)
	"$@" >&2
	quiesce
	tail -n "+$((mark + 1))" /run/rig-udevd.log | awk -v device="$name: " -v action="ACTION=${action}[),]" -v expected="$expected" '
		index($0, device) != 1 { next }
		/: Starting .*55-scsi-sg3_id\.rules/ { next } # a neighbour that writes to the log about each disk without a SCSI id
		/: Processing device / { wanted = $0 ~ action; events += wanted }
		/: Starting / && wanted { started++ }
		END {
			if (events != expected) { print "events of " device action ": " events + 0 >"/dev/stderr"; exit 1 }
			print started + 0
		}'
}

# measure KIND COUNT: a number to be compared: ours must not exceed stock.
measure() {
	printf '%s\t%s\n' "$2" "$1" >>/rig/out/measures
	echo "rig: measured: $1: $2"
}

# Either as udevd's rules or as `dmhelper listen` in udevd's place.
under_our_rules() { case $RIG_RULES in ours-* | listen-*) return 0 ;; *) return 1 ;; esac; }
under_listen() { case $RIG_RULES in listen-*) return 0 ;; *) return 1 ;; esac; }

# --- the record --------------------------------------------------------------------------------------------------

# Fields end with NUL, because names may hold anything else. The host parses this (tests/rig/snapshot.rs).
record_state() {
	local sys name uuid suspended number data
	printf 'step\0%s\0' "$1"
	for sys in /sys/block/dm-*; do
		[ -e "$sys/dev" ] || continue
		name='' uuid='' suspended='' data=''
		IFS= read -r -d '' name <"$sys/dm/name" || :
		IFS= read -r -d '' uuid <"$sys/dm/uuid" || :
		read -r suspended <"$sys/dm/suspended" || :
		read -r number <"$sys/dev" || :
		if [ -e "/run/udev/data/b$number" ]; then IFS= read -r -d '' data <"/run/udev/data/b$number" || :; fi
		printf 'device\0%s\0%s\0%s\0%s\0%s\0%s\0' \
			"${sys##*/}" "$number" "${name%$'\n'}" "${uuid%$'\n'}" "$suspended" "$data"
	done
	find /dev -type l -printf 'link\0%p\0%l\0'
	# Tools fall back to making nodes themselves where udev made no link: that must show.
	find /dev -mindepth 2 -type b -printf 'node\0%p\0'
	mkdir -p /run/udev/watch /run/udev/tags # whichever nobody has needed yet
	find /run/udev/watch -type l -name 'b*' -printf 'watch\0%f\0'
	find /run/udev/tags -mindepth 2 -name 'b*' -printf 'tag\0%P\0'
	while read -r name; do printf 'semaphore\0%s\0' "$name"; done < <(dm_semaphores)
	record_units
}

# What systemd holds of the devices, by their links, and of what it does for them. Numbers are the kernel's business.
record_units() {
	local unit state
	[ "$(</proc/1/comm)" = systemd ] || return 0
	# Units of one device follow one another, and without --all only the first is listed.
	while read -r unit _ state _; do
		case $unit in 'dev-dm\x2d'* | dev-block-* | 'dev-disk-by\x2ddiskseq'* | 'dev-disk-by\x2dloop'* | dev-loop* | dev-tty*) continue ;; esac
		printf 'unit\0%s\0%s\0' "$unit" "$state"
	done < <(systemctl list-units --all --state=active,activating,failed --plain --no-legend \
		'dev-*.device' 'mnt*.mount' 'systemd-cryptsetup@*' 'lvm-activate-*')
}
