# An LVM snapshot: origin and copy hold the same file system; the origin must keep the links.
# needs: lvm module:dm-snapshot
# timeout: 180
# listen: yes
disk 96M
vgcreate vg "$DISK"
lvcreate -y -n origin -L 16M vg
even_out
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -L data /dev/vg/origin
after_writing
step 'an origin to be'
lvcreate -y -s -n snap -L 8M vg/origin
even_out
step 'a snapshot'
assert_link /dev/vg/snap vg-snap
assert_link /dev/vg/origin vg-origin
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 vg-origin
replay change
step 'a spurious change'
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 vg-origin
replay add
step 'coldplugged'
assert_link /dev/disk/by-label/data vg-origin
vgchange -an vg
vgchange -ay vg
step 'deactivated and activated'
lvremove -y vg/snap
step 'the snapshot removed'
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 vg-origin
vgremove -y -f vg
step 'the group removed'
