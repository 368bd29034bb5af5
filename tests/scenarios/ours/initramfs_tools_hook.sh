# The hook of initramfs-tools, over trees such as the stock hooks leave: dmsetup and a second set of rules go, unless
# something needs them, which is said; a fault of the tree ends the build. `make test-boot` boots whole images.
# needs: mkinitramfs cryptsetup file:/lib/cryptsetup/functions
# timeout: 240
hook=/usr/share/initramfs-tools/hooks/dmhelper
version=$(uname -r) MODULESDIR=/lib/modules/$version CONFDIR=/etc/initramfs-tools verbose=n
export version MODULESDIR CONFDIR verbose
ours='55-dm.rules 56-lvm.rules 60-persistent-storage-dm.rules 95-dm-notify.rules'

# tree: a new one, with what the stock hooks copy.
tree() {
	export DESTDIR=/run/tree
	rm -rf "$DESTDIR"
	mkdir -p "$DESTDIR"/usr/{bin,sbin,lib/udev/rules.d,lib/systemd,lib/cryptsetup,lib/modules/"$version"} "$DESTDIR/scripts"
	ln -s usr/bin usr/sbin usr/lib "$DESTDIR/"
	cp /usr/sbin/dmsetup "$DESTDIR/sbin/"
	cp /usr/lib/systemd/systemd-udevd "$DESTDIR/lib/systemd/"
	cp /lib/cryptsetup/functions "$DESTDIR/lib/cryptsetup/"
	cp "$MODULESDIR/modules.builtin" "$DESTDIR/lib/modules/$version/"
}
# build: status and messages of the hook.
build() { "$hook" >/run/said 2>&1; }
rules() { (cd "$DESTDIR/lib/udev/rules.d" && echo ./* | sed 's|\./||g'); }
says() { grep -q "$1" /run/said || fail "the hook does not say '$1': $(cat /run/said)"; }

tree
cp /run/rig-stock/55-dm.rules "$DESTDIR/lib/udev/rules.d/10-dm.rules" # upstream's name for it
build
step 'built'
assert_eq "$ours" "$(rules)" rules
assert_fails [ -e "$DESTDIR/sbin/dmsetup" ]
assert_eq '' "$(grep '^[WE]:' /run/said || :)" warnings
cmp /usr/sbin/dmhelper "$DESTDIR/usr/sbin/dmhelper"
assert_eq 1 "$(find "$DESTDIR/usr/lib/modules" -name 'dm-mod.ko*' | wc -l)" dm-mod

# What cryptsetup's scripts ask for: the node of a volume that they have opened. Nothing else is answered.
disk 64M
dmsetup create 'two words' --table "0 2048 linear $DISK 4096"
quiesce
ask() { sh -c '. "$DESTDIR/lib/cryptsetup/functions"; dm_blkdevname "$1"' ask "$1"; }
assert_eq "$(devnode 'two\x20words')" "$(ask 'two words')" 'the node of a device'
assert_fails ask absent
dmsetup remove 'two words'

# A boot script that runs dmsetup keeps it.
tree
printf '#!/bin/sh\ndmsetup ls\n' >"$DESTDIR/scripts/foreign"
build
assert_eq yes "$([ -x "$DESTDIR/sbin/dmsetup" ] && echo yes)" 'dmsetup for a script'
says '^W: dmhelper: dmsetup stays in the image: run by /scripts/foreign'
assert_eq "$ours" "$(rules)" rules

# Rules that a package has put back: the image gets what the real root has, and what it needs.
tree
cp /usr/lib/udev/rules.d/55-dm.rules /run/kept.rules
cp /run/rig-stock/55-dm.rules /usr/lib/udev/rules.d/
cp /run/rig-stock/55-dm.rules "$DESTDIR/lib/udev/rules.d/"
build
assert_eq yes "$([ -x "$DESTDIR/sbin/dmsetup" ] && echo yes)" 'dmsetup for stock rules'
says "^W: dmhelper: not there, or not dmhelper's own: /usr/lib/udev/rules.d/55-dm.rules;"
cmp /run/rig-stock/55-dm.rules "$DESTDIR/lib/udev/rules.d/55-dm.rules"
cp /run/kept.rules /usr/lib/udev/rules.d/55-dm.rules

# lvm2 was removed, and took the file of its name along: the image is built.
tree
mv /usr/lib/udev/rules.d/56-lvm.rules /run/kept.rules
build
says "^W: dmhelper: not there, or not dmhelper's own: /usr/lib/udev/rules.d/56-lvm.rules;"
cmp /usr/sbin/dmhelper "$DESTDIR/usr/sbin/dmhelper"
mv /run/kept.rules /usr/lib/udev/rules.d/56-lvm.rules

# A module that is missing: no image.
tree
mv "$(readlink -f "$MODULESDIR")/kernel/drivers/md/dm-mod.ko" /run/
assert_fails build
says '^E: dmhelper: '
says dm_mod
mv /run/dm-mod.ko "$(readlink -f "$MODULESDIR")/kernel/drivers/md/"
# A rule file that is missing: no image.
tree
rm /usr/lib/udev/rules.d/95-dm-notify.rules
assert_fails build
says '^E: dmhelper: no 95-dm-notify.rules in /usr/lib/udev/rules.d: install dmhelper again'
step 'every fault is said'
