# An image of initramfs-tools that boots any of the cases: what is encrypted, cryptopts= on the kernel command line says.
# needs: mkinitramfs gzip cpio lvm cryptsetup thin_check file:/usr/share/initramfs-tools/hooks/cryptroot module:dm-crypt
# timeout: 480
# always: panic=0
kernel=$(uname -r)
# The kernel's package has its configuration elsewhere, if at all.
mkdir -p /boot
echo CONFIG_RD_GZIP=y >"/boot/config-$kernel"
printf '%s\n' COMPRESS=gzip COMPRESSLEVEL=1 MODULES=list >/etc/initramfs-tools/conf.d/rig
printf '%s\n' ext4 xts cbc ecb aes_generic sha256_generic >/etc/initramfs-tools/modules
echo '/dev/mapper/root / ext4 defaults 0 1' >/etc/fstab
# Hooks of packages that no case needs.
rm -f /usr/share/initramfs-tools/hooks/{mdadm,sg3-utils,keymap,thermal} /usr/share/initramfs-tools/scripts/local-*/mdadm
mkinitramfs -o /rig/out/initrd.img "$kernel" 2>&1 | tee /run/said
if under_our_rules; then
	# One set of device-mapper's rules, by which nobody misses dmsetup.
	gzip -dc /rig/out/initrd.img | cpio --list --quiet >/run/files
	assert_eq '' "$(grep "/dmsetup\$" /run/files || :)" 'dmsetup in the image'
	assert_eq "$(printf '%s\n' 55-dm 56-lvm 60-persistent-storage-dm 95-dm-notify)" \
		"$(sed -n 's|.*/rules\.d/\(.*\)\.rules$|\1|p' /run/files | grep -e '-dm' -e '56-lvm' | sort)" 'rules in the image'
	assert_eq usr/sbin/dmhelper "$(grep 'sbin/dmhelper$' /run/files)"
	assert_eq '' "$(grep 'W: dmhelper' /run/said || :)" 'warnings'
fi
# Another archive can follow at a multiple of four only.
truncate --size=%4 /rig/out/initrd.img
step 'built'
