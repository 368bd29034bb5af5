# cryptsetup's other types: plain, integrity and verity.
# needs: cryptsetup veritysetup integritysetup module:dm-crypt module:dm-verity module:dm-integrity
# timeout: 180
# listen: yes
printf '%064d' 0 >/run/key
# The verity device and the device below hold the same file system: with equal priority it is chance whose link wins.
mkdir -p /run/udev/rules.d
echo 'KERNEL=="loop*", ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}="1"' >/run/udev/rules.d/00-loop.rules
reload_rules
disk 32M && plain=$DISK
disk 16M && integrity=$DISK
disk 16M && data=$DISK
disk 16M && hashes=$DISK
cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 256 --hash sha256 --key-file /run/key "$plain" plain
step 'plain'
assert_link /dev/mapper/plain plain
quiesce
mkswap -U 11111111-2222-3333-4444-555555555555 /dev/mapper/plain
after_writing
step 'plain with a swap area'
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 plain
integritysetup format -q --integrity crc32c "$integrity"
integritysetup open --integrity crc32c "$integrity" integral
step 'integrity'
assert_link /dev/mapper/integral integral
mkfs.ext4 -q -U 33333333-2222-3333-4444-555555555555 -L verified "$data"
quiesce
root=$(veritysetup format --uuid 44444444-2222-3333-4444-555555555555 --salt 00ff "$data" "$hashes" |
	sed -n 's/^Root hash:[[:space:]]*//p')
veritysetup open "$data" verified "$hashes" "$root"
step 'verity'
assert_link /dev/disk/by-id/dm-uuid-CRYPT-VERITY-44444444222233334444555555555555-verified verified
replay change
step 'a spurious change'
replay add
step 'coldplugged'
cryptsetup close plain
integritysetup close integral
veritysetup close verified
step 'closed'
