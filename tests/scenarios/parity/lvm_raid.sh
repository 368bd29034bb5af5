# LVM raid1 and the older mirror: sub-volumes get no links, the volumes do.
# needs: lvm module:dm-raid module:dm-mirror
# timeout: 180
# listen: yes
disk 64M && one=$DISK
disk 64M && two=$DISK
vgcreate vg "$one" "$two"
in_sync() { [ "$(lvs --noheadings -o copy_percent "vg/$1" | tr -d ' ')" = 100.00 ]; }
lvcreate -y --type raid1 -m 1 -n raid -L 8M vg
wait_until 60 in_sync raid
even_out
step 'raid1'
assert_link /dev/vg/raid vg-raid
assert_no_link /dev/disk/by-id/dm-name-vg-raid_rimage_0
lvcreate -y --type mirror -m 1 --mirrorlog core -n mirror -L 8M vg
wait_until 60 in_sync mirror
even_out
step 'mirror'
assert_link /dev/vg/mirror vg-mirror
replay change
step 'a spurious change'
replay add
step 'coldplugged'
vgchange -an vg
step 'deactivated'
vgchange -ay vg
wait_until 60 in_sync mirror
step 'activated'
lvrename vg raid renamed
step 'renamed'
lvconvert -y -m 0 vg/renamed
even_out
step 'one leg dropped'
vgremove -y -f vg
step 'the group removed'
