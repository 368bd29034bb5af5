# Devices that were activated where no udevd ran become usable with the first coldplug; under the stock rules they never do.
# needs: lvm thin_check cryptsetup mkfs.ext4 perl module:dm-crypt module:dm-thin-pool module:dm-raid module:dm-snapshot
# timeout: 400
disk 200M && pv=$DISK
disk 64M && pv2=$DISK
disk 64M && plain=$DISK
echo secret >/run/key
luks=aaaaaaaa-1111-1111-1111-111111111111
ext4=11111111-2222-3333-4444-555555555555

# What is on the disks, made with a udevd; then what LVM itself asks of udev for each kind of volume.
vgcreate -q vg "$pv" "$pv2"
lvcreate -q -y -n lv -L 32M vg "$pv"
lvcreate -q -y -T -L 16M -V 16M -n thin vg/pool
lvcreate -q -y -T -L 8M vg/unused
lvcreate -q -y --type raid1 -m 1 --nosync -n raid -L 8M vg
lvcreate -q -y -n origin -L 8M vg && lvcreate -q -y -s -n snap -L 8M vg/origin
cryptsetup luksFormat -q --type luks2 --uuid $luks --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/vg/lv /run/key
cryptsetup open --key-file /run/key /dev/vg/lv secret
mkfs.ext4 -q -U $ext4 /dev/mapper/secret
even_out
# Of each device by name: its flags and the links that lead to it. Two things cannot be told from a UUID and a name:
# what libdevmapper may do in udev's place, which is over, and which of two alike is to give way.
facts() {
	local sys name
	for sys in /sys/block/dm-*; do
		name=$(<"$sys/dm/name")
		grep -aE '^(S:|E:DM_(UDEV_.*FLAG|COOKIE_.*FLAG|SUBSYSTEM_.*|UDEV_RULES_VSN|VG_NAME|LV_NAME|LV_LAYER|CRYPT_TYPE)=)' \
			"/run/udev/data/b$(<"$sys/dev")" | grep -avE 'LIBRARY_FALLBACK|LOW_PRIORITY|by-diskseq' | sed "s|^|$name |" || :
	done | sort
}
facts >/run/recorded
assert_eq 19 "$(cut -d ' ' -f 1 /run/recorded | sort -u | wc -l)" 'devices that were recorded'
step 'recorded by genuine events'
deactivate() {
	cryptsetup close secret
	vgchange -q -an vg
	quiesce
}
# What the tools do while no udevd runs, as in an initramfs without one: they make nodes themselves and ask nobody.
without_udevd() {
	stop_udevd
	rm -rf /run/udev
	"$@"
	assert_no_cookies
}
activate() {
	vgchange -q -ay --config 'activation { udev_sync=0 udev_rules=0 }' vg # as lvm.conf is in such an initramfs
	cryptsetup open --key-file /run/key /dev/vg/lv secret
}
coldplug() {
	start_udevd
	replay add
	quiesce
}
# Without a UUID systemd's rules say nothing, which means ready.
ready() {
	assert_prop "$1" DM_UDEV_PRIMARY_SOURCE_FLAG 1
	assert_no_prop "$1" DM_UDEV_DISABLE_OTHER_RULES_FLAG
	assert_fails test "$(prop "$1" SYSTEMD_READY || :)" = 0
}
never_ready() { assert_prop "$1" SYSTEMD_READY 0; assert_prop "$1" DM_UDEV_DISABLE_OTHER_RULES_FLAG 1; assert_no_prop "$1" DM_NAME; }

# First origin: a plain initrd, whose /dev is moved to the real root with the nodes that the tools made.
deactivate
without_udevd activate
assert_eq b "$(stat -c %F /dev/mapper/secret | cut -c 1)" 'the node that cryptsetup made'
# The stock rules, in this same guest: not ready, and for ever so.
ours=/run/ours-rules
mkdir $ours && mv /usr/lib/udev/rules.d/{55-dm,56-lvm,60-persistent-storage-dm,95-dm-notify}.rules $ours/
cp /run/rig-stock/*.rules /usr/lib/udev/rules.d/
coldplug
never_ready secret && assert_no_link /dev/disk/by-uuid/$ext4
never_ready vg-lv && assert_no_link /dev/disk/by-uuid/$luks
replay change && replay add
never_ready secret && never_ready vg-lv
assert_no_link /dev/disk/by-uuid/$ext4
step 'a plain initrd, the stock rules'
stop_udevd
rm -rf /run/udev
cp $ours/*.rules /usr/lib/udev/rules.d/
coldplug
ready secret && ready vg-lv && ready vg-thin
assert_prop secret DM_ACTIVATION 1
assert_link /dev/disk/by-uuid/$ext4 secret
assert_link /dev/disk/by-uuid/$luks vg-lv
facts >/run/rebuilt
diff /run/recorded /run/rebuilt >&2 || fail 'what is rebuilt differs from what genuine events recorded'
assert_eq "$(wc -l </run/recorded)" "$(wc -l </run/rebuilt)" 'facts rebuilt'
step 'a plain initrd'
# From now on they are like any other device.
replay change
assert_no_prop secret DM_ACTIVATION
ready secret && assert_prop vg-pool-tpool DM_UDEV_DISABLE_OTHER_RULES_FLAG 1
replay add
facts | diff /run/recorded - >&2 || fail 'a second coldplug changes something'
dmsetup suspend vg-lv && dmsetup resume vg-lv
quiesce
ready vg-lv
dmsetup rename secret other && dmsetup rename other secret
quiesce
assert_link /dev/mapper/secret secret
deactivate
assert_no_cookies

# Second origin: a busybox initramfs with a /dev of its own, which the real root does not see: no node and no link.
without_udevd activate
find /dev/mapper /dev/vg -mindepth 1 ! -name control -delete
coldplug
ready secret && ready vg-lv
facts | diff /run/recorded - >&2 || fail 'without nodes: what is rebuilt differs'
for name in secret vg-lv vg-pool-tpool vg-raid_rimage_0; do assert_link "/dev/mapper/$name" $name; done
assert_link /dev/vg/lv vg-lv
step 'a busybox initramfs'
deactivate

# Third origin: dm-mod.create= on the kernel's command line: a device before any process, without a cookie, in no group.
# It is a kernel's with device-mapper built in; here the same ioctls stand for it, with no udevd to see the events.
by_kernel() { dmsetup create --noudevsync --noudevrules early --uuid EARLY-1 --table "0 65536 linear $plain 4096" && rm -f /dev/mapper/early; }
mkfs.ext4 -q -F -E offset=2097152 -U 99999999-2222-3333-4444-555555555555 "$plain" 16M
without_udevd by_kernel
coldplug
ready early
assert_link /dev/mapper/early early
assert_link /dev/disk/by-id/dm-uuid-EARLY-1 early
assert_link /dev/disk/by-uuid/99999999-2222-3333-4444-555555555555 early
assert_watched early yes
step 'dm-mod.create='

# What must not be taken for it. Suspended: its activation is under way. Without a table: nothing to use.
stop_udevd
rm -rf /run/udev
find /dev/disk -lname '*/dm-*' -delete # without its record nobody knows whose they are
dmsetup suspend early
dmsetup create --notable empty
dmsetup load empty --table "0 2048 linear $plain 80000"
dmsetup create --uuid CRYPT-TEMP-x --table "0 2048 linear $plain 84000" temporary
coldplug
never_ready early
assert_no_link /dev/disk/by-id/dm-uuid-EARLY-1
never_ready empty
assert_prop temporary DM_UDEV_PRIMARY_SOURCE_FLAG 1
assert_prop temporary DM_UDEV_DISABLE_OTHER_RULES_FLAG 1
assert_prop temporary DM_UDEV_DISABLE_DISK_RULES_FLAG 1
assert_watched temporary no
# Their own events come after: with flags of their tool's.
dmsetup resume early
dmsetup resume empty
quiesce
ready early && ready empty
assert_link /dev/mapper/empty empty
step 'activated late'

# A coldplug in the middle of an activation: udevd has seen the genuine add, and nothing else yet. The genuine change
# waits behind the coldplug, and its flags hold.
dmsetup create --notable middle
dmsetup load middle --table "0 2048 linear $plain 88000"
quiesce
never_ready middle
pkill -STOP -x systemd-udevd
echo "add 00000000-0000-4000-8000-000000000000" >"/sys/block/$(kernel_name middle)/uevent"
resume_with_flags middle $((0x44)) # PRIMARY_SOURCE, and no disk rules
echo "add 00000000-0000-4000-8000-000000000001" >"/sys/block/$(kernel_name middle)/uevent"
pkill -CONT -x systemd-udevd
quiesce
assert_prop middle DM_UDEV_PRIMARY_SOURCE_FLAG 1
assert_prop middle DM_UDEV_DISABLE_DISK_RULES_FLAG 1
assert_no_link /dev/disk/by-id/dm-name-middle
assert_link /dev/mapper/middle middle
# One that is recorded as not activated stays so, although it is live: a tool of old has sent no flags.
dmsetup create --notable old
dmsetup load old --table "0 2048 linear $plain 92000"
quiesce
resume_with_flags old 0
quiesce
replay add
assert_no_prop old DM_UDEV_PRIMARY_SOURCE_FLAG
assert_prop old SYSTEMD_READY 0
step 'in the middle'
dmsetup remove early empty temporary middle old
vgchange -q -ay vg
vgremove -q -y -f vg
assert_no_cookies
