# dmhelper refresh: udev takes a device in use as activated; its table, keys, read-only state, openers and mounts stay.
# needs: cryptsetup lvm mkfs.ext4 mkswap setpriv perl module:dm-crypt module:dm-snapshot
# timeout: 300
disk 64M && pv=$DISK
disk 64M && plain=$DISK
disk 64M && crypt=$DISK
table="0 2048 linear $plain"
status_of() { # status_of STATUS COMMAND...: how it ends
	local found=0
	"${@:2}" 2>/run/words || found=$?
	cat /run/words
	assert_eq "$1" "$found" "${*:2}"
}
flagged() { # flagged NAME FLAGS
	dmsetup suspend "$1"
	resume_with_flags "$1" "$(($2 | 0x40))"
	quiesce
}
# untouched NAME COMMAND...: nothing happens to the device.
untouched() {
	local before after
	before=$(dmsetup table --showkeys "$1") && before+=$(dmsetup info -c --noheadings -o attr,open,events,read_ahead "$1")
	"${@:2}"
	after=$(dmsetup table --showkeys "$1") && after+=$(dmsetup info -c --noheadings -o attr,open,events,read_ahead "$1")
	assert_eq "$before" "$after" "$1 after ${*:2}"
}
usable() { # usable NAME: as after an activation without flags
	assert_link "/dev/mapper/$1" "$1"
	assert_link "/dev/disk/by-id/dm-name-$1" "$1"
	assert_prop "$1" DM_UDEV_PRIMARY_SOURCE_FLAG 1
	assert_prop "$1" DM_ACTIVATION 1
	local key
	for key in DM_UDEV_DISABLE_{DM_RULES,SUBSYSTEM_RULES,DISK_RULES,OTHER_RULES}_FLAG DM_COOKIE_DISABLE_OTHER_RULES_FLAG; do
		assert_no_prop "$1" "$key"
	done
	assert_watched "$1" yes
}

say 'flags of a tool that is gone'
dmsetup create one --uuid RIG-one --table "$table 4096"
flagged one 0x0f
assert_no_link /dev/mapper/one
assert_prop one DM_UDEV_DISABLE_OTHER_RULES_FLAG 1
untouched one dmhelper refresh one
usable one
flagged one 0x14
untouched one dmhelper refresh "$(devno one)"
usable one
assert_prop one DM_UDEV_LOW_PRIORITY_FLAG 1
# The next event without a tool keeps it so, and activates nothing.
replay change
assert_link /dev/mapper/one one
assert_no_prop one DM_ACTIVATION
assert_no_prop one DM_UDEV_DISABLE_OTHER_RULES_FLAG
step 'flags are cleared'

say 'what is private stays private'
vgcreate -q vg "$pv"
lvcreate -q -y -n lv -L 8M vg
lvcreate -q -y -s -n snap -L 4M vg/lv
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 /dev/vg/lv
even_out
dmsetup create temporary --uuid CRYPT-TEMP-temporary --table "$table 8192"
quiesce
flagged vg-lv 0x142 # neither VG/LV, nor what is on it: not wiped
assert_no_link /dev/vg/lv
for name in vg-lv vg-lv-real vg-snap vg-snap-cow temporary; do untouched $name dmhelper refresh $name; done
usable vg-lv
assert_link /dev/vg/lv vg-lv
for name in vg-lv-real vg-snap-cow temporary; do
	assert_link "/dev/mapper/$name" $name
	assert_no_link "/dev/disk/by-id/dm-name-$name"
	assert_prop $name DM_UDEV_DISABLE_OTHER_RULES_FLAG 1
	assert_prop $name DM_UDEV_DISABLE_DISK_RULES_FLAG 1
	assert_watched $name no
done
dmsetup remove temporary
step 'private'

say 'activated where no udevd ran, and asked about before the coldplug: read-only, and with keys in the keyring'
echo secret >/run/key
cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$crypt" /run/key
quiesce
stop_udevd
rm -rf /run/udev
dmsetup create --noudevsync --noudevrules -r frozen --table "$table 12288"
cryptsetup open --key-file /run/key "$crypt" secret
find /dev/mapper -type b -delete
start_udevd
replay change
replay add
assert_explained became-read-only frozen
assert_explained never-activated secret
for name in frozen secret; do
	expect_line '^On trigger *udev would leave it alone again' "$(dmhelper explain $name)"
	advice=$(dmhelper explain --json $name | sed -n 's/^ *"\(dmhelper refresh .*\)"[,]*$/\1/p' | head -n 1)
	assert_eq "dmhelper refresh $name" "$advice" 'what to do'
	untouched $name $advice
	usable $name
	assert_explained ready $name
done
expect_line 'logon:cryptsetup' "$(dmsetup table --showkeys secret)"
assert_eq 1 "$(blockdev --getro /dev/mapper/frozen)" 'still read-only'
dmsetup remove frozen
step 'never activated'

say 'in use: mounted, swapped to'
mkswap -q /dev/mapper/secret 2>/dev/null || mkswap /dev/mapper/secret
swapon /dev/mapper/secret
mkdir -p /run/place
# The volumes have lost their records as well.
dmhelper refresh vg-lv vg-lv-real vg-snap vg-snap-cow
mount /dev/vg/lv /run/place
for name in secret vg-lv; do
	flagged $name 0x0f
	untouched $name dmhelper refresh $name
	usable $name
done
touch /run/place/file && sync
umount /run/place
swapoff /dev/mapper/secret
cryptsetup close secret

say 'what is refused, at once and without an event'
before=$(</sys/kernel/uevent_seqnum)
status_of 2 dmhelper refresh
status_of 3 dmhelper refresh nothing
dmsetup create --notable empty
quiesce
before=$(</sys/kernel/uevent_seqnum)
status_of 7 dmhelper refresh empty
expect_line 'no table' "$(</run/words)"
dmhelper refresh one # it has lost its record as well
dmsetup create above --table '0 8 linear /dev/mapper/one 0'
quiesce
dmsetup suspend one
before=$(</sys/kernel/uevent_seqnum)
status_of 7 dmhelper refresh one
expect_line 'it is suspended' "$(</run/words)"
status_of 7 dmhelper refresh above
expect_line 'one below it is suspended' "$(</run/words)"
assert_eq "$before" "$(</sys/kernel/uevent_seqnum)" 'events'
dmsetup resume one
dmsetup remove above
dmsetup remove empty
quiesce
# An event that is asked for by hand, of a suspended device, changes nothing either.
flagged one 0x01
dmsetup suspend one
echo "change $(</proc/sys/kernel/random/uuid) DMHELPERACTIVATE=1" >"/sys/block/$(kernel_name one)/uevent"
quiesce
assert_prop one DM_UDEV_DISABLE_DM_RULES_FLAG 1
dmsetup resume one
quiesce

say 'only root'
flagged one 0x01
before=$(</sys/kernel/uevent_seqnum)
status_of 4 setpriv --reuid=65534 --regid=65534 --clear-groups dmhelper refresh one
uevent=/sys/block/$(kernel_name one)/uevent
assert_fails setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "echo 'change 0 DMHELPERACTIVATE=1' >$uevent"
# Root of a namespace of its own is none here, and an environment is not an event's.
setpriv --reuid=65534 --regid=65534 --clear-groups unshare -Ur true || say 'no user namespaces in this kernel'
assert_fails setpriv --reuid=65534 --regid=65534 --clear-groups unshare -Ur sh -c "echo 'change 0 DMHELPERACTIVATE=1' >$uevent"
SYNTH_ARG_DMHELPERACTIVATE=1 setpriv --reuid=65534 --regid=65534 --clear-groups dmhelper udev "$(devno one)" || :
quiesce
assert_eq "$before" "$(</sys/kernel/uevent_seqnum)" 'events'
assert_no_link /dev/mapper/one

say 'udevd that is slow, stopped, or not there'
cat >/etc/udev/rules.d/05-slow.rules <<'RULES'
KERNEL=="dm-*", ENV{SYNTH_ARG_DMHELPERACTIVATE}=="1", TEST=="/run/slow", PROGRAM="/bin/sleep 30"
RULES
reload_rules
touch /run/slow
status_of 5 dmhelper refresh --timeout 1s one
expect_line 'timed out after 1s\|has not processed it' "$(</run/words)"
rm /run/slow
pkill -f '^/bin/sleep 30' || :
quiesce
usable one
rm /etc/udev/rules.d/05-slow.rules
reload_rules
pkill -STOP -x systemd-udevd
status_of 7 dmhelper refresh one
expect_line 'udevd is stopped' "$(</run/words)"
pkill -CONT -x systemd-udevd
stop_udevd
status_of 6 dmhelper refresh one
start_udevd

say 'rules that do not know it: that is said, and nothing is pretended'
flagged one 0x01
mkdir /run/ours && mv /usr/lib/udev/rules.d/{55-dm,56-lvm,60-persistent-storage-dm,95-dm-notify}.rules /run/ours/
cp /run/rig-stock/*.rules /usr/lib/udev/rules.d/
reload_rules
before=$(</sys/kernel/uevent_seqnum)
status_of 7 dmhelper refresh one
expect_line 'rules do not know this event' "$(</run/words)"
assert_eq "$before" "$(</sys/kernel/uevent_seqnum)" 'events'
assert_fails grep -q 'dmhelper refresh\|dmsetup load' <<<"$(dmhelper explain one)"
cp /run/ours/*.rules /usr/lib/udev/rules.d/
reload_rules
dmhelper refresh one
usable one

say 'dmhelper listen in the place of udevd'
flagged one 0x05
stop_udevd
rm -f /run/udev/control
dmhelper listen --claim-udev --daemon --pid-file /run/listen.pid
assert_no_link /dev/mapper/one
untouched one dmhelper refresh one
assert_link /dev/mapper/one one
assert_link /dev/disk/by-id/dm-name-one one
assert_no_prop one DM_UDEV_DISABLE_DM_RULES_FLAG
kill "$(</run/listen.pid)"
wait_until 20 test ! -e /run/udev/control
start_udevd
vgremove -q -y -f vg
dmsetup remove one
assert_no_cookies
step 'the end'
