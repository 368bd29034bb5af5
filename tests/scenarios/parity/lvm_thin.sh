# An LVM thin pool with thin volumes and a thin snapshot.
# needs: lvm thin_check module:dm-thin-pool
# timeout: 180
# listen: yes
disk 96M
vgcreate vg "$DISK"
lvcreate -y --type thin-pool -n pool -L 16M --poolmetadatasize 4M -Zn vg
even_out
step 'a pool'
lvcreate -y -T -n thin -V 32M vg/pool
even_out
step 'a thin volume'
assert_link /dev/vg/thin vg-thin
assert_no_link /dev/vg/pool_tmeta
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 /dev/vg/thin
after_writing
step 'a file system'
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 vg-thin
lvcreate -y -s -n snap vg/thin
lvchange -ay -K vg/snap
settle
mkfs.ext4 -q -F -U 22222222-2222-3333-4444-555555555555 /dev/vg/snap # two of the same would be chance
even_out
step 'a snapshot'
assert_link /dev/vg/snap vg-snap
vgchange -an vg
step 'deactivated'
vgchange -ay vg
step 'activated'
replay change
step 'a spurious change'
replay add
step 'coldplugged'
lvremove -y vg/snap
lvrename vg thin thick
step 'one removed, one renamed'
vgremove -y -f vg
step 'the group removed'
