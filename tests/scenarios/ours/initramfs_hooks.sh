# The hooks of both initramfs kits that look for a udevd, run as the kits run them: beside a living one they end no boot and
# release no tool, however long it takes; without one they do both.
# timeout: 240
disk 64M
table="0 2048 linear $DISK 2048"
dracut=$(dirname "$(find /usr/lib/dracut /rig -name dmhelper-udevd.sh | head -n 1)")
premount=$(find /usr/share/initramfs-tools /rig -path '*init-premount/dmhelper' | head -n 1)
bottom=$(find /usr/share/initramfs-tools /rig -path '*init-bottom/dmhelper' | head -n 1)
mkdir -p /run/initramfs

# What dracut gives its hooks.
emergency_shell() { echo "$*" >>/run/emergency; }
warn() { echo "$*" >>/run/warned; }
# The hook is a part of dracut's loop, and looks every five seconds.
# shellcheck source=/dev/null
dracut_loop() { for _ in $(seq "$(($1 * 2))"); do . "$dracut/dmhelper-udevd.sh" && sleep 0.5; done; }
# shellcheck source=/dev/null
watch() {
	. "$dracut/dmhelper-watch.sh"
	sh "$premount" >>/run/warned
}
unwatch() {
	(. "$dracut/dmhelper-unwatch.sh")
	sh "$bottom"
}

say 'a udevd is at work on an event for long'
cat >/etc/udev/rules.d/05-slow.rules <<'RULES'
KERNEL=="dm-*", ACTION=="change", ENV{DM_COOKIE}=="?*", TEST=="/run/slow", PROGRAM="/bin/sleep 60"
RULES
reload_rules
touch /run/slow
watch
dmsetup create slow --table "$table" &
job=$!
wait_until 20 pgrep -f '^/bin/sleep 60'
rm /run/slow
dracut_loop 25
assert_fails test -e /run/emergency
assert_fails test -s /run/warned
assert_eq 1 "$(dm_semaphores | wc -l)" 'cookies'
pkill -f '^/bin/sleep 60' || :
wait_for_job "$job"
quiesce
assert_link /dev/mapper/slow slow
dmsetup remove slow

say 'it is killed'
pkill -KILL -x systemd-udevd
wait_until 20 no_udevd
dmsetup create orphan --table "$table" &
job=$!
dracut_loop 17
expect_line 'no udevd is running' "$(cat /run/emergency)"
wait_for_job "$job"
expect_line 'udev does not answer: .* completed: no udevd' "$(cat /run/warned)"
unwatch
assert_no_cookies
rm -f /run/udev/control /run/udev/io.systemd.Udev /etc/udev/rules.d/05-slow.rules
start_udevd
replay add
dmsetup remove orphan
step 'the end'
