# What check-initramfs says of an image that mkinitramfs has built, with a root on LUKS on a thin volume.
# needs: lvm thin_check cryptsetup mkfs.ext4 mkinitramfs cpio module:dm-crypt module:dm-thin-pool
# timeout: 400
disk 128M
vgcreate -q vg "$DISK"
lvcreate -q -y -T -L 64M -V 64M -n root vg/pool
echo secret >/run/key
cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/vg/root /run/key
cryptsetup open --key-file /run/key /dev/vg/root secret
mkfs.ext4 -q /dev/mapper/secret
even_out

# A root of its own: what is mounted there at / is the device; everything else is the guest's.
root=/run/root
mkdir $root
mount /dev/mapper/secret $root
for directory in usr etc dev proc sys run; do mkdir $root/$directory && mount --rbind /$directory $root/$directory; done
for directory in bin sbin lib lib64; do ln -s usr/$directory $root/$directory; done
mkdir $root/image
# check [OPTION...] DIR: lines to /run/said, the status printed.
check() {
	local status=0
	timeout 60 chroot $root dmhelper check-initramfs "$@" >/run/said 2>/run/complaint || status=$?
	cat /run/said /run/complaint >&2
	echo $status
}
says() { grep -cF -- "$1" /run/said || :; }

# Debian's own hooks take our rules for their own and bring dmsetup, but not what our rules run.
find /usr/share/initramfs-tools /etc/initramfs-tools -name '*dmhelper*' -delete # our own hook would bring it, and check
release=$(uname -r)
echo CONFIG_RD_GZIP=y >"/boot/config-$release"
mkdir -p /run/conf/{conf.d,hooks,scripts}
printf 'MODULES=list\nBUSYBOX=n\nCOMPRESS=gzip\nRUNSIZE=10%%\n' >/run/conf/initramfs.conf
touch /run/conf/modules
mkinitramfs -d /run/conf -o /run/image "$release"
mkdir /run/unpacked
unmkinitramfs /run/image /run/unpacked
cp -a /run/unpacked/. $root/image/
image=$root/image
step 'an image'
assert_eq 7 "$(check /image)" 'status for an image without dmhelper'
assert_eq 1 "$(says 'missing /usr/sbin/dmhelper: 55-dm.rules, 56-lvm.rules and 95-dm-notify.rules run it')" 'the program'
assert_eq 1 "$(wc -l </run/complaint)" 'lines on standard error'
# lvm2's and cryptsetup's hooks brought these; the check takes what is there.
for module in dm_thin_pool dm_crypt dm_mod; do
	file=$(find $image/lib/modules/ $image/usr/lib/modules/ -name "${module//_/-}.ko*" | head -n 1 || :)
	if [ -n "$file" ]; then expected=0; else expected=1; fi
	assert_eq $expected "$(grep -c "^missing $module: " /run/said || :)" "$module said to be missing"
done

# Everything that it asks for, and it is content.
install -D /usr/sbin/dmhelper $image/usr/sbin/dmhelper
here=$image/usr/lib/modules/$release
cp "/lib/modules/$release/kernel/drivers/md/"dm-*.ko "/lib/modules/$release/kernel/drivers/md/persistent-data/"*.ko "$here/kernel/"
assert_eq 0 "$(check /image)" "status for a complete image"
assert_eq 0 "$(grep -cv '^note ' /run/said || :)" 'faults of a complete image'
# lvm2's own rules run it only where systemd is, and Debian's images of this kind hold none.
assert_eq 1 "$(says 'note /usr/bin/systemd-run: the image lacks it, and 69-lvm.rules runs it')" 'what the neighbours run'

# Each layer of the root wants its module, and so does a module that is there.
rm "$here/kernel/dm-crypt.ko" "$here/kernel/dm-persistent-data.ko"
find "$here" -name 'dm-crypt.ko*' -delete -o -name 'dm-persistent-data.ko*' -delete
assert_eq 7 "$(check /image)" 'status without a module'
assert_eq 1 "$(says 'missing dm_crypt: secret (crypt), under the running system')" 'the module of the upper layer'
assert_eq 0 "$(check --generic /image)" 'status of the same image for any machine'

# A stranger's rules.
cp /run/rig-stock/55-dm.rules "$image/usr/lib/udev/rules.d/10-dm.rules"
assert_eq 7 "$(check --generic /image)" 'status with a second set'
assert_eq 1 "$(says 'doubled /usr/lib/udev/rules.d/10-dm.rules')" 'the second set'
rm "$image/usr/sbin/dmsetup"
assert_eq 7 "$(check --generic /image)" 'status with a second set and no dmsetup'
assert_eq 1 "$(says 'missing /sbin/dmsetup: 10-dm.rules runs it')" 'dmsetup that a rule runs'
rm "$image/usr/lib/udev/rules.d/10-dm.rules"

# Whoever is not root is told what could not be looked at.
status=0
timeout 60 chroot --userspec=65534:65534 $root dmhelper check-initramfs /image >/run/said 2>/run/complaint || status=$?
assert_eq 0 $status 'status for an ordinary user'
assert_eq 1 "$(grep -c 'shown to root only' /run/complaint)" 'what an ordinary user is told'
umount -R $root
cryptsetup close secret
vgremove -q -y -f vg
