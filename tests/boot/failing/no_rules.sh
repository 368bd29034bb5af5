# An image without the rule that answers tools: whoever opens the root's volume would wait for ever. That
# check-initramfs says so is seen where the image is built.
# disks: luks
# dracut-at: usr/lib/dracut/hooks/cmdline/00-rig.sh
# dracut: rd.retry=10
# initramfs-tools-at: conf/conf.d/rig
# says: udev does not answer
rm -f /usr/lib/udev/rules.d/*dm*.rules /etc/udev/rules.d/*dm*.rules
