# The upstream file names (10-dm, 11-dm-lvm, 13-dm-disk, 95-dm-notify), which sort before almost everybody else's.
# needs: lvm cryptsetup mkfs.ext4 kpartx module:dm-crypt
# layout: upstream
# timeout: 180
for file in 10-dm 11-dm-lvm 13-dm-disk 95-dm-notify; do
	assert_eq yes "$([ -e "/usr/lib/udev/rules.d/$file.rules" ] && echo yes || echo no)" "$file.rules is installed"
done
assert_eq no "$([ -e /usr/lib/udev/rules.d/55-dm.rules ] && echo yes || echo no)" '55-dm.rules is installed'
disk 64M && first=$DISK
disk 96M && second=$DISK
disk 64M && third=$DISK

dmsetup create --uuid TEST-1 plain --table "0 32768 linear $first 4096"
quiesce
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -L data /dev/mapper/plain
quiesce
assert_link /dev/mapper/plain plain
assert_link /dev/disk/by-id/dm-name-plain plain
assert_link /dev/disk/by-id/dm-uuid-TEST-1 plain
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 plain
assert_link /dev/disk/by-label/data plain
assert_watched plain yes

vgcreate vg "$second"
lvcreate -y -n lv -L 16M vg
even_out
assert_link /dev/vg/lv vg-lv
assert_link /dev/disk/by-id/dm-name-vg-lv vg-lv
assert_prop vg-lv DM_VG_NAME vg
assert_prop vg-lv DM_LV_NAME lv
mkfs.ext4 -q -U 22222222-2222-3333-4444-555555555555 /dev/vg/lv
quiesce
assert_link /dev/disk/by-uuid/22222222-2222-3333-4444-555555555555 vg-lv
replay add
assert_link /dev/vg/lv vg-lv
assert_link /dev/disk/by-uuid/22222222-2222-3333-4444-555555555555 vg-lv

printf secret >/run/key
cryptsetup luksFormat -q --uuid aaaaaaaa-1111-1111-1111-111111111111 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
	"$third" /run/key
quiesce
cryptsetup open --key-file /run/key "$third" crypt
quiesce
assert_link /dev/mapper/crypt crypt
assert_link /dev/disk/by-id/dm-uuid-CRYPT-LUKS2-aaaaaaaa111111111111111111111111-crypt crypt
cryptsetup close crypt
quiesce
assert_no_link /dev/mapper/crypt
vgremove -y -f vg
dmsetup remove plain
quiesce
assert_no_link /dev/vg/lv
assert_no_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555
assert_no_cookies
