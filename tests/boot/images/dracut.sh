# A dracut image that boots any of the cases: for no host in particular, with the modules of the UML kernel.
# needs: dracut cpio lvm cryptsetup thin_check module:dm-crypt
# timeout: 480
# always: rd.luks.key=/etc/boot.key:/ rd.retry=30 rd.shell=0 rd.emergency=poweroff
dracut --force --kver "$(uname -r)" --no-hostonly --no-early-microcode --no-compress --nostrip \
	--modules 'base bash crypt fs-lib lvm rootfs-block shutdown udev-rules' \
	--add-drivers 'dm-crypt dm-snapshot dm-thin-pool ext4 xts cbc ecb aes_generic sha256_generic' \
	/rig/out/initrd.img
if under_our_rules; then
	# One set of device-mapper's rules, by which nobody misses dmsetup.
	cpio --list --quiet </rig/out/initrd.img >/run/files
	assert_eq '' "$(grep "/dmsetup\$" /run/files || :)" 'dmsetup in the image'
	assert_eq "$(printf '%s\n' 55-dm 56-lvm 60-persistent-storage-dm 95-dm-notify)" \
		"$(sed -n 's|.*/rules\.d/\(.*\)\.rules$|\1|p' /run/files | grep -e '-dm' -e '56-lvm' | sort)" 'rules in the image'
	assert_eq usr/sbin/dmhelper "$(grep 'sbin/dmhelper$' /run/files)"
fi
step 'built'
