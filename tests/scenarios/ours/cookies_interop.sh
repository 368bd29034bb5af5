# Both sides of libdevmapper's protocol: dmsetup waits and dmhelper completes, dmhelper waits and dmsetup completes, and
# each joins the other's transaction. The numbers mean the same to both, however they are spelt.
disk 64M
table="0 2048 linear $DISK 0"

# dmhelper begins and waits; dmsetup's devices and udev's completions join.
cookie=$(dmhelper cookie create)
dmsetup create --udevcookie "$cookie" one --table "$table"
dmsetup create --udevcookie "$cookie" two --table "$table"
dmhelper cookie release --timeout 30s "$cookie"
assert_link /dev/mapper/one one
assert_link /dev/mapper/two two
assert_no_cookies

# dmsetup begins; dmhelper announces, completes and waits.
cookie=$(dmsetup udevcreatecookie)
dmsetup create --udevcookie "$cookie" three --table "$table"
dmhelper cookie inc "$cookie"
assert_fails dmhelper cookie wait --timeout 1s --no-remove "$cookie"
dmhelper cookie complete "$cookie"
dmhelper cookie wait --timeout 30s --no-remove "$cookie"
assert_link /dev/mapper/three three
dmhelper cookie wait --timeout 30s "$cookie"
assert_no_cookies

# dmhelper begins and announces; dmsetup completes and waits.
cookie=$(dmhelper cookie create)
dmhelper cookie inc "$cookie"
dmsetup udevcomplete "$cookie"
timeout 30 dmsetup udevreleasecookie "$cookie"
assert_no_cookies

# A command's tools share one cookie and one wait.
dmhelper cookie run --timeout 30s -- sh -c '
	dmsetup create four --table "$1"
	dmsetup create five --table "$1"
	dmsetup remove one' sh "$table"
assert_link /dev/mapper/four four
assert_link /dev/mapper/five five
assert_no_link /dev/mapper/one
assert_no_cookies

# Every bit of the flags, as dmsetup prints them.
for bit in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
	cookie=$((1 << (bit + 16) | 0x1234))
	assert_eq "$(dmsetup udevflags "$cookie")" "$(dmhelper cookie flags "$cookie")" "flags of $cookie"
done
assert_eq "$(dmsetup udevflags 0xffffffff)" "$(dmhelper cookie flags 037777777777)" 'all flags, in octal'

# Flags alone, with nothing to complete; dmhelper takes that for the success it is.
dmhelper cookie complete 0x410000
assert_eq 'DM_UDEV_DISABLE_DM_RULES_FLAG='\''1'\''' "$(dmhelper cookie flags 0x10000)"

# One semaphore, three spellings, and the flags or the magic above it make no difference to who completes.
cookie=$(dmhelper cookie create)
base=$((cookie & 0xffff))
for spelling in "$base" "$(printf '0x41%04x' "$base")" "$(printf '0%o' $((base | 0x410000)))" "$cookie"; do
	dmhelper cookie inc "$cookie"
	dmhelper cookie complete "$spelling"
done
dmhelper cookie release --timeout 1s "$cookie"
assert_no_cookies

# What is not a cookie is refused by both.
for wrong in '' x 0x1g 08 -1; do
	assert_fails dmsetup udevcomplete "$wrong"
	assert_fails dmhelper cookie complete "$wrong"
done
step 'all is in place'
dmsetup remove_all
step 'the end'
