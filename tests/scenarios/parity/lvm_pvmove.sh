# pvmove: the temporary volume gets no links, and everything is as before afterwards.
# needs: lvm module:dm-mirror
# timeout: 180
# listen: yes
disk 64M && one=$DISK
disk 64M && two=$DISK
vgcreate vg "$one" "$two"
lvcreate -y -n lv -L 8M vg "$one"
even_out
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 /dev/vg/lv
after_writing
step 'before'
pvmove -i 1 "$one" "$two"
step 'moved'
assert_link /dev/vg/lv vg-lv
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 vg-lv
assert_no_link /dev/vg/pvmove0
vgremove -y -f vg
step 'the group removed'
