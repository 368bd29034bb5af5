# What every case does once its real root is up, under the same rules as the initramfs had: the real udevd has replayed
# the events of all block devices by now. Compared between the two.
# timeout: 120
step 'the root is up'
assert_no_cookies
replay change
step 'every device has changed'
assert_no_cookies
