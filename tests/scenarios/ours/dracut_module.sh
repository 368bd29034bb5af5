# dracut's modules: kernel modules for this host or for any, one set of rules and no dmsetup, a build that stops where the
# image would not boot, and the removal of devices at shutdown. `make test-boot` boots whole images.
# needs: dracut cpio cryptsetup lvm mkfs.ext4 module:dm-crypt module:dm-raid
# timeout: 500
disk 64M
vgcreate -q vg "$DISK"
lvcreate -q -y -n locked -L 32M vg
printf key >/run/key
cryptsetup luksFormat -q --type luks2 --uuid aaaaaaaa-1111-1111-1111-111111111111 --pbkdf pbkdf2 \
	--pbkdf-force-iterations 1000 /dev/vg/locked /run/key
cryptsetup open --key-file /run/key /dev/vg/locked open
step 'a LUKS volume on a logical volume'

# build ARGUMENT...: its status is that of dracut; what it said is in /run/said, the names of the files in /run/files.
build() {
	local status=0
	rm -f /run/image
	dracut --force --kver "$(uname -r)" --no-early-microcode --no-compress --nostrip "$@" /run/image >/run/said 2>&1 || status=$?
	: >/run/files
	[ ! -e /run/image ] || cpio --list --quiet </run/image >/run/files
	return "$status"
}
count() { grep -c "$1" /run/files || :; }

build --hostonly --modules 'dm udev-rules'
step 'built for this host'
assert_eq 1 "$(count /dm-mod.ko)" dm-mod
assert_eq 1 "$(count /dm-crypt.ko)" 'dm-crypt, which is in use'
assert_eq 0 "$(count /dm-raid.ko)" 'dm-raid, which nobody uses'
assert_eq 0 "$(count dmsetup)" dmsetup
assert_eq "$(printf '%s\n' 55-dm.rules 56-lvm.rules 60-persistent-storage-dm.rules 95-dm-notify.rules)" \
	"$(sed -n 's|.*/rules.d/||p' /run/files | grep -x -e '.*-dm.*' -e '.*-lvm.*' | sort)" 'rules of device-mapper'
assert_eq 1 "$(count usr/sbin/dmhelper)" dmhelper
assert_eq "$(printf '%s\n' cleanup/50-dmhelper-unwatch.sh emergency/50-dmhelper-explain.sh initqueue/50-dmhelper-udevd.sh \
	initqueue/finished/50-dmhelper-root.sh pre-trigger/50-dmhelper-watch.sh pre-udev/30-dmhelper-load.sh \
	shutdown-emergency/50-dmhelper-explain.sh shutdown/25-dmhelper-shutdown.sh)" \
	"$(sed -n 's|.*/hooks/\(.*dmhelper.*\)|\1|p' /run/files | sort)" 'hooks'

# A rule less, and whoever waits for udev in the initramfs waits for ever: such an image is not made unless asked for.
mv /usr/lib/udev/rules.d/95-dm-notify.rules /run/
assert_fails build --no-hostonly --modules 'dm udev-rules'
assert_eq 0 "$(wc -l </run/files)" 'an image all the same'
grep -q 'dmhelper: .*95-dm-notify' /run/said || fail "the missing rule is not named: $(cat /run/said)"
echo 'dmhelper_check=no' >/run/dracut.conf
build --conf /run/dracut.conf --no-hostonly --modules 'dm shutdown udev-rules'
grep -q 'dmhelper: .*95-dm-notify' /run/said || fail "the missing rule is not named: $(cat /run/said)"
mv /run/95-dm-notify.rules /usr/lib/udev/rules.d/
step 'built for any host, without a rule'
assert_eq 1 "$(count /dm-crypt.ko)" dm-crypt
assert_eq 1 "$(count /dm-raid.ko)" dm-raid

# The exitrd: the image unpacked, as its scripts see it at shutdown. The lower volume is still in use at first.
mkdir /run/exitrd
(cd /run/exitrd && cpio --extract --quiet --make-directories --no-absolute-filenames </run/image)
for directory in dev proc sys run; do mount --bind "/$directory" "/run/exitrd/$directory"; done
shutdown_hook() {
	# shellcheck disable=SC2016
	chroot /run/exitrd /bin/sh -c '. /lib/dracut-lib.sh; for hook in /lib/dracut/hooks/shutdown/*dmhelper*.sh; do
		(. "$hook" "$1") || exit 1; done' hook "$@" >/run/said 2>&1
}
mkfs.ext4 -q /dev/mapper/open
mkdir /run/exitrd/held
mount /dev/mapper/open /run/exitrd/held
assert_fails shutdown_hook ''
assert_eq '' "$(cat /run/said)" 'said before the last try'
shutdown_hook final
grep -q 'dmhelper: detach open .*mounted .*/held' /run/said || fail "the device that is left is not named with its reason: $(cat /run/said)"
assert_link /dev/mapper/open open
umount /run/exitrd/held
wait_until 60 shutdown_hook '' # again and again, as dracut does: udevd may look at a device just now
assert_eq '' "$(ls -d /sys/block/dm-* 2>/dev/null || :)" 'devices that are left'
step 'shut down'
umount /run/exitrd/dev /run/exitrd/proc /run/exitrd/sys /run/exitrd/run
