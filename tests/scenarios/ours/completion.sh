# Completion comes first: whatever fails on the way, the tool that waits is released.
# needs: lvm
# timeout: 240
disk 64M && pv=$DISK
disk 64M
table() { echo "0 2048 linear $DISK $(($1 * 4096))"; }
released() { timeout 30 "$@" || fail "not released: $*"; }

# The control node is gone, as in a half-made /dev: the helper cannot ask, the kernel's own answer stays in sysfs.
dmsetup create one --table "$(table 1)"
dmsetup suspend one
quiesce
mkdir /run/aside
cookie=$(dmsetup udevcreatecookie)
released dmsetup --udevcookie "$cookie" create two --notable
# udevd alone is kept from it: dmsetup needs it to cause the event.
udevd_pid=$(cat /run/rig-udevd.pid)
nsenter -t "$udevd_pid" -m mount --bind /dev/null /dev/mapper/control
released dmsetup resume one
released dmsetup create three --table "$(table 3)"
quiesce
assert_no_link /dev/mapper/nonsense
assert_link /dev/mapper/three three
released dmsetup rename three four
released dmsetup remove four
nsenter -t "$udevd_pid" -m umount /dev/mapper/control
released dmsetup udevreleasecookie "$cookie"

# The helper's query crashes: the completion is another process.
helper=/usr/sbin/dmhelper
cat >/run/half-helper <<'SH'
#!/bin/sh
case $1 in
udev) kill -SEGV $$ ;;
*) exec /run/whole-helper "$@" ;;
esac
SH
chmod +x /run/half-helper
cp "$helper" /run/whole-helper
nsenter -t "$udevd_pid" -m mount --bind /run/half-helper "$helper"
released dmsetup create five --table "$(table 5)"
released dmsetup remove five
released vgcreate vg "$pv"
released lvcreate -y -an -Zn -n lv -L 8M vg
released lvchange -ay vg/lv
released lvchange -an vg/lv
nsenter -t "$udevd_pid" -m umount "$helper"
quiesce

# /sys hidden from udevd's workers would blind udevd itself; hidden from the helper it must not stop a completion.
cat >/run/blind-helper <<'SH'
#!/bin/sh
exec unshare -m sh -c 'mount -t tmpfs none /sys && exec /run/whole-helper "$@"' sh "$@"
SH
chmod +x /run/blind-helper
nsenter -t "$udevd_pid" -m mount --bind /run/blind-helper "$helper"
released dmsetup create six --table "$(table 6)"
released dmsetup remove six
nsenter -t "$udevd_pid" -m umount "$helper"

# A cookie that is gone is no error of the event, and a malformed one nobody can complete.
quiesce
assert_eq 0 "$(/run/whole-helper cookie complete 0xd4d1234 >/dev/null 2>&1 && echo 0 || echo $?)" 'status for a cookie that is gone'
assert_fails /run/whole-helper cookie complete nonsense
dmsetup remove two
dmsetup remove one
vgremove -y -f vg
quiesce
assert_no_cookies
