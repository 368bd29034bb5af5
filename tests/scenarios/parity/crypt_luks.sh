# LUKS1 and LUKS2: formatted, opened with a file system inside, suspended, closed.
# needs: cryptsetup module:dm-crypt mkfs.ext4
# timeout: 180
# listen: yes
printf secret >/run/key
format() { cryptsetup luksFormat -q --type "$1" --uuid "$2" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$3" /run/key; }
disk 64M && one=$DISK
disk 64M && two=$DISK
format luks1 aaaaaaaa-1111-1111-1111-111111111111 "$one"
format luks2 bbbbbbbb-2222-2222-2222-222222222222 "$two"
quiesce
cryptsetup open --key-file /run/key "$one" luks1
step 'LUKS1 open'
assert_link /dev/mapper/luks1 luks1
assert_link /dev/disk/by-id/dm-uuid-CRYPT-LUKS1-aaaaaaaa111111111111111111111111-luks1 luks1
cryptsetup open --key-file /run/key "$two" luks2
step 'LUKS2 open'
assert_link /dev/mapper/luks2 luks2
assert_no_cookies
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -L secret /dev/mapper/luks1
mkfs.ext4 -q -U 22222222-2222-3333-4444-555555555555 -L secret2 /dev/mapper/luks2
after_writing
step 'file systems'
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 luks1
assert_link /dev/disk/by-label/secret2 luks2
cryptsetup luksSuspend luks2
replay change
step 'suspended'
cryptsetup luksResume --key-file /run/key luks2
step 'resumed'
replay add
step 'coldplugged'
cryptsetup close luks1
step 'LUKS1 closed'
assert_no_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555
cryptsetup open --key-file /run/key "$one" again
step 'LUKS1 open under another name'
assert_link /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 again
cryptsetup close again
cryptsetup close luks2
step 'closed'
