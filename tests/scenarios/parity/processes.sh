# How many processes udevd starts for one event, by the kind of the event: never more under our rules than under the
# stock rules.
# needs: lvm multipathd perl module:scsi_debug module:dm-multipath
# udevd: debug
# timeout: 240
# listen: no, it counts the processes of udevd
disk 64M && plain=$DISK
disk 64M && pv=$DISK

# count KIND NAME ACTION COMMAND...: measured for an existing device.
count() {
	local kind=$1 name
	name=$(kernel_name "$2")
	shift 2
	found=$(processes_of "$name" "$@")
	measure "$kind" "$found"
}
# stock and ours, where the number itself is the promise.
expect() { if under_our_rules; then assert_eq "$2" "$found" 'processes'; else assert_eq "$1" "$found" 'processes'; fi; }
replay_one() { udevadm trigger --action="$1" "/sys/block/$(kernel_name "$2")"; }
resume() { dmsetup resume "$1"; }

dmsetup create --uuid TEST-x plain --table "0 2048 linear $plain 4096"
quiesce
step 'a device of dmsetup'
count 'plain: change with cookie (rename)' plain change dmsetup rename plain renamed
expect 2 2
dmsetup suspend renamed
count 'plain: change with cookie (resume)' renamed change resume renamed
count 'plain: spurious change' renamed change replay_one change renamed
expect 0 0
count 'plain: coldplug add' renamed add replay_one add renamed
expect 0 0
dmsetup suspend renamed
dmsetup reload --readonly renamed --table "0 2048 linear $plain 4096"
count 'plain: becomes read-only (DISK_RO, then change with cookie)' renamed change:2 resume renamed
dmsetup suspend renamed
count 'plain: spurious change while suspended' renamed change replay_one change renamed
dmsetup resume renamed
quiesce
dmsetup suspend renamed
count 'plain: change with flags but nobody waiting' renamed change resume_with_flags renamed $((0x40))
count 'plain: remove' renamed remove:2 dmsetup remove renamed # the mapper's event, then the disk's
expect 1 1

dmsetup create --notable new
free=dm-$(dmsetup info -c --noheadings -o minor new)
found=$(processes_of "$free" add dmsetup load new --table "0 2048 linear $plain 4096")
measure 'plain: genuine add' "$found"
expect 0 0
dmsetup remove new

vgcreate vg "$pv"
lvcreate -y -n lv -L 8M vg
even_out
step 'a logical volume'
dmsetup suspend vg-lv
count 'LVM: change with cookie (resume)' vg-lv change resume vg-lv
expect 3 2
count 'LVM: renamed (two changes with cookie)' vg-lv change:2 lvrename vg lv other
expect 6 4
count 'LVM: spurious change' vg-other change replay_one change vg-other
expect 1 0
count 'LVM: coldplug add' vg-other add replay_one add vg-other
expect 1 0
rm "/run/udev/data/b$(devno vg-other)"
count 'LVM: spurious change, record lost' vg-other change replay_one change vg-other
number=$(kernel_name vg-other)
count 'LVM: remove (deactivation)' vg-other remove:2 lvchange -an vg/other
expect 1 1
found=$(processes_of "$number" add lvchange -ay vg/other)
measure 'LVM: genuine add (activation)' "$found"
expect 0 0
lvchange -an vg/other
found=$(processes_of "$number" change lvchange -ay vg/other)
measure 'LVM: change with cookie (activation)' "$found"
expect 3 2
vgremove -y -f vg

modprobe -a dm-multipath dm-service-time
modprobe scsi_debug max_luns=1 num_tgts=1 vpd_use_hostno=0 dev_size_mb=16 add_host=2
printf 'defaults {\n\tfind_multipaths no\n\tno_path_retry fail\n}\n' >/etc/multipath.conf
quiesce
multipathd
wait_until 30 multipathd show daemon
present() { [ "$(dmsetup ls --target multipath | grep -c scsi_debug)" -eq 1 ]; }
wait_until 30 present
quiesce
multipathd shutdown || : # 0.15 ends before it answers
wait_until 30 test ! -e /run/multipathd.pid
map=$(dmsetup ls --target multipath | cut -f 1)
step 'a multipath map'
path=$(dmsetup deps -o devno "$map" | sed 's/.*: (\([0-9]*\), \([0-9]*\)).*/\1:\2/')
count 'multipath: PATH_FAILED' "$map" change dmsetup message "$map" 0 "fail_path $path"
count 'multipath: PATH_REINSTATED' "$map" change dmsetup message "$map" 0 "reinstate_path $path"
dmsetup suspend "$map"
count 'multipath: change with cookie (resume)' "$map" change resume "$map"
count 'multipath: spurious change' "$map" change replay_one change "$map"
count 'multipath: coldplug add' "$map" add replay_one add "$map"
multipath -f "$map"
step 'the end of the multipath map'
