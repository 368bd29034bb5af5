# Every flag a tool can put into its cookie, one device each, and what later events make of it.
# needs: perl
# timeout: 180
# listen: yes
disk 64M
flagged() {
	dmsetup create --uuid "$1" "$2" --table "0 2048 linear $DISK $((4096 + next * 4096))"
	dmsetup suspend "$2"
	settle
	resume_with_flags "$2" "$3"
	next=$((next + 1))
}
next=0
for bit in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
	flagged "TEST-bit$bit" "bit$bit" $((1 << bit))
done
# With the flag that says "this is a genuine event of a tool".
for bit in 0 1 2 3 4 5 7 8; do
	flagged "TEST-primary$bit" "primary$bit" $((1 << 6 | 1 << bit))
done
flagged TEST-all all $((0xffff))
# LVM's own flag 0 says: scan nothing yet. Its device must be one of LVM's.
flagged "LVM-$(printf '%064d' 1)" vg-noscan $((0x140))
flagged "LVM-$(printf '%064d' 2)" vg-noscan_other $((0x148))
flagged "LVM-$(printf '%064d' 3)" vg-hidden-real $((0x7a))
flagged "LVM-$(printf '%064d' 4)-cow" vg-snap-cow $((0x40))
flagged "LVM-$(printf '%064d' 5)" vg-pvmove0 $((0x40))
flagged "LVM-$(printf '%064d' 6)" vg-low $((0x50))
step 'resumed with flags'
if under_our_rules; then assert_prop vg-noscan DM_NOSCAN 1; fi # stock rules of version 3 do not store it
assert_prop bit3 DM_UDEV_DISABLE_OTHER_RULES_FLAG 1
replay change
step 'a spurious change'
replay change
step 'another spurious change'
replay add
step 'coldplugged'
dmsetup remove_all
step 'removed'
