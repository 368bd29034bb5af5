# multipath over two paths to one simulated SCSI disk: one path fails and comes back, then both fail.
# needs: multipathd kpartx sfdisk module:scsi_debug module:dm-multipath
# timeout: 240
# listen: no, multipathd wants a udevd
cat >/etc/multipath.conf <<'CONF'
defaults {
	find_multipaths no
	no_path_retry fail
}
CONF
modprobe -a dm-multipath dm-service-time
modprobe scsi_debug max_luns=1 num_tgts=1 vpd_use_hostno=0 dev_size_mb=32 add_host=2
quiesce
sfdisk -q --no-reread --no-tell-kernel /dev/sda <<'TABLE'
label: gpt
label-id: 11111111-0000-0000-0000-000000000000
size=16M, uuid=11111111-0000-0000-0000-000000000001, name=first
TABLE
quiesce
multipathd
wait_until 30 multipathd show daemon
maps() { [ "$(dmsetup ls --target multipath | grep -c scsi_debug)" -eq "$1" ]; }
wait_until 30 maps 1
quiesce
map=$(dmsetup ls --target multipath | cut -f 1)
paths=$(dmsetup deps -o devname "$map" | tr -d '()' | sed 's/.*: //')
assert_eq 2 "$(echo "$paths" | wc -w)" 'paths'
# From here on the daemon would only interfere with what the scenario does to the paths.
multipathd shutdown || : # 0.15 ends before it answers
wait_until 30 test ! -e /run/multipathd.pid
step 'a map with two paths'
assert_link "/dev/mapper/$map" "$map"
assert_link "/dev/mapper/$map-part1" "$map-part1"
first=$(cat "/sys/block/${paths%% *}/dev")
second=$(cat "/sys/block/${paths##* }/dev")
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -L data "/dev/mapper/$map-part1"
step 'a file system on its partition'
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 "$map-part1"
dmsetup message "$map" 0 "fail_path $first"
step 'one path failed'
dmsetup message "$map" 0 "reinstate_path $first"
step 'one path reinstated'
dmsetup message "$map" 0 "fail_path $first"
settle # rules that ask for the state of the paths see it as it is then, not as it was at the event
dmsetup message "$map" 0 "fail_path $second"
step 'both paths failed'
replay change
step 'both failed, a spurious change'
dmsetup message "$map" 0 "reinstate_path $second"
step 'one came back'
dmsetup message "$map" 0 "reinstate_path $first"
step 'both came back'
replay change
step 'a spurious change'
replay add
step 'coldplugged'
multipath -r "$map"
step 'reloaded'
multipath -p multibus "$map"
step 'reloaded with another policy'
kpartx -d -s "/dev/mapper/$map"
multipath -f "$map"
step 'flushed'
