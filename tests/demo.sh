# The main job as a person would want to see it. Lines that begin with "show|" are shown.
# needs: lvm cryptsetup mkfs.ext4
# timeout: 120
show() { sed 's/^/show|     /'; }
say() { printf 'show|\nshow| %s\n' "$*"; }
try() {
	printf 'show|     # %s\n' "$*"
	"$@" 2>&1 | show
}
links() {
	find /dev -type l -lname "*/$(kernel_name "$1")" -printf '%p -> %l\n' | sort | show
}

say "A real kernel ($(uname -r), User-Mode Linux), udevd $(udevadm --version), lvm2 and cryptsetup; our rules, our program."
disk 128M
say 'A volume in a volume group, encrypted, with a file system:'
try vgcreate -q vg "$DISK"
try lvcreate -q -y -n data -L 64M vg
printf 'very secret' >/run/key
try cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/vg/data /run/key
try cryptsetup open --key-file /run/key /dev/vg/data secret
try mkfs.ext4 -q -L treasure /dev/mapper/secret
settle

say 'What is that device? By its number, and what it lies on by its path:'
try dmhelper info "$(devno secret)"
printf 'show|\n'
try dmhelper info /dev/vg/data

say 'Where its links lead:'
links secret

say 'The cookie at work. udevd is stopped, dmsetup makes a device and waits:'
pkill -STOP -x systemd-udevd
dmsetup create late --table '0 2048 error' &
job=$!
wait_until 20 cookie_waited_for
try dmhelper cookie list
say 'udevd goes on; its rules complete the cookie, and dmsetup is done:'
pkill -CONT -x systemd-udevd
wait_for_job "$job"
settle
try dmhelper cookie list
links late

say 'What the udev rules get from dmhelper for such an event:'
cookie=0x401234
printf 'show|     # ACTION=change DM_COOKIE=%s dmhelper udev %s\n' "$cookie" "$(devno vg-data)"
ACTION=change DM_COOKIE="$cookie" dmhelper udev "$(devno vg-data)" | show
step 'shown'
assert_link /dev/disk/by-label/treasure secret
assert_link /dev/mapper/late late
assert_no_cookies
