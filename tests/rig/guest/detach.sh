#!/bin/bash
# For scenarios of `dmhelper detach`, which source it.

left() { dmsetup ls | awk '$1 != "No" { print $1 }' | sort | tr '\n' ' '; }
number() { devno "$1"; }

# detach ARGUMENT...: the status printed; what it says in /run/said and /run/complaint.
detach() {
	local status=0
	timeout 60 dmhelper detach "$@" >/run/said 2>/run/complaint || status=$?
	cat /run/said /run/complaint >&2
	echo $status
}
complaint() { grep -cxF "dmhelper: $1" /run/complaint || :; }

# rehearsed ARGUMENT...: as detach, after a dry run, which must change nothing and tell what then comes true.
rehearsed() {
	local before status foretold
	before=$(left)
	foretold=$(detach --dry-run "$@")
	assert_eq "$before" "$(left)" "devices after detach --dry-run $*"
	assert_eq '' "$(</run/complaint)" 'what a dry run complains of'
	mv /run/said /run/foretold
	status=$(detach "$@")
	{
		sed 's/^detached /would detach /; s/^deferred /would defer /' /run/said
		sed 's/^dmhelper: detach /would leave /' /run/complaint
	} >/run/came
	assert_eq "$(sort /run/foretold)" "$(sort /run/came)" "what a dry run foretold of $*"
	assert_eq "$foretold" "$status" "the status of a dry run of $*"
	echo "$status"
}
