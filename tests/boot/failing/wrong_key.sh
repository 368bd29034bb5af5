# A LUKS root whose key is not the image's: put into the image, run before anything looks at the key.
# disks: luks
# dracut-at: usr/lib/dracut/hooks/cmdline/00-rig.sh
# dracut: rd.retry=10 rd.luks.timeout=5
# initramfs-tools-at: conf/conf.d/rig
# says: LUKS volume aaaaaaaa-1111-1111-1111-111111111111: on /dev/ubda, but no key has opened it
echo 'another key' >/etc/boot.key
