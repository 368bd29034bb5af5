# dmhelper wait --for event: the number of a device-mapper event, by polling the control node, and on a kernel that cannot
# poll it.
# needs: perl module:dm-multipath module:dm-round-robin
# timeout: 180
disk 64M
mkdir /run/w
modprobe -a dm-multipath dm-round-robin
path=$(cat "/sys/block/${DISK#/dev/}/dev")
create() { dmsetup create "$1" --table "0 2048 multipath 0 0 1 1 round-robin 0 1 1 $path 1"; }
number() { dmsetup info -c --noheadings -o events "$1" | tr -d ' '; }
raise() { # two events
	dmsetup message "$1" 0 "fail_path $path"
	dmsetup message "$1" 0 "reinstate_path $path"
}
# A kernel whose control node cannot be polled: the one ioctl is unknown (ENOTTY).
cat >/run/w/old_kernel.pl <<'PERL'
	# struct sock_filter: code, jt, jf, k. seccomp_data: nr, arch, instruction_pointer, args[6].
	my @filter = (
		[0x20, 0, 0, 0],          # load nr
		[0x15, 0, 3, 16],         # ioctl on x86-64
		[0x20, 0, 0, 24],         # load the low half of args[1]
		[0x15, 0, 1, 0xc138fd10], # DM_DEV_ARM_POLL
		[0x06, 0, 0, 0x00050019], # SECCOMP_RET_ERRNO, ENOTTY
		[0x06, 0, 0, 0x7fff0000], # SECCOMP_RET_ALLOW
	);
	my $code = join '', map { pack 'SCCL', @$_ } @filter;
	my $program = pack 'S x6 P', scalar @filter, $code;
	syscall(157, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
	syscall(157, 22, 2, $program) == 0 or die "seccomp: $!";
	exec @ARGV or die "exec: $!";
PERL
asleep() { grep -qs 'State:.S' "/proc/$1/status" && [ -n "$(find "/proc/$1/fd" -lname '*/mapper/control')" ]; }
switches() { cat "/proc/$1/task"/*/status | sed -n 's/^voluntary_ctxt_switches:\t*//p' | paste -sd' '; }

exercise() { # exercise NAME COMMAND...
	local name=$1 status=0 base before job
	shift
	create "$name"
	quiesce
	base=$(number "$name")
	"$@" wait --for event --timeout 300ms "$name" 2>/run/w/line || status=$?
	assert_eq "5 dmhelper: wait for $name: timed out after 300ms: its event number is $base, not greater than $base" "$status $(</run/w/line)"
	"$@" wait --for event --timeout 60s "$name" &
	job=$!
	wait_until 20 asleep "$job"
	sleep 0.5
	before=$(switches "$job")
	sleep 1
	assert_eq "$before" "$(switches "$job")" 'wake-ups while nothing happens'
	raise "$name"
	wait_for_job "$job"
	assert_eq 1 "$(($(number "$name") > base))" 'the number rose'
	"$@" wait --for "event=$base" --timeout 0 "$name"
	base=$(number "$name")
	"$@" wait --for "event=$((base + 1))" --timeout 60s "$name" &
	job=$!
	wait_until 20 asleep "$job"
	dmsetup message "$name" 0 "fail_path $path"
	quiesce
	kill -0 "$job" || fail 'one event was enough for two'
	dmsetup message "$name" 0 "reinstate_path $path"
	wait_for_job "$job"
	# One of several, and one that does not exist yet.
	"$@" wait --for event --timeout 60s --any "never-$name" "$name" >/run/w/out &
	job=$!
	wait_until 20 asleep "$job"
	raise "$name"
	wait_for_job "$job"
	assert_eq "$name" "$(</run/w/out)" 'which one'
	"$@" wait --for event --timeout 60s "new-$name" &
	job=$!
	wait_until 20 asleep "$job"
	create "new-$name"
	quiesce
	raise "new-$name"
	wait_for_job "$job"
	# The same device under another name; renaming is an event.
	"$@" wait --for event --timeout 60s "new-$name" &
	job=$!
	wait_until 20 asleep "$job"
	dmsetup rename "new-$name" "old-$name"
	wait_for_job "$job"
	dmsetup rename "old-$name" "new-$name"
	# The device goes while it is waited for.
	status=0
	"$@" wait --for event --timeout 3s "new-$name" 2>/run/w/line &
	job=$!
	wait_until 20 asleep "$job"
	dmsetup remove "new-$name"
	wait "$job" || status=$?
	assert_eq "5 dmhelper: wait for new-$name: timed out after 3s: no such device yet" "$status $(</run/w/line)"
	dmsetup remove "$name"
}
exercise polled dmhelper
exercise slept perl /run/w/old_kernel.pl dmhelper
step 'the end'
