#!/bin/bash
# Second stage of the guest, inside the writable overlay: install the rules under test, start udevd, run the scenario
# under its own deadline, switch the machine off. What the host needs to know is written to /rig/out.
# shellcheck source=/dev/null
. /rig/config # RIG_RULES, RIG_LAYOUT, RIG_DEADLINE, RIG_UDEV_DEBUG, RIG_INIT
export RIG_RULES PAGER=cat SYSTEMD_COLORS=0 LC_ALL=C HOME=/root TERM=dumb
PATH=/usr/sbin:/usr/bin:/sbin:/bin
cd /

rules=/usr/lib/udev/rules.d

# What our rules stand in for, by Debian's names.
stock=("$rules"/{55-dm,56-lvm,60-persistent-storage-dm,95-dm-notify}.rules)

install_rules() {
	case $RIG_RULES in
	ours-* | listen-*)
		mkdir -p /run/rig-stock # for measurements that compare both in one guest
		cp "${stock[@]}" /run/rig-stock/
		rm -f "${stock[@]}"
		;;
	esac
	if [ "$RIG_LAYOUT" = upstream ]; then as_upstream; fi
	case $RIG_RULES in
	stock) ;;
	broken) # Proves that the comparison can fail: the stock rules without one of their links.
		sed -i '/disk\/by-uuid\//d' "$rules/60-persistent-storage-dm.rules" ;;
	ours-* | listen-*) cp -a /rig/install/. / ;;
	esac
	# A scenario may bring neighbours of its own.
	if [ -d /rig/rules.d ]; then cp /rig/rules.d/*.rules "$rules/"; fi
}

# Makes what is left of Debian's rules those of lvm2 and multipath-tools, as Fedora and Arch have them: under their own
# names, and without what Debian adds: DM_UDEV_RULES (bookworm), and a vgchange by udevd where systemd is not running.
as_upstream() {
	local pair
	for pair in 55-dm:10-dm 56-lvm:11-dm-lvm 56-dm-mpath:11-dm-mpath 56-dm-parts:11-dm-parts \
		60-persistent-storage-dm:13-dm-disk 60-kpartx:66-kpartx 69-lvm:69-dm-lvm; do
		if [ -e "$rules/${pair%:*}.rules" ]; then mv "$rules/${pair%:*}.rules" "$rules/${pair#*:}.rules"; fi
	done
	if [ -e "$rules/10-dm.rules" ]; then
		sed -i -e '/[{"]DM_UDEV_RULES["}]/d' \
			-e 's/^ENV{DM_UDEV_PRIMARY_SOURCE_FLAG}!="1", GOTO="dm_disable"/ENV{DM_UDEV_RULES_VSN}!="1", &/' "$rules/10-dm.rules"
	fi
	sed -i '/GOTO="lvm_direct_vgchange"/d' "$rules/69-dm-lvm.rules"
}

# The tools run as on any machine, except that LVM must not look at, or write to, what belongs to the host.
configure_tools() {
	mkdir -p /run/lock /run/lvm /run/multipath /var/lib/rig /etc/lvm
	cat >/etc/lvm/lvmlocal.conf <<-'CONF'
		devices { use_devicesfile = 0 }
		backup { backup = 0
		archive = 0 }
		global { use_lvmpolld = 0
		event_activation = 1 }
		activation { udev_sync = 1
		udev_rules = 1
		monitoring = 0 }
	CONF
	# Without systemd there is no machine id, which LVM and multipath ask for in passing.
	[ -s /etc/machine-id ] || echo 0123456789abcdef0123456789abcdef >/etc/machine-id
}

# With our rules dmsetup is out of udevd's reach, in the mount namespace that udevd has of its own: whoever runs it from a
# rule runs a recorder that fails. The scenario itself, outside, uses the real one.
hide_dmsetup() {
	cp /usr/sbin/dmsetup /run/rig-real-dmsetup
	cat >/run/rig-recorder <<-'SH'
		#!/bin/sh
		# kpartx_id, a neighbour's own script that is left as it is, cannot do without.
		if tr '\0' ' ' <"/proc/$PPID/cmdline" | grep -q '/kpartx_id '; then exec /run/rig-real-dmsetup "$@"; fi
		echo "dmsetup $* (from: $(tr '\0' ' ' <"/proc/$PPID/cmdline"))" >>/run/rig-dmsetup-calls
		exit 1
	SH
	chmod +x /run/rig-recorder
}

start_udevd() {
	case $RIG_RULES in ours-*) hide_dmsetup ;; esac
	if [ "$RIG_INIT" = systemd ]; then
		if [ -e /run/rig-recorder ]; then
			mkdir -p /run/systemd/system/systemd-udevd.service.d
			printf '[Service]\nBindReadOnlyPaths=/run/rig-recorder:/usr/sbin/dmsetup\n' >/run/systemd/system/systemd-udevd.service.d/rig.conf
		fi
		systemctl daemon-reload
		systemctl start systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udevd.service
		return
	fi
	rm -f /run/udev/control # an initramfs may have left one that nobody listens to
	# shellcheck disable=SC2016
	unshare -m --propagation private /bin/sh -c '
		if [ -e /run/rig-recorder ]; then mount --bind /run/rig-recorder /usr/sbin/dmsetup || exit 1; fi
		echo $$ >/run/rig-udevd.pid
		if [ "$1" = yes ]; then exec /usr/lib/systemd/systemd-udevd --debug 2>/run/rig-udevd.log; fi
		exec /usr/lib/systemd/systemd-udevd' udevd "${RIG_UDEV_DEBUG:-no}" &
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		if [ -e /run/udev/control ]; then break; fi
		sleep 0.2
	done
	udevadm control --ping --timeout=20 || echo "rig: udevd does not answer"
}

# Instead of udevd.
start_listen() {
	mkdir -p /run/udev
	dmhelper listen --claim-udev --blkid /usr/sbin/blkid --pid-file /run/rig-listen.pid 2>/run/rig-listen.log &
	listen=$!
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		if [ -s /run/rig-listen.pid ]; then return; fi
		sleep 0.2
	done
	echo "rig: dmhelper listen is not ready"
}

# Its last words tell what it did.
stop_listen() {
	kill -TERM "$listen"
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		if [ ! -e /run/rig-listen.pid ]; then break; fi
		sleep 0.2
	done
	cp /run/rig-listen.log /rig/out/listen.log
}

# In a bash of its own.
run_scenario() {
	set -Eeuo pipefail
	trap '[ -e /rig/out/failure ] || echo "command failed near line $LINENO: $BASH_COMMAND" >/rig/out/failure' ERR
	# shellcheck source=tests/rig/guest/lib.sh
	. /rig/lib.sh
	# shellcheck source=/dev/null
	. "$1"
	quiesce
	record_state 'the end' >/rig/out/steps/999
	# Only a scenario that came this far was complete. The host refuses a run without this file.
	# shellcheck disable=SC2154 # lib.sh's
	printf '%s %s\n' "$rig_steps" "$rig_assertions" >/rig/out/end
}

explain_hang() {
	echo "the scenario did not end within $RIG_DEADLINE s" | tee /rig/out/failure
	echo "--- cookies"
	timeout 5 dmsetup udevcookies
	echo "--- devices"
	timeout 5 dmsetup info
	echo "--- processes"
	ps --ppid 2 -p 2 --deselect -o pid,stat,wchan:20,args
	[ -e /run/rig-udevd.log ] && tail -n 40 /run/rig-udevd.log
	[ -e /run/rig-listen.log ] && tail -n 40 /run/rig-listen.log
}

install_rules
configure_tools
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd # devtmpfs has only what the kernel knows
modprobe -a dm-mod loop
case $RIG_RULES in
listen-*) start_listen ;;
*)
	start_udevd
	udevadm trigger --action=add --subsystem-match=block
	udevadm settle --timeout=30
	;;
esac

# The scenario has a process group of its own, so that all of it can be killed, after a look at where it hangs. Job
# control gives it that, and the default signals: without, what a script starts with `&` ignores SIGINT for ever.
mkdir -p /rig/out/steps
mkfifo /run/rig-never
set -m
bash -c "$(declare -f run_scenario); run_scenario /rig/scenario.sh" </dev/null &
scenario=$!
{
	# Nobody ever writes there. A sleep would be a process that a scenario may kill by name.
	read -r -t "$RIG_DEADLINE" <>/run/rig-never || :
	explain_hang 2>&1
	kill -KILL -- "-$scenario"
} </dev/null &
watcher=$!
set +m
wait "$scenario"
status=$?
kill -- "-$watcher" 2>/dev/null
case $RIG_RULES in listen-*) stop_listen ;; esac
if [ "$status" -ne 0 ]; then echo "rig: the scenario ended with status $status"; fi
[ -e /run/rig-dmsetup-calls ] && cp /run/rig-dmsetup-calls /rig/out/dmsetup-calls
[ -e /run/rig-udevd.log ] && cp /run/rig-udevd.log /rig/out/udevd.log
sync
echo o >/proc/sysrq-trigger
sleep 10
