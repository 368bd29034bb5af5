# What explain and doctor print is run as printed: the trouble is gone, and data, read-only state, mounts and links are not.
# needs: cryptsetup lvm mkfs.ext4 nsenter unshare perl module:dm-crypt module:dm-snapshot
# timeout: 500
disk 128M && pv=$DISK
disk 64M && plain=$DISK
disk 64M && crypt=$DISK
table="0 2048 linear $plain"
# steps WORD: what explain says is to be done; commands WORD: what of it is to be pasted.
steps() { { dmhelper explain --json "$1" || :; } | perl -MJSON::PP -0777 -ne 'print "$_\n" for @{decode_json($_)->{steps}}'; }
command_of() { sed -n '/: /{s/^[^:]*: //p;d}; /\.$/!p'; }
commands() { steps "$1" | command_of; }
# fixes: the commands of what doctor finds, in its order.
fixes() { { dmhelper doctor || [ $? = 7 ]; } | sed -n 's/.* Fix: //p' | command_of; }
# paste COMMANDS: each line of them as a person pastes it, within a deadline.
paste() {
	local line
	while read -r line; do
		say "$line"
		timeout 90 bash -c "$line" </dev/null || fail "status $?: $line"
	done <<<"$1"
}
well() { assert_eq "all is well: $1 devices" "$(dmhelper doctor || :)" 'doctor'; }

say 'a mount in another namespace is unmounted there, and not what is mounted at the same place here'
vgcreate -q vg "$pv"
for name in home other; do
	lvcreate -q -y -n $name -L 16M vg
	mkfs.ext4 -q /dev/vg/$name
done
even_out
mkdir -p /run/data
unshare -m --propagation private sh -c 'mount /dev/vg/home /run/data && exec sleep 300' &
holder=$!
in_use() { [ "$(dmsetup info -c --noheadings -o open vg-home)" != 0 ]; }
wait_until 20 in_use
# Nothing is mounted there here.
expect_line "mounted at /run/data in the mount namespace of [a-z]*.$holder." "$(dmhelper explain vg-home)"
assert_eq "nsenter -t $holder -m umount /run/data" "$(commands vg-home)" 'what to do'
mount /dev/vg/other /run/data
paste "$(commands vg-home)"
assert_fails in_use
assert_eq /dev/mapper/vg-other "$(findmnt -n -o SOURCE /run/data)" 'mounted here'
assert_explained ready vg-home
kill $holder && wait $holder || :
# Two at one place: what is below must not be unmounted, for it is the other that would go.
mount /dev/vg/home /run/data
expect_line 'mounted at /run/data, below another mount' "$(dmhelper explain vg-other)"
assert_eq '' "$(commands vg-other)" 'what to do'
paste "$(commands vg-home)"
paste "$(commands vg-other)"
assert_fails mountpoint -q /run/data
step 'mounts'

say 'suspended: the lowest first, and all of them'
lvcreate -q -y -s -n snap -L 8M vg/home
quiesce
for name in vg-home vg-snap vg-home-real vg-snap-cow; do dmsetup suspend $name; done
found=$(fixes)
printf '%s\n' "$found"
assert_eq 4 "$(grep -c '^dmsetup resume ' <<<"$found")" 'suspended devices'
paste "$found"
quiesce
well 5
dmsetup suspend vg-home && dmsetup suspend vg-home-real
assert_eq 'dmsetup resume vg-home-real && dmsetup resume vg-home' "$(commands vg-home | tail -n 1)" 'what to do'
paste "$(commands vg-home | tail -n 1)"
quiesce
assert_explained ready vg-home

say 'suspended with a second table: nothing that would put it in force'
right=$(dmsetup table vg-other)
dmsetup load vg-other --table "0 32768 error"
dmsetup suspend vg-other
assert_eq '' "$(commands vg-other)" 'what to do'
expect_line 'second table' "$(steps vg-other)"
assert_fails grep -E 'resume vg-other|lvchange' <<<"$(fixes)"
dmsetup clear vg-other
paste "$(commands vg-other | head -n 1)"
quiesce
assert_eq "$right" "$(dmsetup table vg-other)" 'the table'
assert_explained ready vg-other
dmsetup create odd --table "$table 4096"
dmsetup load odd --table '0 2048 error'
dmsetup suspend odd
assert_fails grep -q resume <<<"$(commands odd)"
dmsetup clear odd
paste "$(commands odd)"
quiesce
dmsetup remove odd
lvremove -q -y vg/snap

say 'never resumed: what was loaded is not put in force'
dmsetup create --notable half
dmsetup load half --table "$table 4096"
paste "$(commands half)"
assert_fails dmsetup info half

say 'to be removed: who has it open is not hurried, and it can be kept'
dmsetup create going --table "$table 4096"
sleep 300 </dev/mapper/going &
opener=$!
dmsetup remove --deferred going
assert_explained deferred-removal going also
assert_fails grep -q "let sleep.$opener. finish" <<<"$(steps going)"
paste "$(commands going)"
kill $opener && wait $opener || :
quiesce
assert_explained ready going
dmsetup remove going

say 'something in the way: it is moved aside, whole'
dmsetup create way --table "$table 4096"
rm /dev/mapper/way
echo data >/dev/mapper/way
paste "$(commands /dev/mapper/way)"
assert_link /dev/mapper/way way
assert_eq data "$(cat /dev/mapper/way.aside)" 'what was in the way'
rm /dev/mapper/way.aside
dmsetup remove way

say 'a tool that waits for a killed worker: links first, then the cookie'
cat >/etc/udev/rules.d/01-slow.rules <<'RULES'
KERNEL=="dm-*", ACTION=="change", ENV{DM_COOKIE}=="?*", TEST=="/run/slow", PROGRAM="/bin/sleep 60"
RULES
reload_rules
# stuck COMMAND...: it waits for a cookie that nobody will complete.
stuck() {
	touch /run/slow
	"$@" >/run/tool 2>&1 &
	tool=$!
	wait_until 30 pgrep -f '^/bin/sleep 60'
	local worker
	worker=$(ps -o ppid= -p "$(pgrep -f '^/bin/sleep 60')" | tr -d ' ')
	rm /run/slow
	kill -KILL "$worker"
	pkill -f '^/bin/sleep 60' || :
	wait_until 90 reapable
}
ended() { wait_for_job "$tool" || { cat /run/tool; fail 'the tool has failed'; }; }
stuck lvcreate -q -y -n one -L 16M vg
found=$(fixes)
printf '%s\n' "$found"
assert_eq 'dmhelper cookie reap --yes' "$(tail -n 1 <<<"$found")" 'the last'
paste "$found"
ended
quiesce
assert_link /dev/vg/one vg-one
assert_explained ready vg-one
echo secret >/run/key
cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$crypt" /run/key
quiesce
stuck cryptsetup open --key-file /run/key "$crypt" secret
found=$(commands "$(dm_semaphores)")
printf '%s\n' "$found"
expect_line '^dmhelper refresh ' "$(head -n 1 <<<"$found")"
paste "$found"
ended
quiesce
well 4
assert_link /dev/mapper/secret secret || :
rm /etc/udev/rules.d/01-slow.rules
reload_rules
cryptsetup close secret || dmsetup ls

say 'udevd is stopped'
pkill -STOP -x systemd-udevd
assert_eq "kill -CONT $(pgrep -o -x systemd-udevd)" "$(fixes | head -n 1)" 'what to do'
paste "$(fixes | head -n 1)"
well 3
step 'stuck'

say 'a container with the directories of links and without the nodes: nothing of the host is removed'
dmsetup create lun --table "$table 8192"
quiesce
node=/dev/$(kernel_name lun)
rm "$node"
assert_explained no-node /dev/mapper/lun
expect_line "^would make $node\$" "$(dmhelper doctor --fix || [ $? = 7 ])"
expect_line "^made $node\$" "$($(commands /dev/mapper/lun) || [ $? = 7 ])" # it counts what it has found
assert_explained link-right /dev/mapper/lun
[ -b /dev/mapper/lun ] || fail 'there is no node'
ln -s ../dm-99 /dev/mapper/left
ln -s "../$(kernel_name lun)" /dev/mapper/alias
quiesce
cat >/run/inside <<'INSIDE'
mkdir -p /run/new/dev && mount -t tmpfs none /run/new/dev && cd /run/new/dev && mkdir mapper vg
mount --bind /dev/mapper mapper && mount --bind /dev/vg vg && cp -a /dev/null /dev/zero /dev/random . && ln -s /proc/self/fd fd
mount --move /run/new/dev /dev && cd /
mount -t tmpfs none /run/udev
dmhelper doctor
dmhelper explain /dev/mapper/lun
dmhelper explain /dev/vg/one
dmhelper explain vg-one
dmhelper doctor --fix
INSIDE
found=$(unshare -m --propagation private bash /run/inside || :)
printf '%s\n' "$found"
expect_line 'this /dev lacks that node' "$found"
assert_fails grep -E '(^| )rm /dev/(mapper/(lun|vg-one|alias)|vg/one)|remove /dev/mapper/(lun|alias|vg-)' <<<"$found"
for link in mapper/lun mapper/vg-one vg/one mapper/alias; do [ -L /dev/$link ] || fail "$link is gone"; done
rm /dev/mapper/left /dev/mapper/alias
dmsetup remove lun
vgremove -q -y -f vg
assert_no_cookies
step 'the end'
