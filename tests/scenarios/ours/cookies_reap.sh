# One trouble does not keep `cookie reap` from the rest.
# timeout: 240
say 'what it does cannot be told: it is done all the same, and the failure is told in the end'
for _ in 1 2 3; do dmhelper cookie create; done
status=0
message=$(dmhelper cookie reap --older-than 0 --yes 2>&1 >/dev/full) || status=$?
assert_eq 1 "$status" 'status on a full disk'
expect_line 'write standard output: No space left on device' "$message"
assert_eq 1 "$(wc -l <<<"$message")" 'told once'
assert_no_cookies
for _ in 1 2 3; do dmhelper cookie create; done
status=0
dmhelper cookie complete-all --yes >/dev/full || status=$?
assert_eq 1 "$status" 'status on a full disk'
assert_no_cookies

step 'the end'
