# Partitions of a device-mapper device, made by kpartx, with GPT names and identifiers.
# needs: kpartx sfdisk
# listen: no, kpartx has rules of its own for its links
disk 64M
dmsetup create --uuid TEST-whole whole --table "0 98304 linear $DISK 4096"
quiesce
sfdisk -q --no-reread --no-tell-kernel /dev/mapper/whole <<'TABLE'
label: gpt
label-id: 11111111-0000-0000-0000-000000000000
size=16M, uuid=11111111-0000-0000-0000-000000000001, name="first part"
size=8M, uuid=11111111-0000-0000-0000-000000000002, name=second
TABLE
step 'partitioned'
kpartx -a -s -p -part /dev/mapper/whole
step 'partitions mapped'
assert_link /dev/mapper/whole-part1 whole-part1
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -L data /dev/mapper/whole-part1
step 'a file system'
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 whole-part1
assert_link /dev/disk/by-partuuid/11111111-0000-0000-0000-000000000001 whole-part1
replay change
step 'a spurious change'
replay add
step 'coldplugged'
kpartx -d -s /dev/mapper/whole
step 'partitions unmapped'
kpartx -a -s "$DISK" # nothing to find there: no partition table at its start
dmsetup remove whole
sfdisk -q --no-reread --no-tell-kernel "$DISK" <<'TABLE'
label: dos
label-id: 0x12345678
size=16M, type=83
TABLE
kpartx -a -s "$DISK"
step 'partitions of a loop device'
assert_link "/dev/mapper/${DISK##*/}p1" "${DISK##*/}p1"
kpartx -d -s "$DISK"
step 'unmapped'
