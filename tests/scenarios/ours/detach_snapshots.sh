# A snapshot goes only after its origin, whose writes it must see; while the origin stays, so does the snapshot, with that
# reason, and its content. Beside dmsetup, which destroys it.
# needs: lvm mkfs.ext4 thin_check module:dm-snapshot module:dm-delay module:dm-thin-pool
# timeout: 300
# shellcheck source=tests/rig/guest/detach.sh
. /rig/detach.sh
# sum DEVICE, noise DEVICE [MIB [AT]]
sum() { dd if="$1" bs=1M iflag=direct status=none | md5sum | cut -d ' ' -f 1; }
noise() { dd if=/dev/urandom of="$1" bs=1M count="${2:-1}" seek="${3:-0}" oflag=direct conv=notrunc status=none; }
# stays SNAPSHOT ORIGIN [MORE]: what is said of it.
stays() {
	complaint "detach $1 ($(number "$1")): its origin $2 stays: if this snapshot were removed, the next write to its origin would destroy it${3:-}"
}
place() { grep -n "^$1 $2 " /run/said | cut -d : -f 1; }
in_order() { [ "$(place "$1" "$2")" -lt "$(place "$1" "$3")" ] || fail "$3 went before $2"; }
disk 160M && pv=$DISK
disk 16M && base=$DISK
disk 16M && cow=$DISK
disk 16M && cow2=$DISK
vgcreate -q vg "$pv"
lvcreate -q -y -L 32M -n home vg
mkfs.ext4 -q /dev/vg/home
quiesce
mkdir -p /run/m
mount /dev/vg/home /run/m
noise /run/m/file 4
sync
lvcreate -q -y -s -L 16M -n snap vg/home
lvcreate -q -y -s -L 16M -n other vg/home
quiesce
every='vg-home vg-home-real vg-other vg-other-cow vg-snap vg-snap-cow '
assert_eq "$every" "$(left)" devices
step 'a volume that is mounted and has two snapshots'

before=$(sum /dev/vg/snap)
assert_eq 7 "$(rehearsed --timeout 60s --all --yes)" 'an origin that is mounted'
assert_eq "$every" "$(left)" 'left beside a mounted origin'
assert_eq 1 "$(stays vg-snap vg-home)" 'the reason of a snapshot'
assert_eq 1 "$(stays vg-other vg-home)" 'the reason of the other'
assert_eq 1 "$(complaint "detach vg-snap-cow ($(number vg-snap-cow)): in use: used by vg-snap; open once")" 'the reason of its store'
assert_eq 7 "$(rehearsed --timeout 0 vg-snap)" 'a snapshot that is named'
assert_eq 7 "$(rehearsed --timeout 0 --with-dependants vg-snap-cow)" 'a snapshot that lies on what is named'
assert_eq 7 "$(rehearsed --timeout 0 --deferred --volatile vg-snap)" 'a snapshot that is to go later'
assert_eq "$every" "$(left)" 'left'
noise /run/m/file 4
sync
assert_eq "$before" "$(sum /dev/vg/snap)" 'the snapshot after a write to its origin'

# The origin is named as well, is open, and goes only when it is closed: nobody may take that for gone.
assert_eq 7 "$(rehearsed --timeout 0 --deferred vg-home vg-snap)" 'an origin that goes later'
assert_eq 1 "$(stays vg-snap vg-home)" 'the reason then'
umount /run/m
wait_until 20 test ! -e /dev/mapper/vg-home
quiesce
assert_eq 0 "$(rehearsed --timeout 60s vg-snap)" 'a snapshot whose origin is gone'
vgchange -q -ay vg
quiesce
assert_eq "$every" "$(left)" 'devices again'
assert_eq "$before" "$(sum /dev/vg/snap)" 'the snapshot, active again'
noise /dev/vg/home 4
assert_eq "$before" "$(sum /dev/vg/snap)" 'the snapshot after another write'

# A snapshot in use keeps itself alone; its origin may go, and comes back to it.
mount -o ro,noload /dev/vg/snap /run/m 2>/dev/null || mount -o ro /dev/vg/snap /run/m
assert_eq 7 "$(rehearsed --timeout 60s --all --yes)" 'a mounted snapshot'
assert_eq 'vg-home-real vg-snap vg-snap-cow ' "$(left)" 'left of it'
vgchange -q -ay vg
quiesce
umount /run/m
before=$(sum /dev/vg/snap)
noise /dev/vg/home 4
assert_eq "$before" "$(sum /dev/vg/snap)" 'the snapshot that its origin came back to'

# Nobody uses any: the origin, its snapshots, then what they lie on.
quiesce
assert_eq 0 "$(rehearsed --timeout 60s --all --yes)" 'all'
assert_eq '' "$(left)" 'left of all'
for pair in home:snap home:other snap:snap-cow other:other-cow snap:home-real home:home-real; do
	in_order detached "vg-${pair%:*}" "vg-${pair#*:}"
done
assert_no_cookies
vgchange -q -ay vg
quiesce
assert_eq "$before" "$(sum /dev/vg/snap)" 'the snapshot after all were removed'
assert_eq 0 "$(detach --timeout 60s --with-dependants vg-home-real)" 'all that lie on the volume'
assert_eq 'vg-other-cow vg-snap-cow ' "$(left)" 'the stores'
assert_eq 0 "$(detach --timeout 60s --all --yes)" 'the rest'

# LVM merges: what merges writes to the origin as well. The merge goes on afterwards.
vgchange -q -ay vg
quiesce
kept=$(sum /dev/vg/snap)
noise /dev/vg/home 4
noise /dev/vg/home 4 12
lvremove -q -y vg/other
lvcreate -q -y -s -L 16M -n other vg/home
quiesce
before=$(sum /dev/vg/other)
sleep 300 </dev/mapper/vg-home & # So that it is merged when it is active again.
holder=$!
wait_until 20 test "$(dmsetup info -c --noheadings -o open vg-home)" -ge 1
lvconvert -q --merge --background vg/snap || :
kill $holder
quiesce
vgchange -q -an vg || { quiesce && vgchange -q -an vg; }
vgchange -q -ay --poll n vg
quiesce
assert_eq snapshot-merge "$(dmsetup table vg-home | cut -d ' ' -f 3)" 'the target of what merges'
assert_eq 7 "$(rehearsed --timeout 0 vg-other)" 'a snapshot beside a merge'
assert_eq 1 "$(stays vg-other vg-home)" 'its reason'
assert_eq 0 "$(rehearsed --timeout 60s --all --yes)" 'all with a merge'
in_order detached vg-home vg-other
vgchange -q -ay --poll n vg
quiesce
# SECTORS/ALL METADATA: nothing but the metadata is left.
merged() { dmsetup status vg-home | awk '{ split($4, used, "/"); exit !(used[1] == $5) }'; }
wait_until 60 merged
assert_eq "$kept" "$(sum /dev/vg/home)" 'the origin after the merge'
assert_eq "$before" "$(sum /dev/vg/other)" 'the other snapshot after the merge'
vgchange -q -an vg

# A snapshot of a snapshot, by hand; the same with dmsetup destroys it.
noise "$base" 16
dmsetup create lower --table "0 32768 snapshot $base $cow P 8"
# The snapshots first: how finely an origin splits writes is settled when it is resumed.
dmsetup create top --table "0 32768 snapshot /dev/mapper/lower $cow2 P 8"
dmsetup create upper --table '0 32768 snapshot-origin /dev/mapper/lower'
dmsetup create origin --table "0 32768 snapshot-origin $base"
quiesce
kept=$(sum /dev/mapper/top)
sleep 300 </dev/mapper/upper &
holder=$!
assert_eq 7 "$(rehearsed --timeout 0 top upper lower)" 'a snapshot of a snapshot, whose origin is open'
assert_eq 'lower origin top upper ' "$(left)" 'left of it'
assert_eq 1 "$(stays top upper)" 'why the top stays'
kill $holder
noise /dev/mapper/upper 4
assert_eq "$kept" "$(sum /dev/mapper/top)" 'the top after a write'
quiesce
dmsetup remove top
noise /dev/mapper/upper 4 8
dmsetup create top --table "0 32768 snapshot /dev/mapper/lower $cow2 P 8"
[ "$kept" != "$(sum /dev/mapper/top)" ] || fail 'dmsetup destroyed nothing: this shows nothing'
quiesce
assert_eq 0 "$(rehearsed --timeout 60s --all --yes)" 'a snapshot of a snapshot'
in_order detached upper top
in_order detached top lower
assert_eq '' "$(left)" 'left of these'

# A volume of a pool that reads from an origin outside: that one has a snapshot as well.
vgremove -q -y -f vg
wipefs -q -a "$pv"
dmsetup create real --table "0 32768 linear $base 0"
dmsetup create base --table '0 32768 snapshot-origin /dev/mapper/real'
dmsetup create snap --table "0 32768 snapshot /dev/mapper/real $cow N 8"
dd if=/dev/zero of="$pv" bs=1M count=1 conv=notrunc status=none
dmsetup create meta --table "0 8192 linear $pv 0"
dmsetup create data --table "0 65536 linear $pv 8192"
dmsetup create pool --table '0 65536 thin-pool /dev/mapper/meta /dev/mapper/data 128 0'
dmsetup message pool 0 'create_thin 0'
dmsetup create thin --table '0 32768 thin /dev/mapper/pool 0 /dev/mapper/base'
quiesce
assert_eq 7 "$(rehearsed --timeout 0 base snap)" 'an origin that a thin volume lies on'
assert_eq 1 "$(complaint "detach base ($(number base)): in use: used by thin; open once")" 'its reason'
assert_eq 1 "$(stays snap base)" 'that of its snapshot'
assert_eq 7 "$(rehearsed --timeout 60s --all --yes)" 'all but what is only in memory'
assert_eq 1 "$(complaint "detach snap ($(number snap)): its changes would be lost, being only in memory; name it to remove it")" 'its reason'
assert_eq 'real snap ' "$(left)" 'left of these'
assert_eq 0 "$(rehearsed --timeout 60s --all --yes --volatile)" 'what is only in memory'

# The origin comes while a removal is tried: the snapshot stays.
dmsetup create snap --table "0 32768 snapshot $base $cow2 P 8"
quiesce
sleep 300 </dev/mapper/snap &
holder=$!
detach --timeout 60s snap >/run/status &
tool=$!
sleep 1
dmsetup create origin --table "0 32768 snapshot-origin $base"
kill $holder
wait $tool
assert_eq 7 "$(</run/status)" 'an origin that came meanwhile'
assert_eq 'origin snap ' "$(left)" 'left when the origin came'
# Whoever had it open may still have been there when that was told.
expect_line "detach snap ($(number snap)): its origin origin stays" "$(</run/complaint)"
assert_eq 0 "$(detach --timeout 60s --all --yes)" 'the last'
assert_no_cookies
step 'all are gone'
