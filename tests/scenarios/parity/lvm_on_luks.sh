# A volume group on a LUKS device, opened as at boot: the group activates by itself when its device appears.
# needs: lvm cryptsetup module:dm-crypt
# timeout: 180
# listen: no, the group activates itself by a rule of LVM's, which is udevd's to run
printf secret >/run/key
disk 96M
cryptsetup luksFormat -q --type luks2 --uuid aaaaaaaa-1111-1111-1111-111111111111 --pbkdf pbkdf2 \
	--pbkdf-force-iterations 1000 "$DISK" /run/key
quiesce
cryptsetup open --key-file /run/key "$DISK" crypt
settle
pvcreate --uuid 000000-0000-0000-0000-0000-0000-000001 --norestorefile /dev/mapper/crypt
vgcreate vg /dev/mapper/crypt
lvcreate -y -n root -L 16M vg
even_out
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -L root /dev/vg/root
step 'made'
assert_link /dev/vg/root vg-root
assert_link /dev/disk/by-id/lvm-pv-uuid-000000-0000-0000-0000-0000-0000-000001 crypt
vgchange -an vg
cryptsetup close crypt
step 'closed'
rm -rf /run/lvm/vgs_online /run/lvm/pvs_online # as after a reboot
cryptsetup open --key-file /run/key "$DISK" crypt
step 'open: the group comes by itself'
assert_link /dev/vg/root vg-root
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 vg-root
replay add
step 'coldplugged'
vgremove -y -f vg
cryptsetup close crypt
step 'removed'
