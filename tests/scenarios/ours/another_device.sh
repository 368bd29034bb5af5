# A number becomes another device's while it is looked at: what is told then is told of one device, never of two at once.
# needs: strace
# timeout: 300
disk 64M
major=$(awk '$2 == "device-mapper" { print $1 }' /proc/devices)
first() { dmsetup create first --major "$major" --minor 200 --uuid FIRST-1 --table "0 8 linear $DISK 0"; }
second() {
	dmsetup create second --major "$major" --minor 200 --uuid SECOND-2 --notable
	printf '0 8 zero\n8 8 error\n' | dmsetup load second
	dmsetup resume second
}
first
number=$(devno first)
replace() {
	dmsetup remove first
	second
	settle
}

bring_back() {
	dmsetup remove second
	first
	settle
}

# held_after N COMMAND...: what it prints if the device is another one when its Nth question has been answered.
held_after() {
	local question=$1 tracer
	shift
	: >/run/trace
	strace -qq -o /run/trace -e trace=ioctl -e signal=STOP -e inject="ioctl:signal=STOP:when=$question" "$@" >/run/held &
	tracer=$!
	wait_until 20 grep -q 'stopped by SIGSTOP' /run/trace
	replace
	pkill -CONT -P "$tracer"
	wait_for_job "$tracer"
}

# count_questions COMMAND...: into $questions.
count_questions() {
	strace -qq -o /run/trace -e trace=ioctl -e signal=none "$@" >/dev/null
	questions=$(grep -c '^ioctl(.*, DM_' /run/trace)
	[ "$questions" -ge 2 ] || fail "$* has asked $questions questions: nothing is tried"
}

# told_of_one COMMAND...: whenever the device is replaced, the answer is the second one's.
told_of_one() {
	local questions question
	say "$*"
	count_questions "$@"
	# After the last one nothing more is learnt.
	for ((question = 1; question < questions; question++)); do
		held_after "$question" "$@"
		"$@" >/run/after
		assert_eq "$(</run/after)" "$(</run/held)" "what is told when it was replaced after question $question of $questions"
		bring_back
	done
}
told_of_one dmhelper info --json "$number"
told_of_one dmhelper ls -o name,uuid,size,state,read_only,tables,targets,deps,links
told_of_one dmhelper tree
told_of_one dmhelper explain "$number"
told_of_one dmhelper doctor

say 'what was to be removed is gone; the one that has its number stays'
count_questions dmhelper detach first
first
for ((question = 1; question < questions; question++)); do
	held_after "$question" dmhelper detach first
	assert_eq second "$(dmsetup info -c --noheadings -o name)" "left when it was replaced after question $question of $questions"
	bring_back
done
