#!/bin/bash
# What a case may use to make its disks, beside the rig's own lib.sh. Sourced by each case, in the guest that makes them.

# Every volume opens with this key; dracut and the others find it in the image.
boot_key=/rig/out/key
printf 'the key of every volume' >"$boot_key"

# luks DEVICE UUID NAME: a LUKS2 volume that is quick to open, opened.
luks() {
	cryptsetup luksFormat -q --type luks2 --uuid "$2" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$1" "$boot_key"
	cryptsetup open --key-file "$boot_key" "$1" "$3"
}

# root_file_system DEVICE: with nothing in it but a first process that goes on with the host's files.
root_file_system() {
	mkfs.ext4 -q -O ^has_journal -U 11111111-2222-3333-4444-555555555555 -L root "$1"
	mkdir -p /run/root
	mount "$1" /run/root
	local directory
	for directory in bin sbin etc dev proc sys run tmp var host upper overlay; do mkdir "/run/root/$directory"; done
	assert_fails ldd "$(command -v busybox)" # no libraries are there
	cp "$(command -v busybox)" /run/root/bin/busybox
	cp /rig/root-init.sh /run/root/sbin/init
	chmod +x /run/root/sbin/init
	umount /run/root
}

# keep_disks DEVICE...: the loop devices, in the order in which the machine will have them. Nothing may use them any more.
keep_disks() {
	local device number=0
	for device; do
		number=$((number + 1))
		losetup -d "$device"
		cp --sparse=always "/var/lib/rig/disk$number" "/rig/out/disk$number.img"
	done
	step 'kept'
}
