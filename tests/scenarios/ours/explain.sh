# dmhelper explain on devices and links: every reason is provoked, and is the one that is given.
# needs: cryptsetup lvm mkfs.ext4 mkswap module:dm-crypt module:dm-snapshot module:dm-multipath
# timeout: 300

disk 64M
first=$DISK
dmsetup create one --uuid RIG-one --table "0 8192 linear $first 2048"
vgcreate -q vg "$first" || { disk 96M; vgcreate -q vg "$DISK"; }
quiesce

say 'all is well'
assert_explained ready one
assert_explained ready "$(devno one)"
assert_explained ready "/dev/$(kernel_name one)"
assert_explained ready "$(kernel_name one)"
assert_explained link-right /dev/mapper/one
assert_explained link-right disk/by-id/dm-uuid-RIG-one
step 'well'

say 'who made this link'
ln -s "$(kernel_name one)" /dev/mine
assert_explained link-by-hand /dev/mine
rm /dev/mine
echo 'KERNEL=="dm-*", ENV{DM_NAME}=="one", SYMLINK+="theirs"' >/etc/udev/rules.d/99-theirs.rules
reload_rules
replay change
assert_explained link-of-other-rules /dev/theirs
rm /etc/udev/rules.d/99-theirs.rules
reload_rules
replay change

say 'states of the device'
dmsetup create empty --notable
assert_explained no-table empty
dmsetup load empty --table "0 8 linear $first 20000"
assert_explained not-resumed empty
dmsetup remove empty
dmsetup suspend one
assert_explained suspended one
assert_explained link-right /dev/mapper/one
assert_explained suspended /dev/mapper/one also
dmsetup resume one
quiesce

say 'links that are not as udev made them'
rm /dev/mapper/one
assert_explained removed /dev/mapper/one
assert_explained removed one
ln -s dm-nothing /dev/mapper/one
assert_explained dangling /dev/mapper/one
rm /dev/mapper/one
ln -s ../loop0 /dev/mapper/one
assert_explained leads-elsewhere /dev/mapper/one
rm /dev/mapper/one
mknod /dev/mapper/one b "$(devno one | cut -d: -f1)" "$(devno one | cut -d: -f2)"
assert_explained node-in-place /dev/mapper/one
rm /dev/mapper/one
mknod /dev/mapper/one b 7 0
assert_explained wrong-node /dev/mapper/one
rm /dev/mapper/one
mkdir /dev/mapper/one
assert_explained in-the-way /dev/mapper/one
rmdir /dev/mapper/one
replay change
assert_explained link-right /dev/mapper/one

say 'two devices with one UUID'
disk 32M
mkfs.ext4 -q -U 01234567-89ab-cdef-0123-456789abcdef "$DISK"
dmsetup create twin1 --table "0 40960 linear $DISK 0"
dmsetup create twin2 --table "0 40960 linear $DISK 0"
quiesce
for twin in twin1 twin2; do
	case $(readlink -f /dev/disk/by-uuid/01234567-89ab-cdef-0123-456789abcdef) in
	"$(devnode $twin)") assert_explained ready $twin ;;
	*) assert_explained claimed $twin ;;
	esac
done
dmhelper explain UUID=01234567-89ab-cdef-0123-456789abcdef
dmsetup remove twin1
dmsetup remove twin2
quiesce

say 'what flags ask for'
flagged() { # flagged FLAGS
	dmsetup suspend one
	resume_with_flags one "$(($1 | 0x40))"
	quiesce
}
flagged 0x1
assert_explained flag-dm-rules /dev/mapper/one
assert_explained flag-dm-rules one also
flagged 0x4
assert_explained flag-disk-rules /dev/disk/by-id/dm-name-one
assert_explained flag-disk-rules one also
flagged 0x8
assert_explained other-rules-off one
flagged 0
assert_explained ready one
lvcreate -q -y -n lv -l 2 vg
quiesce
assert_explained link-right /dev/vg/lv
dmsetup suspend vg-lv
resume_with_flags vg-lv 0x42
quiesce
assert_explained flag-subsystem-rules /dev/vg/lv
dmsetup suspend vg-lv
resume_with_flags vg-lv 0x140
quiesce
assert_explained noscan vg-lv also
lvchange --refresh vg/lv
quiesce

say 'devices that are not for everybody'
lvcreate -q -y -s -n snap -l 1 vg/lv
quiesce
assert_explained private-part /dev/disk/by-id/dm-name-vg-lv-real
assert_explained private-part vg-lv-real also
lvremove -q -y vg/snap
dmsetup create temporary --uuid CRYPT-TEMP-temporary --table "0 8 linear $first 20000"
quiesce
assert_explained crypt-temporary temporary also
dmsetup remove temporary

say 'busy, and by whom'
mkfs.ext4 -q /dev/vg/lv
mkdir -p '/run/my place'
mount /dev/vg/lv '/run/my place'
assert_explained in-use vg-lv also
assert_explained mounted vg-lv also
dmhelper explain vg-lv
umount '/run/my place'
sleep 60 </dev/vg/lv &
job=$!
assert_explained process vg-lv also
kill $job
wait $job || :
mkswap -q -f /dev/mapper/one 2>/dev/null || mkswap -f /dev/mapper/one
swapon /dev/mapper/one
assert_explained swap one also
swapoff /dev/mapper/one
dmsetup create above --table '0 8 linear /dev/mapper/one 0'
assert_explained stacked one also
dmsetup remove above
step 'the end of this'
