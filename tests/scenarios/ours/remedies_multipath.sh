# A mounted map that queues writes while it has no path: nothing that is printed or done loses them; its paths bring it back.
# needs: multipath mkfs.ext4 module:scsi_debug module:dm-multipath
# timeout: 240
cat >/etc/multipath.conf <<'CONF'
defaults {
	find_multipaths no
	user_friendly_names yes
}
CONF
modprobe -a sd_mod dm-multipath dm-service-time dm-round-robin
modprobe scsi_debug max_luns=1 num_tgts=1 vpd_use_hostno=0 dev_size_mb=64 add_host=2 delay=0
quiesce
multipath >/dev/null
quiesce
map=$(dmsetup ls --target multipath | cut -f 1)
paths=$(dmsetup deps -o devno "$map" | grep -o '([0-9]*, [0-9]*)' | tr -d '() ' | tr , :)
assert_eq 2 "$(wc -l <<<"$paths")" 'paths'
mkfs.ext4 -q -F "/dev/mapper/$map"
even_out
mkdir -p /run/place
mount "/dev/mapper/$map" /run/place
dmsetup message "$map" 0 queue_if_no_path
for path in $paths; do dmsetup message "$map" 0 "fail_path $path"; done
quiesce
head -c 65536 /dev/urandom >/run/data
dd if=/run/data of=/run/place/file bs=4k conv=fsync 2>/run/words &
writer=$!
queued() { [ "$(cut -d ' ' -f 3 "/proc/$writer/stat")" = D ]; }
wait_until 20 queued
before=$(dmsetup table "$map")

say 'what is printed touches nothing'
for words in "explain $map" doctor; do
	# shellcheck disable=SC2086 # two words
	found=$(dmhelper $words || :)
	printf '%s\n' "$found"
	assert_fails grep -E 'dmsetup (load|resume|suspend|table|remove)|dmhelper refresh|udevadm trigger' <<<"$found"
done
assert_explained no-paths "$map" also
status=0
dmhelper refresh --timeout 20s "$map" 2>/run/words || status=$?
cat /run/words
assert_eq 7 $status 'status of refresh'
expect_line 'no path to the disk of it works' "$(</run/words)"
assert_eq "$before" "$(dmsetup table "$map")" 'the table'

say 'its paths come back'
for path in $paths; do dmsetup message "$map" 0 "reinstate_path $path"; done
wait_for_job $writer
cat /run/words
quiesce
echo 3 >/proc/sys/vm/drop_caches
cmp /run/data /run/place/file || fail 'the queued writes are lost'
touch /run/place/after && sync
assert_fails grep -q " /run/place .*[ ,]ro[, ]" /proc/mounts
umount /run/place
dmhelper explain "$map"
assert_explained ready "$map"
dmhelper refresh "$map"
assert_no_prop "$map" DM_UDEV_DISABLE_OTHER_RULES_FLAG
dmsetup remove "$map"
step 'the end'
