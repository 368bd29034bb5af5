# A hundred devices under one cookie: created together, removed together, the waiter released once.
# timeout: 240
# listen: yes
disk 512M
cookie=$(dmsetup udevcreatecookie)
for n in $(seq 100); do
	dmsetup create --udevcookie "$cookie" "many$n" --table "0 2048 linear $DISK $((4096 + n * 4096))"
done
timeout 100 dmsetup udevreleasecookie "$cookie"
assert_link /dev/mapper/many1 many1
assert_link /dev/mapper/many100 many100
step 'a hundred created'
assert_eq 100 "$(find /dev/mapper -name 'many*' -type l | wc -l)" 'links'
assert_no_cookies
cookie=$(dmsetup udevcreatecookie)
for n in $(seq 100); do dmsetup remove --udevcookie "$cookie" "many$n"; done
timeout 100 dmsetup udevreleasecookie "$cookie"
step 'a hundred removed'
assert_no_cookies
