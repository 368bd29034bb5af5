# dmhelper doctor: what is wrong with a machine is found, counted, told by the exit status, and repaired where that is safe.
# The examples of the man page are run.
# needs: lvm mkfs.ext4
# timeout: 200
# doctor STATUS [OPTION...]: its lines are in /run/out.
doctor() {
	local expected=$1 status=0
	shift
	dmhelper doctor "$@" >/run/out 2>/run/err || status=$?
	cat /run/out /run/err
	assert_eq "$expected" "$status" "the status of doctor $*"
}
# assert_finds 'REASON...': exactly these, sorted.
assert_finds() {
	local found
	found=$({ dmhelper doctor --json || [ $? = 7 ]; } | sed -n 's/^ *"reason": "\(.*\)",/\1/p' | sort | paste -sd' ')
	assert_eq "$1" "$found" 'what doctor finds'
}

say 'a machine that is well'
doctor 0
assert_eq 'all is well: no device-mapper devices' "$(cat /run/out)"
disk 64M
vgcreate -q vg "$DISK"
lvcreate -q -y -Zn -Wn -n lv -l 2 vg
dmsetup create one --table "0 2048 linear $DISK 40960"
dmsetup create 'my disk' --table "0 2048 linear $DISK 43008"
dmsetup create empty --notable
quiesce
doctor 0
assert_eq 'all is well: 4 devices' "$(cat /run/out)"
doctor 0 --fix
assert_eq 'nothing to repair in /dev/mapper' "$(cat /run/out)"

say 'links that are missing, wrong, left over; nodes in their places'
find /dev/mapper -printf '%P %l\n' | sort >/run/before
rm /dev/mapper/one
rm '/dev/mapper/my\x20disk'
mknod '/dev/mapper/my\x20disk' b 7 0
ln -sf ../loop0 /dev/mapper/vg-lv
ln -s ../dm-99 /dev/mapper/gone
mknod /dev/mapper/old b 254 77
ln -s "../$(kernel_name one)" /dev/mapper/alias
ln -s ../../dm-98 /dev/disk/by-id/dm-name-gone
doctor 7
assert_finds 'leads-elsewhere misplaced removed stale-link stale-link stale-node wrong-node'
doctor 7 --fix
assert_eq '2 troubles are not for --fix: see dmhelper doctor,nothing was changed; --yes does it' "$(tail -n 2 /run/out | paste -sd,)"
assert_no_link /dev/mapper/one
doctor 7 --fix --yes # two are not for us to judge
assert_link /dev/mapper/one one
assert_link /dev/mapper/vg-lv vg-lv
assert_link '/dev/mapper/my\x20disk' 'my\x20disk'
rm /dev/mapper/alias /dev/disk/by-id/dm-name-gone
doctor 0
find /dev/mapper -printf '%P %l\n' | sort >/run/after
assert_eq "$(cat /run/before)" "$(cat /run/after)" 'what stands in /dev/mapper'

say 'a directory in the way is left alone; a flag is obeyed'
rm /dev/mapper/one
mkdir /dev/mapper/one
doctor 7 --fix --yes
rmdir /dev/mapper/one
dmsetup suspend one
resume_with_flags one 0x41
quiesce
doctor 0

say 'a device that is suspended for long'
dmsetup suspend vg-lv
assert_finds suspended
dmsetup resume vg-lv
quiesce

say 'rule files'
rules=/usr/lib/udev/rules.d
cp /run/rig-stock/55-dm.rules $rules/10-dm.rules
assert_finds rules-twice
rm $rules/10-dm.rules
ln -s /dev/null /etc/udev/rules.d/95-dm-notify.rules
assert_finds rule-masked
rm /etc/udev/rules.d/95-dm-notify.rules
reload_rules
mv $rules/60-persistent-storage-dm.rules /run/disk.rules
reload_rules
replay change
doctor 7
assert_eq 1 "$(grep -c 'rule file 60-persistent-storage-dm.rules is missing' /run/out)" 'once, not for each link'
assert_eq '1 trouble; 4 devices' "$(tail -n 1 /run/out)"
assert_explained rule-missing UUID=01234567-89ab-cdef-0123-456789abcdef
mv /run/disk.rules $rules/60-persistent-storage-dm.rules
mv $rules/95-dm-notify.rules /run/notify.rules
reload_rules
assert_explained rule-missing one also
mv /run/notify.rules $rules/95-dm-notify.rules
reload_rules
replay change
doctor 0

say 'udevd, records, cookies'
pkill -STOP -x systemd-udevd
doctor 7
assert_finds udevd-stopped
pkill -CONT -x systemd-udevd
settle
cookie=$(dmhelper cookie create)
dmhelper cookie complete "$cookie"
sleep 11 # what has changed a moment ago may be at work
assert_finds cookie-left
dmhelper cookie reap --yes
stop_udevd
doctor 7
assert_finds control-left
rm -rf /run/udev
dmsetup --verifyudev create late --table "0 2048 linear $DISK 45056"
doctor 7
start_udevd
assert_finds 'no-record no-record no-record no-record node-in-place'
udevadm trigger --settle --subsystem-match=block
# udev leaves a node where it is.
assert_finds node-in-place
doctor 0 --fix --yes
assert_link /dev/mapper/late late
doctor 0

say 'limits'
limits=$(cat /proc/sys/kernel/sem)
echo '32000 1024000000 500 2' >/proc/sys/kernel/sem
one=$(dmhelper cookie create)
two=$(dmhelper cookie create)
assert_finds semaphores
echo "$limits" >/proc/sys/kernel/sem
dmhelper cookie release "$one"
dmhelper cookie release "$two"

say 'an ordinary user'
user() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
user dmhelper doctor | tee /run/out
assert_eq 'all is well' "$(cut -d: -f1 /run/out)"
mv /dev/mapper/vg-lv /dev/vg-lv
status=0
user dmhelper doctor --fix --yes 2>/run/err || status=$?
assert_eq 4 "$status" 'the status for who may not repair'
mv /dev/vg-lv /dev/mapper/vg-lv

say 'the examples of the man page'
lvcreate -q -y -Zn -Wn -n home -l 4 vg
mkfs.ext4 -q -U 01234567-89ab-cdef-0123-456789abcdef /dev/vg/home
quiesce
replay change
cookie=$(dmhelper cookie create)
# A line of its own, or a display whose lines end in a pipe.
sed -n '/^.Sh EXAMPLES/,/^.Sh SEE/{s/^.Dl //p;/^.Bd/,/^.Ed/{/^[^.]/p}}' /usr/share/man/man8/dmhelper-explain.8 |
	sed ':more;/|$/{N;s/\n */ /;b more}' >/run/examples
assert_eq 5 "$(wc -l </run/examples)" examples
while read -r example; do
	bash -o pipefail -c "$example" >/run/out 2>/run/line </dev/null || fail "$example: $(cat /run/line)"
	assert_eq yes "$([ -s /run/out ] && echo yes)" "$example prints something"
done </run/examples
dmhelper cookie release "$cookie"
step 'the end of this'
