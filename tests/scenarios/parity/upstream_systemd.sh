# Under the file names of Fedora and Arch, with systemd as the first process: devices appear, a rule of LVM's has systemd
# activate the group in a unit of its own, systemd opens LUKS volumes on both sides of it, and every link becomes a unit.
# needs: lvm cryptsetup mkfs.ext4 module:dm-crypt file:/usr/lib/systemd/systemd file:/usr/lib/systemd/systemd-cryptsetup
# layout: upstream
# udevd: systemd
# timeout: 300
# listen: no, units are made by a rule of LVM's and by tags, which are udevd's
assert_eq systemd "$(</proc/1/comm)" 'the first process'
names() { (cd /usr/lib/udev/rules.d && printf '%s ' *-dm.rules *-lvm.rules *-dm-disk.rules *-persistent-storage-dm.rules *-dm-notify.rules); }
shopt -s nullglob
assert_eq '10-dm.rules 11-dm-lvm.rules 69-dm-lvm.rules 13-dm-disk.rules 95-dm-notify.rules ' "$(names)" 'the files'
shopt -u nullglob

# One line for each unit that has activated a group, with its result. Of the unit itself nothing is left.
mkdir -p /run/systemd/system/lvm-activate-.service.d
# shellcheck disable=SC2016 # systemd's
printf '[Service]\nExecStopPost=/bin/sh -c '\''echo "%%n $SERVICE_RESULT" >>/run/activated'\''\n' \
	>/run/systemd/system/lvm-activate-.service.d/tell.conf
: >/run/activated
activated() { [ "$(wc -l </run/activated)" = "$1" ]; }
# gone: as after a reboot.
gone() {
	umount /mnt
	systemctl stop systemd-cryptsetup@inner.service
	vgchange -an vg
	systemctl stop systemd-cryptsetup@outer.service
	losetup -d "$first"
	losetup -d "$second"
	rm -rf /run/lvm/vgs_online /run/lvm/pvs_online
	assert_unit dev-vg-root.device inactive
	assert_unit dev-mapper-outer.device inactive
}

printf secret >/run/key
cat >/etc/crypttab <<'TAB'
outer UUID=aaaaaaaa-1111-1111-1111-111111111111 /run/key luks
inner /dev/vg/secret /run/key luks
TAB
systemctl daemon-reload
disk 64M && first=$DISK
disk 96M && second=$DISK
format() {
	cryptsetup luksFormat -q --type luks2 --uuid "$1" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$2" /run/key
	quiesce
}
format aaaaaaaa-1111-1111-1111-111111111111 "$second"
systemctl start systemd-cryptsetup@outer.service
pvcreate --uuid 000000-0000-0000-0000-0000-0000-000001 --norestorefile "$first"
pvcreate --uuid 000000-0000-0000-0000-0000-0000-000002 --norestorefile /dev/mapper/outer
vgcreate vg "$first" /dev/mapper/outer
lvcreate -y -n root -L 16M vg "$first"
lvcreate -y -n secret -L 32M vg /dev/mapper/outer
even_out
format bbbbbbbb-1111-1111-1111-111111111111 /dev/vg/secret
systemctl start systemd-cryptsetup@inner.service
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -L root /dev/vg/root
mkfs.ext4 -q -U 22222222-2222-3333-4444-555555555555 -L home /dev/mapper/inner
even_out
assert_unit dev-mapper-inner.device active
assert_unit 'dev-disk-by\x2duuid-22222222\x2d2222\x2d3333\x2d4444\x2d555555555555.device' active
mount /dev/vg/root /mnt
step 'made'
assert_eq '' "$(</run/activated)" 'units that have activated a group'
gone
step 'gone'

systemctl start --no-block systemd-cryptsetup@outer.service systemd-cryptsetup@inner.service
losetup "$first" /var/lib/rig/disk1
step 'one of two'
assert_link_of_pv() { assert_eq yes "$([ -L "/dev/disk/by-id/lvm-pv-uuid-000000-0000-0000-0000-0000-0000-00000$1" ] && echo yes)" "the link of PV $1"; }
assert_link_of_pv 1
assert_no_link /dev/vg/root
losetup "$second" /var/lib/rig/disk2
wait_until 60 activated 1
assert_eq 'lvm-activate-vg.service success' "$(</run/activated)" 'what has activated the group'
assert_unit systemd-cryptsetup@inner.service active
assert_unit dev-mapper-inner.device active
assert_unit 'dev-disk-by\x2duuid-22222222\x2d2222\x2d3333\x2d4444\x2d555555555555.device' active
assert_unit 'dev-disk-by\x2dlabel-root.device' active
mount /dev/vg/root /mnt
step 'both: the group comes by itself, and what is on it'
assert_link_of_pv 2
assert_link /dev/vg/root vg-root
assert_link /dev/mapper/inner inner

replay add
step 'coldplugged'
lvresize -L 40M vg/secret
step 'resized, with the volume on it open'
dmsetup suspend --nolockfs vg-secret
udevadm trigger --action=change /dev/mapper/vg-secret
step 'suspended'
dmsetup resume vg-secret
step 'resumed'
systemctl restart systemd-udevd.service
replay change
systemctl daemon-reexec
step 'udevd and systemd started anew'
assert_unit systemd-cryptsetup@inner.service active
assert_unit mnt.mount active
assert_eq 1 "$(wc -l </run/activated)" 'how often a group was activated'

gone
step 'removed'
assert_eq '' "$(systemctl list-units --plain --no-legend --state=failed)" 'what has failed'
