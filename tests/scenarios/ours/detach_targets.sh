# What the targets of the kernel lose when a device of theirs is removed: the rows of the table in dmhelper-detach(8), each
# by a device that is written to, removed, and made again. (snapshot: see detach_snapshots.)
# needs: lvm thin_check era_invalidate cryptsetup veritysetup module:dm-cache-smq module:dm-writecache module:dm-clone module:dm-era module:dm-integrity module:dm-mirror module:dm-raid module:dm-thin-pool module:dm-multipath module:dm-round-robin module:dm-delay module:dm-dust module:dm-switch module:dm-crypt module:dm-verity module:dm-log-writes module:dm-flakey module:dm-unstripe module:dm-zero
# timeout: 300
# shellcheck source=tests/rig/guest/detach.sh
. /rig/detach.sh
sum() { dd if="$1" bs=1M iflag=direct status=none | md5sum | cut -d ' ' -f 1; }
noise() { dd if=/dev/urandom of="$1" bs=1M count="${2:-1}" seek="${3:-0}" oflag=direct conv=notrunc status=none; }
# blank DISK...: where metadata is to be made again.
blank() { for disk; do dd if=/dev/zero of="$disk" bs=1M count=4 oflag=direct conv=notrunc status=none; done; }
gone() { assert_eq 0 "$(detach --timeout 60s "$1")" "detach $1"; }
# anew NAME TABLE [CONTENT]: removed, made again, the content is the same.
anew() {
	local kept
	kept=${3:-$(sum "/dev/mapper/$1")}
	gone "$1"
	dmsetup create --verifyudev "$1" --table "$2" # With udevd or without
	assert_eq "$kept" "$(sum "/dev/mapper/$1")" "the content of $1, made again"
}
# stays NAME REASON: --all leaves it, for that; and whoever names it removes it.
stays() {
	assert_eq 7 "$(detach --timeout 60s --all --yes)" "--all with $1"
	assert_eq 1 "$(complaint "detach $1 ($(number "$1")): $2 would be lost, being only in memory; name it to remove it")" "why $1 stays"
	gone "$1"
}
disk 8M && a=$DISK
disk 8M && b=$DISK
disk 8M && c=$DISK
disk 8M && d=$DISK
noise "$a" 8
noise "$b" 8
for module in cache-smq writecache clone era integrity mirror raid thin-pool multipath round-robin delay dust switch crypt log-writes flakey unstripe zero; do
	modprobe "dm-$module"
done
step 'four disks'

say 'linear, striped, unstriped, flakey, log-writes, zero, error: nothing'
for table in "linear $a 0" "striped 2 8 $a 0 $b 0" "unstriped 2 8 0 $a 0" "flakey $a 0 100 0"; do
	dmsetup create x --table "0 8192 $table"
	noise /dev/mapper/x 2
	anew x "0 8192 $table"
	gone x
done
for table in zero error; do
	dmsetup create x --table "0 8192 $table"
	gone x
done
dmsetup create x --table "0 8192 log-writes $a $b"
noise /dev/mapper/x
kept=$(sum /dev/mapper/x)
gone x
assert_eq "$kept" "$(dd if="$a" bs=1M count=4 iflag=direct status=none | md5sum | cut -d ' ' -f 1)" 'what was logged'
[ "$(od -A n -t u8 -j 16 -N 8 "$b")" -gt 1 ] || fail 'the log has no entries'

say 'dust, switch: what messages have set'
dmsetup create x --table "0 8192 dust $a 0 512"
dmsetup message x 0 addbadblock 7
stays x 'its list of bad blocks'
dmsetup create x --table "0 8192 dust $a 0 512"
expect_line 'not found' "$(dmsetup message x 0 queryblock 7; dmesg | tail -n 1)"
gone x
dmsetup create x --table "0 8192 switch 2 8 0 $a 0 $b 0"
dmsetup message x 0 set_region_mappings 0:1
stays x 'its map of regions to paths'

say 'cache and writecache: what is not written back is on the cache device'
blank "$c" "$d"
cache="0 16384 cache $c $d $a 64 1 writeback smq 0"
dmsetup create x --table "$cache"
for _ in 1 2 3 4 5 6; do noise /dev/mapper/x; done
anew x "$cache"
gone x
blank "$c"
writecache="0 16384 writecache s $a $c 4096 0"
dmsetup create x --table "$writecache"
noise /dev/mapper/x 2
kept=$(sum /dev/mapper/x)
[ "$kept" != "$(sum "$a")" ] || fail 'all is written back: this shows nothing'
anew x "$writecache" "$kept"
gone x

say 'clone: hydration goes on'
blank "$c"
clone="0 16384 clone $c $b $a 8 1 no_hydration"
dmsetup create x --table "$clone"
noise /dev/mapper/x 1 3
kept=$(sum /dev/mapper/x)
[ "$kept" != "$(sum "$b")" ] || fail 'all is copied: this shows nothing'
anew x "$clone" "$kept"
dmsetup message x 0 enable_hydration
anew x "$clone" "$kept"
dmsetup message x 0 enable_hydration
hydrated() { [ "$(dmsetup status x | cut -d ' ' -f 7)" = 2048/2048 ]; }
wait_until 60 hydrated
gone x
assert_eq "$kept" "$(sum "$b")" 'the copy alone'

say 'era: what was written since is remembered'
blank "$c"
dmsetup create x --table "0 16384 era $c $a 128"
noise /dev/mapper/x 1 1
dmsetup message x 0 checkpoint
since=$(dmsetup status x | cut -d ' ' -f 6)
noise /dev/mapper/x 1 5
gone x
expect_line 'block\|range' "$(era_invalidate --written-since "$since" "$c")"
dmsetup create x --table "0 16384 era $c $a 128"
[ "$(dmsetup status x | cut -d ' ' -f 6)" -ge "$since" ] || fail 'the era went back'
gone x

say 'integrity: the journal, the bitmap'
for mode in J B; do
	blank "$c"
	dmsetup create x --table "0 8 integrity $c 0 4 $mode 1 internal_hash:crc32c"
	size=$(dmsetup status x | cut -d ' ' -f 5)
	gone x
	blank "$c"
	integrity="0 $((size / 2048 * 2048)) integrity $c 0 4 $mode 1 internal_hash:crc32c"
	dmsetup create x --table "$integrity" # A new device has no checksums: they are made by writing.
	noise /dev/mapper/x $((size / 2048))
	anew x "$integrity"
	assert_eq 0 "$(dmsetup status x | cut -d ' ' -f 4)" 'checksums that fail'
	gone x
done

say 'mirror, raid: what was written; resynchronisation goes on or begins again'
blank "$c"
for log in 'core 1 1024' "disk 2 $c 1024"; do
	mirror="0 16384 mirror $log 2 $a 0 $b 0 1 handle_errors"
	dmsetup create x --table "$mirror"
	noise /dev/mapper/x 2
	anew x "$mirror"
	gone x
done
blank "$c" "$d"
raid="0 16384 raid raid1 3 0 region_size 1024 2 $c $a $d $b"
dmsetup create x --table "$raid"
noise /dev/mapper/x 2
anew x "$raid"
gone x

say 'thin, thin-pool: what was never flushed'
blank "$c"
pool="0 16384 thin-pool $c $b 128 0"
dmsetup create pool --table "$pool"
dmsetup message pool 0 'create_thin 0'
dmsetup create x --table '0 8192 thin /dev/mapper/pool 0'
noise /dev/mapper/x 2
kept=$(sum /dev/mapper/x)
assert_eq 0 "$(rehearsed --timeout 60s --all --yes)" 'a thin pool'
dmsetup create pool --table "$pool"
dmsetup create x --table '0 8192 thin /dev/mapper/pool 0'
assert_eq "$kept" "$(sum /dev/mapper/x)" 'a thin volume, made again'
gone x
gone pool

say 'crypt, verity'
crypt="0 16384 crypt aes-xts-plain64 $(printf '%064d' 7) 0 $a 0"
dmsetup create x --table "$crypt"
noise /dev/mapper/x 2
anew x "$crypt"
gone x
kept=$(sum "$a")
root=$(veritysetup format "$a" "$c" | sed -n 's/^Root hash:[[:space:]]*//p')
for _ in 1 2; do
	veritysetup open "$a" x "$c" "$root"
	assert_eq "$kept" "$(sum /dev/mapper/x)" 'the content behind verity'
	gone x
done

say 'multipath, delay: who waits for a write has the device open'
# Without udevd, which would itself wait for what is queued.
stop_udevd
rm -rf /run/udev
# writer: 64 KiB of noise into x; nobody asks for them to be written but the close.
writer() {
	dd if=/run/noise of=/dev/mapper/x bs=64k conv=notrunc status=none &
	tool=$!
}
head -c 64K /dev/urandom >/run/noise
dmsetup create --verifyudev path --table "0 16384 linear $b 0"
multipath="0 16384 multipath 3 queue_if_no_path queue_mode bio 0 1 1 round-robin 0 1 1 $(number path) 1000"
dmsetup create --verifyudev x --table "$multipath"
dmsetup message x 0 "fail_path $(number path)"
writer
opened() { [ "$(dmsetup info -c --noheadings -o open x)" -ge 1 ]; }
wait_until 20 opened
assert_eq 7 "$(detach --timeout 500ms x)" 'a map that queues'
assert_eq 7 "$(detach --timeout 500ms --all --yes)" 'all with a map that queues'
assert_eq 1 "$(complaint "detach path ($(number path)): in use: used by x; open once")" 'the path'
dmsetup message x 0 "reinstate_path $(number path)"
wait $tool
anew x "$multipath"
dd if="$b" bs=64k count=1 iflag=direct status=none | cmp - /run/noise || fail 'what was queued is lost'
gone x
gone path
dmsetup create --verifyudev x --table "0 16384 delay $a 0 0 $a 0 3000"
head -c 64K /dev/urandom >/run/noise
writer
wait_until 20 opened
assert_eq 7 "$(detach --timeout 0 x)" 'a delayed write'
assert_eq 0 "$(detach --timeout 60s x)" 'when it is written'
wait $tool
dd if="$a" bs=64k count=1 iflag=direct status=none | cmp - /run/noise || fail 'what was delayed is lost'
assert_eq '' "$(left)" 'devices left'
assert_no_cookies
start_udevd
