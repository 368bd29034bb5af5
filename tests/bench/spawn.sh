# What the processes of an event cost on a real volume.
# needs: lvm strace
# timeout: 240
. /rig/bench.sh
disk 64M
vgcreate -q vg "$DISK"
lvcreate -q -y -n lv -L 8M vg
settle
number=$(devno vg-lv)
# What is measured must be what is meant.
assert_eq "DM_NAME='vg-lv'" "$(ACTION=change DM_COOKIE=71325304 dmhelper udev "$number" | grep '^DM_NAME=')" 'identity'
assert_eq "DM_LV_NAME='lv'" "$(dmsetup splitname --nameprefixes --noheadings --rows vg-lv | grep -o "DM_LV_NAME='lv'")" 'identity, stock'
/rig/bench --in-guest spawn "$number" 'spawn in a guest' 30 >>/rig/out/samples
assert_no_cookies
vgremove -q -f vg
step 'measured'
