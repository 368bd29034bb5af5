# systemd's own opinion on our rules: from 254 on, udevadm has one. Where it has none, tests/rules.rs stands in.
# suite: trixie forky
rules=/usr/lib/udev/rules.d
udevadm verify "$rules"/{55-dm,56-lvm,60-persistent-storage-dm,95-dm-notify}.rules >/run/said 2>&1 || fail "$(</run/said)"
expect_line '^ *Success: 4$' "$(</run/said)"
expect_line '^ *Fail: *0$' "$(</run/said)"
assert_eq '' "$(grep '\.rules' /run/said || :)" 'what it remarks on a file'
# What is wrong it does find.
echo 'ACTION=="add", SYMLINK=="dm", GOTO="nowhere"' >/run/99-wrong.rules
assert_fails udevadm verify /run/99-wrong.rules
