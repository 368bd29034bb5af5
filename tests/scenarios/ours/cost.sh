# The import program of an event with a cookie makes no more system calls than it did, on a real device.
# needs: lvm strace
disk 64M
vgcreate -q vg "$DISK"
lvcreate -q -y -n volume -L 8M vg
devno=$(cat /sys/block/dm-0/dev)
event() { env -i PATH="$PATH" ACTION=change DEVPATH=/devices/virtual/block/dm-0 SUBSYSTEM=block DM_COOKIE=71325304 "$@"; }
assert_eq "DM_NAME='vg-volume'" "$(event dmhelper udev "$devno" | grep '^DM_NAME=')" 'identity'
event strace -f -qq -e signal=none -o /run/calls dmhelper udev "$devno" >/dev/null
cat /run/calls # into the guest's log
calls=$(wc -l </run/calls)
if [ "$calls" -gt 5 ]; then fail "dmhelper udev made $calls system calls, at most 5"; fi
for call in 'open.*"/dev/dm-' 'open.*"/dev/mapper/vg' 'open.*"/run/udev' 'poll' 'nanosleep' 'connect'; do
	assert_fails grep -E "$call" /run/calls
done
assert_eq 1 "$(grep -c 'ioctl(.*DM_\(DEV_STATUS\|TABLE_STATUS\)' /run/calls)" 'questions to the kernel'
vgremove -q -f vg
step 'done'
