# dmhelper explain on what udevd, its records and the rule files have to do with it: every reason is provoked.
# needs: cryptsetup lvm mkfs.ext4 multipath module:dm-multipath
# timeout: 150
rules=/usr/lib/udev/rules.d
disk 64M
table="0 2048 linear $DISK 2048"

say 'udevd is gone, stopped, busy'
stop_udevd
rm -rf /run/udev
dmsetup --verifyudev create late --table "$table"
dmsetup --verifyudev create advised --table "$table"
assert_explained ready late
rm -r /dev/mapper/late /dev/mapper/advised
assert_explained no-udevd late
assert_explained no-udevd /dev/mapper/late
start_udevd
assert_explained no-record advised
advice=$(dmhelper explain advised | sed -n 's/^  - \(udevadm trigger .*\)/\1/p')
$advice
assert_explained ready advised
assert_link /dev/mapper/advised advised
assert_prop advised DM_UDEV_PRIMARY_SOURCE_FLAG 1
assert_no_prop advised DM_UDEV_DISABLE_OTHER_RULES_FLAG
dmsetup remove advised
quiesce
assert_explained no-record late
udevadm trigger --settle "/sys/dev/block/$(devno late)"
assert_explained other-rules-off late
udevadm trigger --settle --action=add "/sys/dev/block/$(devno late)"
assert_explained never-activated late
dmhelper refresh late
assert_explained ready late
pkill -STOP -x systemd-udevd
dmsetup create held --table "$table" &
job=$!
wait_until 20 cookie_waited_for
assert_explained udevd-stopped held
assert_explained cookie-udevd-stopped "$(dm_semaphores)"
pkill -CONT -x systemd-udevd
wait_for_job "$job"
cat >/etc/udev/rules.d/05-slow.rules <<'RULES'
KERNEL=="dm-*", ACTION=="change", ENV{DM_COOKIE}=="?*", TEST=="/run/slow", PROGRAM="/bin/sleep 30"
RULES
reload_rules
touch /run/slow
dmsetup create slow --table "$table" &
job=$!
wait_until 20 pgrep -f '^/bin/sleep 30'
assert_explained udevd-busy slow
assert_explained cookie-waiting "$(dm_semaphores)"
pkill -f '^/bin/sleep 30' || :
wait_for_job "$job"
quiesce

say 'udevd dies between two events: the one before the last said that the disk is read-only'
dmsetup load --readonly slow --table "$table"
dmsetup suspend slow
dmsetup resume slow &
job=$!
wait_until 20 pgrep -f '^/bin/sleep 30'
worker=$(ps -o ppid= -p "$(pgrep -f '^/bin/sleep 30')" | tr -d ' ')
pkill -KILL -x systemd-udevd # first: it would remove the record of an event that killed its worker
kill -KILL "$worker" || :
pkill -f '^/bin/sleep 30' || :
rm /run/slow /etc/udev/rules.d/05-slow.rules
wait_until 30 no_udevd
start_udevd
wait_until 30 cookie_waited_for
settle
assert_explained became-read-only slow
wait_until 60 reapable
assert_explained cookie-stuck "$(dm_semaphores)"
dmhelper cookie reap --yes
wait_for_job "$job"
dmsetup remove slow
dmsetup remove held
quiesce

say 'records that are not, or not any more, of this device'
data=/run/udev/data/b$(devno late)
sed -i 's/^S:disk\/by-diskseq\/.*/S:disk\/by-diskseq\/1/' "$data"
assert_explained former-record late
replay change
stop_udevd
rm -f /run/udev/control
dmsetup rename late later
start_udevd
assert_explained renamed later
dmsetup rename later late
udevadm trigger --settle "/sys/dev/block/$(devno late)"
mkdir /run/away
mv $rules/{55-dm,56-lvm,60-persistent-storage-dm,95-dm-notify}.rules /run/away/
reload_rules
udevadm trigger --settle "/sys/dev/block/$(devno late)"
assert_explained no-rules late
mv /run/away/* $rules/
reload_rules
assert_explained processed-without-rules late
udevadm trigger --settle "/sys/dev/block/$(devno late)"
assert_explained other-rules-off late

say 'the rule files'
mv $rules/60-persistent-storage-dm.rules /run/away/
reload_rules
replay change
assert_explained rule-missing /dev/disk/by-id/dm-name-late
mv /run/away/* $rules/
assert_explained not-made /dev/disk/by-id/dm-name-late
ln -s /dev/null /etc/udev/rules.d/60-persistent-storage-dm.rules
assert_explained rule-masked /dev/disk/by-id/dm-name-late
rm /etc/udev/rules.d/60-persistent-storage-dm.rules
reload_rules
replay change
assert_explained link-right /dev/disk/by-id/dm-name-late
cp /run/rig-stock/55-dm.rules $rules/10-dm.rules
assert_explained rules-twice late also
rm $rules/10-dm.rules
cp /run/rig-stock/56-lvm.rules /etc/udev/rules.d/56-lvm.rules
assert_explained rules-mixed late also
rm /etc/udev/rules.d/56-lvm.rules
reload_rules
cp -a /usr/sbin/dmhelper /run/dmhelper
mv /usr/sbin/dmhelper /run/away/
PATH=/run:$PATH
assert_explained program-missing late also
dmsetup create lost --table "$table" &
job=$!
wait_until 20 cookie_waited_for
settle
dmsetup suspend late
dmsetup remove late --noudevsync --force || :
assert_explained program-missing lost also
mv /run/away/dmhelper /usr/sbin/
wait_until 60 reapable
dmhelper cookie reap --yes
wait_for_job "$job"
udevadm trigger --settle "/sys/dev/block/$(devno lost)"

say 'no path to the disk'
dmsetup create --uuid mpath-rig nopaths --table "0 2048 linear $DISK 2048"
dmsetup suspend nopaths
resume_with_flags nopaths 0x440
quiesce
assert_explained no-paths nopaths also
step 'the end of this'
