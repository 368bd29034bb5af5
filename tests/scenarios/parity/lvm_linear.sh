# LVM linear and striped volumes: made, deactivated, activated, renamed with their group, resized, removed.
# needs: lvm
# timeout: 180
# listen: yes
disk 64M && one=$DISK
disk 64M && two=$DISK
vgcreate vg0 "$one" "$two"
step 'a group without volumes'
lvcreate -y -n linear -L 8M vg0
even_out
step 'a linear volume'
assert_link /dev/vg0/linear vg0-linear
assert_no_cookies
lvcreate -y -n striped -i 2 -L 8M vg0
lvcreate -y -n a-dash -l 1 vg0
even_out
step 'a striped volume, and a name with a dash'
assert_link /dev/vg0/a-dash vg0-a--dash
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -L linear /dev/vg0/linear
after_writing
step 'a file system'
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 vg0-linear
lvchange -an vg0/linear
step 'one deactivated'
assert_no_link /dev/vg0/linear
lvchange -ay vg0/linear
step 'activated again'
assert_link /dev/disk/by-label/linear vg0-linear
replay change
step 'a spurious change'
replay add
step 'coldplugged'
lvrename vg0 linear renamed
step 'a volume renamed'
assert_link /dev/vg0/renamed vg0-renamed
vgrename vg0 vg-1
step 'the group renamed'
assert_link /dev/vg-1/renamed vg--1-renamed
lvextend -l +1 vg-1/renamed
even_out
step 'extended'
lvchange -pr vg-1/striped
step 'made read-only'
lvremove -y vg-1/striped
step 'removed'
vgchange -an vg-1
step 'the group deactivated'
vgchange -ay vg-1
step 'the group activated'
vgremove -y -f vg-1
step 'the group removed'
