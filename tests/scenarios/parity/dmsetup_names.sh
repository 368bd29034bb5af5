# Names that must be mangled: a space, UTF-8, quotes, a backslash; and what needs no mangling.
# listen: yes
disk 64M
created=0
create() {
	dmsetup create "$@" --table "0 2048 linear $DISK $((4096 * (created + 1)))"
	created=$((created + 1))
}
create 'with space'
create 'größe'
create 'a "quoted" name'
create "it's"
create --manglename hex 'back\slash'
create 'semi;colon$(reboot)`x`'
create '#+-.:=@_'
create --uuid 'UUID with "space"' 'uuid to mangle'
create 'a,b%n$env{PATH}*?[x]'
step 'created'
assert_eq 9 "$(dmsetup info -c --noheadings -o name | wc -l)" 'devices'
assert_link '/dev/mapper/with\x20space' 'with\x20space'
assert_link '/dev/mapper/a\x20\x22quoted\x22\x20name' 'a\x20\x22quoted\x22\x20name'
assert_link '/dev/mapper/#+-.:=@_' '#+-.:=@_'
replay add
step 'coldplugged'
replay change
step 'a spurious change'
dmsetup rename 'with space' 'other "name"'
dmsetup rename 'größe' 'größer'
step 'renamed'
assert_link '/dev/mapper/other\x20\x22name\x22' 'other\x20\x22name\x22'
dmsetup remove 'other "name"'
dmsetup remove "it's"
step 'two removed'
dmsetup remove_all
step 'all removed'
