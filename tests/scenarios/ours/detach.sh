# detach removes stacks in order and leaves what is in use, with the reason; beside dmsetup, which removes one and says less.
# needs: lvm thin_check cryptsetup mkfs.ext4 mkswap perl module:dm-crypt module:dm-thin-pool
# timeout: 300
# shellcheck source=tests/rig/guest/detach.sh
. /rig/detach.sh
disk 128M && pv=$DISK
disk 64M && plain=$DISK
echo secret >/run/key
vgcreate -q vg "$pv"
lvcreate -q -y -T -L 48M -V 32M -n thin vg/pool
lvcreate -q -y -n lv -L 32M vg
cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/vg/lv /run/key
even_out
build() {
	vgchange -q -ay vg
	cryptsetup open --key-file /run/key /dev/vg/lv secret
	quiesce
}
build
every='secret vg-lv vg-pool vg-pool-tpool vg-pool_tdata vg-pool_tmeta vg-thin '
assert_eq "$every" "$(left)" 'devices'
step 'a LUKS volume on a volume, a thin pool'

# The plan, and nothing done: that is also what one gets who does not say --yes, with the status of what is left.
assert_eq 7 "$(detach --all)" 'status without --yes'
assert_eq 7 "$(grep -c '^would detach ' /run/said)" 'planned without --yes'
assert_eq 'nothing was changed; --yes does it' "$(tail -n 1 /run/said)" 'the last line of a plan'
assert_eq 0 "$(detach --all --dry-run --yes)" 'status of a dry run'
assert_eq "$every" "$(left)" 'devices after a dry run'
assert_eq 7 "$(grep -c '^would detach ' /run/said)" 'planned'
at() { grep -n "^would detach $1 " /run/said | cut -d : -f 1; }
for pair in secret:vg-lv vg-thin:vg-pool-tpool vg-pool:vg-pool-tpool vg-pool-tpool:vg-pool_tdata vg-pool-tpool:vg-pool_tmeta; do
	assert_eq first "$([ "$(at "${pair%:*}")" -lt "$(at "${pair#*:}")" ] && echo first)" "$pair in the plan"
done

# Words on the command line that are wrong remove nothing.
assert_eq 2 "$(detach)" 'no device'
assert_eq 2 "$(detach --all --yes secret)" 'all and one'
assert_eq 2 "$(detach --yes secret)" '--yes of one that is named'
assert_eq 3 "$(detach secret nothing)" 'one that is none'
assert_eq 1 "$(complaint 'detach nothing: no such device-mapper device')" 'what is said of none'
assert_eq "$every" "$(left)" 'devices after wrong words'

# What lies on another is not removed unless it is named or included; dmsetup says `busy` of the same.
dmsetup remove vg-lv 2>/run/dmsetup && fail 'dmsetup removed a device in use'
assert_eq 1 "$(grep -c 'Device or resource busy' /run/dmsetup)" 'the same by dmsetup'
assert_eq 7 "$(rehearsed vg-lv)" 'one that another lies on'
assert_eq 1 "$(complaint "detach vg-lv ($(number vg-lv)): in use: used by secret; open once")" 'the reason'
assert_eq "$every" "$(left)" 'devices after refusal'
assert_eq 0 "$(detach --with-dependants /dev/vg/lv)" 'with what lies on it'
assert_eq "vg-pool vg-pool-tpool vg-pool_tdata vg-pool_tmeta vg-thin " "$(left)" 'devices left'
assert_no_link /dev/mapper/secret
assert_no_link /dev/vg/lv
assert_no_cookies
step 'a stack removed'

# The thin pool as a whole; LVM finds it in order afterwards.
assert_eq 0 "$(rehearsed --timeout 60s --with-dependants vg-pool_tmeta vg-pool_tdata)" 'a thin pool'
assert_eq '' "$(left)" 'devices left of the pool'
build
mkfs.ext4 -q /dev/mapper/secret
even_out

# Mounted, mounted in another namespace only, swapped to: left with the reason, at once; all else goes.
mkdir -p /run/m
mount /dev/mapper/secret '/run/m'
mkswap -q /dev/vg/thin
swapon /dev/vg/thin
dmsetup create other --table "0 2048 linear $plain 4096"
quiesce
thin=$(number vg-thin) secret=$(number secret) lv=$(number vg-lv)
assert_eq 7 "$(rehearsed --timeout 60s --all --yes)" 'with some in use'
assert_eq 1 "$(complaint "detach secret ($secret): in use: mounted on /run/m; open once")" 'the mounted one'
assert_eq 1 "$(complaint "detach vg-lv ($lv): in use: used by secret; open once")" 'the one under it'
opens=$(dmsetup info -c --noheadings -o open vg-thin)
assert_eq 1 "$(complaint "detach vg-thin ($thin): in use: as swap; open $opens times; run swapoff first")" 'the swap'
assert_eq 'secret vg-lv vg-pool-tpool vg-pool_tdata vg-pool_tmeta vg-thin ' "$(left)" 'what was in use'
assert_link /dev/mapper/secret secret
swapoff /dev/vg/thin
unshare -m --propagation private sh -c 'echo $$ >/run/pid; exec sleep 300' &
wait_until 10 test -s /run/pid
wait_until 10 grep -qx sleep "/proc/$(</run/pid)/comm"
umount /run/m
assert_eq 7 "$(rehearsed secret)" 'mounted elsewhere'
assert_eq 1 "$(complaint "detach secret ($secret): in use: mounted on /run/m in the mount namespace of sleep[$(</run/pid)]; open once")" 'elsewhere'
kill "$(</run/pid)"
step 'what was in use stays'

# Deferred: marked now, gone with the last who has it open.
mount /dev/mapper/secret /run/m || { quiesce && mount /dev/mapper/secret /run/m; }
assert_eq 0 "$(rehearsed --timeout 60s --deferred --with-dependants vg-lv)" 'deferred'
assert_eq 1 "$(grep -cx "deferred secret ($secret)" /run/said)" 'the deferred one'
assert_eq 1 "$(dmsetup info secret | grep -c 'DEFERRED REMOVE')" 'its mark'
assert_link /dev/mapper/secret secret
umount /run/m
wait_until 20 test ! -e /dev/mapper/secret
wait_until 20 test ! -e /dev/mapper/vg-lv
quiesce
assert_no_cookies
step 'deferred'

# Held open by a process: waited for, then named; and one that lets go in time is removed.
dmsetup create other --table "0 2048 linear $plain 4096"
quiesce
sleep 300 </dev/mapper/other &
holder=$!
assert_eq 7 "$(rehearsed --timeout 500ms other)" 'held open'
assert_eq 1 "$(complaint "detach other ($(number other)): in use: opened by sleep[$holder]; open once")" 'by whom'
(sleep 1; kill $holder) &
assert_eq 0 "$(detach --timeout 20s other)" 'let go of in time'
assert_no_cookies

# Vanishing meanwhile is as good as removed.
dmsetup create one --table "0 2048 linear $plain 4096"
dmsetup create two --table "0 2048 linear $plain 8192"
sleep 300 </dev/mapper/one &
holder=$!
(
	sleep 1
	kill $holder
	# Whichever of the two comes first.
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		if dmsetup remove --noudevsync one || ! dmsetup info one >/dev/null; then break; fi
		sleep 0.1
	done
) 2>/dev/null &
racer=$!
assert_eq 0 "$(detach --timeout 20s one two)" 'vanishing meanwhile'
assert_eq 0 "$(dmsetup ls | grep -cw 'one\|two' || :)" 'both are gone'
wait_for_job $racer || :

# A suspended device, one without a table, and hostile names.
dmsetup create one --table "0 2048 linear $plain 4096"
dmsetup suspend one
dmsetup create --notable empty
dmsetup create --manglename none "$(printf 'a\033[31m\nb')" --table "0 2048 linear $plain 8192"
dmsetup create --manglename none '..' --table "0 2048 linear $plain 12288"
quiesce
assert_eq 0 "$(detach --all --yes)" 'suspended, empty and hostile ones'
assert_eq 0 "$(grep -c "$(printf '\033')" /run/said || :)" 'escapes that reach the terminal'
assert_eq 1 "$(grep -cF 'detached a\x1b[31m\x0ab (' /run/said)" 'the hostile name'
assert_eq '' "$(left)" 'devices left'
assert_no_cookies
assert_eq yes "$([ -d /dev/mapper ] && [ -e /dev/mapper/control ] && echo yes)" '/dev/mapper'

# Without udevd: no cookie, and the node that the tool made goes with its device.
stop_udevd
rm -rf /run/udev
dmsetup create --verifyudev one --table "0 2048 linear $plain 4096"
assert_eq b "$(stat -c %F /dev/mapper/one | cut -c 1)" 'the node that dmsetup made'
assert_eq 0 "$(detach --all --yes)" 'without udevd'
assert_eq no "$([ -e /dev/mapper/one ] && echo yes || echo no)" 'the node'
assert_no_cookies
start_udevd

# A udevd that is stopped: gone, and told within the time; nothing is left of the cookie.
dmsetup create one --table "0 2048 linear $plain 4096"
quiesce
pkill -STOP -x systemd-udevd
assert_eq 5 "$(detach --timeout 1s one)" 'with a stopped udevd'
assert_eq 1 "$(grep -c 'udevd has not processed 1 removal' /run/complaint)" 'what is said then'
assert_eq '' "$(left)" 'devices left'
assert_no_cookies
pkill -CONT -x systemd-udevd
quiesce
# Not root: nothing, with the status of that.
status=0
setpriv --reuid 65534 --clear-groups dmhelper detach --all --yes 2>/dev/null || status=$?
assert_eq 4 $status 'not root'
vgchange -q -ay vg
vgremove -q -y -f vg
