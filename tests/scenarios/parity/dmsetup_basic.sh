# dmsetup create, suspend, resume, reload, rename, remove; with a UUID and without.
# needs: dmsetup
# listen: yes
disk 64M
dmsetup create plain --table "0 2048 linear $DISK 0"
dmsetup create --uuid TEST-1234 with-uuid --table "0 2048 linear $DISK 2048"
step "created"
assert_link /dev/mapper/plain plain
assert_link /dev/disk/by-id/dm-uuid-TEST-1234 with-uuid
dmsetup suspend plain
dmsetup suspend with-uuid
step "suspended"
replay change
step "a spurious change while suspended"
dmsetup resume plain
dmsetup resume with-uuid
step "resumed"
dmsetup reload plain --table "0 4096 linear $DISK 8192"
dmsetup reload with-uuid --table "0 4096 linear $DISK 16384"
step "reloaded, not yet resumed"
dmsetup resume plain
dmsetup resume with-uuid
step "resumed with the new table"
dmsetup rename plain renamed
dmsetup rename with-uuid renamed-uuid
step "renamed"
assert_no_link /dev/mapper/plain
assert_link /dev/mapper/renamed renamed
dmsetup remove renamed
step "one removed"
dmsetup remove renamed-uuid
step "both removed"
