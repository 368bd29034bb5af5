# A tool in a container (an IPC namespace of its own) with the host's udev: its cookie is invisible to udevd.
disk 64M
table="0 2048 linear $DISK 0"

# in_container: a tool in an IPC namespace of its own waits for one completion of $cookie.
in_container() {
	rm -f /run/cookie
	unshare --ipc sh -c '
		cookie=$(dmhelper cookie create)
		dmhelper cookie inc "$cookie"
		echo "$cookie" >/run/cookie.new
		mv /run/cookie.new /run/cookie
		exec dmhelper cookie release --without-udevd --timeout 60s "$cookie"' &
	job=$!
	wait_until 20 test -e /run/cookie
	cookie=$(cat /run/cookie)
}

# By hand: refused at home, found elsewhere.
in_container
message=$(dmhelper cookie complete "$cookie" 2>&1)
assert_eq 1 "$(grep -c 'nobody waits for it in this IPC namespace' <<<"$message")" 'said at home'
assert_eq '' "$(dmhelper cookie complete --any-ipc-namespace "$cookie" 2>&1)" 'found elsewhere'
wait_for_job "$job"
message=$(dmhelper cookie complete --any-ipc-namespace "$cookie" 2>&1)
assert_eq 1 "$(grep -c 'nobody waits for it in any IPC namespace' <<<"$message")" 'said everywhere'

# An ordinary user's set of that key at home hides nothing.
in_container
key=$((0x0d4d0000 | cookie & 0xffff))
setpriv --reuid=nobody --clear-groups perl -e 'defined semctl(semget($ARGV[0], 1, 0600 | 01000), 0, 16, 2) or die "semget: $!"' "$key"
assert_eq '' "$(dmhelper cookie complete --any-ipc-namespace "$cookie" 2>&1)" 'found behind a set of another user'
wait_for_job "$job"
ipcrm -S "$key"

# Two namespaces with one key: nobody can tell which is meant.
hold='my $s = semget(0x0d4d4242, 1, 0600 | 01000); semctl($s, 0, 16, 2); open(my $f, ">", "/run/held.$$"); sleep 60'
unshare --ipc perl -e "$hold" &
first=$!
unshare --ipc perl -e "$hold" &
second=$!
held() { [ "$(find /run -name 'held.*' | wc -l)" = 2 ]; }
wait_until 20 held
status=0
message=$(dmhelper cookie complete --any-ipc-namespace 0x424242 2>&1) || status=$?
assert_eq 1 "$status" 'status of a collision'
assert_eq 1 "$(grep -c '2 IPC namespaces have it' <<<"$message")" 'the collision is named'
kill "$first" "$second"
wait "$first" "$second" || :

# The rules: as they are, the tool waits in vain; with the administrator's switch it does not.
unshare --ipc timeout 5 dmsetup create invain --table "$table" || status=$?
assert_eq 124 "$status" 'a tool in a container waits in vain'
settle
dmsetup remove invain
cat >/etc/udev/rules.d/90-dmhelper.rules <<'RULES'
ENV{.DMHELPER_ANY_IPC_NAMESPACE}="1"
RULES
reload_rules
unshare --ipc timeout 30 dmsetup create contained --table "$table"
step 'a tool in a container is answered'
assert_link /dev/mapper/contained contained
dmsetup remove contained
assert_no_cookies
step 'the end'
