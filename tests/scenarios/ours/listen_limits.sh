# What `listen` is given may be as odd as it likes: names that its own temporary links might have, a time that no clock holds,
# a queue that no kernel takes.
# needs: file:/usr/sbin/blkid
stop_udevd
rm -f /run/udev/control

say 'sizes'
refused() {
	local said status=0
	said=$(timeout 20 dmhelper "$@" 2>&1) || status=$?
	assert_eq 2 "$status" "status of dmhelper $*"
	assert_eq 1 "$(wc -l <<<"$said")" "lines of: $said"
}
for size in 17592186044416M 18014398509481984K 18446744073709551616 2048M; do
	refused listen --queue "$size"
	refused monitor --queue "$size"
done
refused listen --blkid /usr/sbin/blkid --blkid-timeout infinity
refused listen --blkid /usr/sbin/blkid --blkid-timeout 99999999999999999999s

say 'a time past the clock'
dmhelper listen --claim-udev --blkid /usr/sbin/blkid --blkid-timeout 10000000000000000000s --pid-file /run/listen.pid &
wait_until 20 test -s /run/listen.pid
disk 64M
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 "$DISK"
timeout 30 dmsetup create content --table "0 131072 linear $DISK 0"
assert_link /dev/mapper/content content
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 content
kill -0 "$(cat /run/listen.pid)"

say 'names beside those of temporary links'
neighbours=(x.tmp-dmhelper x.tmp-b254:1 .x x. dmhelper-dm-1 .dmhelper-dm-1)
for name in "${neighbours[@]}"; do timeout 30 dmsetup create "$name" --table '0 2048 error'; done
timeout 30 dmsetup create x --table '0 2048 error'
for name in "${neighbours[@]}" x; do
	assert_link "/dev/mapper/$name" "$name"
	assert_link "/dev/disk/by-id/dm-name-$name" "$name"
done
# As long as a name may be: nothing fits beside it.
long=$(printf 'l%.0s' $(seq 127))
timeout 30 dmsetup create "$long" --uuid "$(printf 'u%.0s' $(seq 128))" --table '0 2048 error'
assert_link "/dev/mapper/$long" "$long"
dmhelper doctor
assert_eq '' "$(find /dev -name '*~*')" 'temporary links'

say 'the same times elsewhere'
dmhelper wait --timeout 10000000000000000000s x
dmhelper doctor --patience 10000000000000000000s
dmsetup remove_all
kill -TERM "$(cat /run/listen.pid)"
wait_until 20 test ! -e /run/listen.pid
