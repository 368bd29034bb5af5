# dmhelper explain on what is not there, and on cookies: every reason is provoked.
# needs: cryptsetup lvm mkfs.ext4 losetup module:dm-crypt
# timeout: 200
# said TEXT WORD: the explanation holds the text, whatever its line breaks.
said() {
	rig_assertions=$((rig_assertions + 1))
	case "$({ dmhelper explain "$2" || :; } | tr -s '\n ' ' ')" in *"$1"*) ;; *) fail "'$1' is not said of $2" ;; esac
}

say 'nothing at all'
assert_explained no-disks /dev/mapper/root
assert_explained no-disks vg-root
said 'no device-mapper device at all' vg-root
status=0
dmhelper explain root >/run/out 2>/run/line || status=$?
assert_eq '3 0' "$status $(wc -c </run/line)" 'the status for what is not there'
modprobe -r dm-mod
# Who may not open the control node, which kmod may have made, is told the same: no empty list.
mkdir -p /dev/mapper
[[ -e /dev/mapper/control ]] || mknod -m 600 /dev/mapper/control c 10 236
for command in 'info' 'ls' 'ls --json' 'tree' 'deps'; do
	status=0
	# shellcheck disable=SC2086
	setpriv --reuid=nobody --regid=nogroup --clear-groups dmhelper $command >/run/out 2>/run/line || status=$?
	assert_eq '1 0 1' "$status $(wc -c </run/out) $(grep -c 'No such device; is device-mapper in the kernel?' /run/line)" "$command"
done
rm -r /dev/mapper
assert_explained no-device-mapper root
assert_explained no-device-mapper 0x0d4d0bad also
cookie=$(dmhelper cookie create)
assert_explained cookie-in-use "$cookie"
assert_explained no-device-mapper "$cookie" also
dmhelper cookie release "$cookie"
modprobe dm-mod

say 'other things are there'
disk 32M
assert_explained no-such-device root
said loop0 root
assert_explained not-device-mapper "$DISK"
assert_explained not-device-mapper "$(cat /sys/block/loop0/dev)"

say 'volume groups'
one=$DISK
disk 32M
vgcreate -q vg "$one" "$DISK"
lvcreate -q -y -Zn -Wn --setautoactivation n -n lv -l 2 vg
quiesce
# Udev's rules told LVM of the disks as they came; and it forgot that the group was complete when it was taken down.
pvscan --cache --listvg --checkcomplete --vgonline "$one" || :
vgchange -q -an vg
quiesce
assert_explained group-seen vg-lv
said 'lvchange -ay vg/lv' /dev/vg/lv
pvscan --cache --listvg --checkcomplete --vgonline "$one" || :
pvscan --cache --listvg --checkcomplete --vgonline "$DISK" || :
assert_explained not-activated vg-lv
assert_explained not-activated /dev/vg/lv
said 'lvchange -ay vg/lv' /dev/mapper/vg-lv
rm -rf /run/lvm/pvs_online/* /run/lvm/vgs_online/* /run/lvm/pvs_lookup/*
losetup -d "$DISK"
quiesce
pvscan --cache --listvg --checkcomplete --vgonline "$one" || :
assert_explained vg-incomplete vg-lv
said '1 of its 2 disks is missing' vg/lv

say 'a LUKS container that nobody has opened'
disk 32M
printf secret >/run/key
cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --uuid 11111111-2222-3333-4444-555555555555 "$DISK" /run/key
quiesce
replay change
assert_explained luks-closed /dev/mapper/root
said 'cryptsetup open' root
said 11111111-2222-3333-4444-555555555555 root
cryptsetup open --key-file /run/key "$DISK" root
quiesce
assert_explained ready root
assert_explained no-such-device other

say 'a file system that nobody knows'
assert_explained no-such-device UUID=99999999-2222-3333-4444-555555555555
dmsetup create unread --table "0 2048 linear $one 2048"
quiesce
dmsetup suspend unread
assert_explained not-read UUID=99999999-2222-3333-4444-555555555555
dmsetup resume unread
quiesce

say 'open, and nobody to be seen: through a node that is not in /dev'
mknod /run/node b "$(devno root | cut -d: -f1)" "$(devno root | cut -d: -f2)"
sleep 60 </run/node &
job=$!
quiesce
assert_explained holder-unknown root also
kill $job
wait $job || :

say 'cookies'
assert_explained cookie-gone 0x0d4d0bad
assert_explained cookie-of-flags 0x400000
said 'set up by a device-mapper tool' 0x400000
cookie=$(dmhelper cookie create)
assert_explained cookie-in-use "$cookie"
stop_udevd
dmhelper cookie inc "$cookie"
dmhelper cookie wait --without-udevd --timeout 60s "$cookie" &
job=$!
wait_until 20 cookie_waited_for
assert_explained cookie-no-udevd "$cookie"
dmhelper() { setpriv --reuid=nobody --regid=nogroup --clear-groups /usr/sbin/dmhelper "$@"; }
assert_explained cookie-unreadable "$cookie"
assert_explained ready root
said 'Root only' root
unset -f dmhelper
kill $job
wait $job || :
dmhelper cookie complete "$cookie"
dmhelper cookie complete "$cookie"
assert_explained cookie-left "$cookie"
dmhelper cookie complete-all --yes
foreign=$(setpriv --reuid=nobody --regid=nogroup --clear-groups dmhelper cookie create)
assert_explained cookie-foreign "$foreign"
start_udevd
setpriv --reuid=nobody --regid=nogroup --clear-groups dmhelper cookie release "$foreign"
step 'the end of this'
