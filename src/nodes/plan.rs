//! Which links a decided event gives its device: the same as the rules make. Pure.

use std::fmt::Arguments;

use super::component::Component;
use crate::cookie::Flags;
use crate::decision::Decision;
use crate::dm::Device;
use crate::name::Owner;
use crate::udevdb::Record;

/// Priority of a device whose tool asked for a low one, of a multipath map or its partition, and of all others.
const PRIORITY_LOW: i32 = -100;
const PRIORITY_MULTIPATH: i32 = 50;

/// Whether the rules would look at the content of the device and link it in /dev/disk.
pub fn wants_disk_links(decision: &Decision, device: &Device) -> bool {
    !decision.disabled && !decision.flags.contains(Flags::DISABLE_DISK_RULES) && !is_hidden(decision, device)
}

/// Whether the rules keep the device private of their own accord. It is the rules for LVM that know the parts of a
/// volume: not where its tool has turned them off.
pub fn is_hidden(decision: &Decision, device: &Device) -> bool {
    let lvm = device.uuid.as_ref().is_some_and(|uuid| uuid.is_lvm());
    is_private(device) && !(lvm && decision.flags.contains(Flags::DISABLE_SUBSYSTEM_RULES))
}

/// Whether the device may be read now.
pub fn may_be_probed(decision: &Decision, device: &Device) -> bool {
    // multipath's third flag: no path to the disk works.
    let pathless = decision.flags.contains(Flags::MULTIPATH_NO_PATHS)
        && matches!(device.uuid.as_ref().map(|uuid| uuid.owner()), Some(Owner::Multipath { .. }));
    wants_disk_links(decision, device) && !device.suspended && !decision.noscan(device) && !pathless
}

/// Tells the links of the device, relative to /dev, one after the other. `diskseq` is the kernel's number of this very
/// instance; `content` holds what blkid says now, or said when it was last allowed to look (`ID_FS_UUID_ENC`, …).
pub fn links(decision: &Decision, device: &Device, diskseq: Option<u64>, content: &Record, mut tell: impl FnMut(Arguments<'_>)) {
    if decision.disabled {
        return;
    }
    // With such a link udev would at last remove the control node. The kernel takes this name before Linux 6.5.
    if !decision.flags.contains(Flags::DISABLE_DM_RULES) && device.name.as_bytes() != b"control" {
        named("mapper/", device.name.as_bytes(), &mut tell);
    }
    if !decision.flags.contains(Flags::DISABLE_SUBSYSTEM_RULES) {
        volume(device, &mut tell);
    }
    if !wants_disk_links(decision, device) {
        return;
    }
    named("disk/by-id/dm-name-", device.name.as_bytes(), &mut tell);
    if let Some(uuid) = &device.uuid {
        named("disk/by-id/dm-uuid-", uuid.as_bytes(), &mut tell);
    }
    if let Some(number) = diskseq {
        tell(format_args!("disk/by-diskseq/{number}"));
    }
    by_content(content, tell);
}

/// A link that ends with a name.
fn named(prefix: &str, name: &[u8], tell: &mut impl FnMut(Arguments<'_>)) {
    let file = prefix.rsplit('/').next().map_or(0, str::len);
    if let Some(name) = Component::new(name).filter(|name| name.fits_behind(file)) {
        tell(format_args!("{prefix}{name}"));
    }
}

/// `VG/LV` of a volume that a person may use.
fn volume(device: &Device, tell: &mut impl FnMut(Arguments<'_>)) {
    let parts = device.name.lvm_parts();
    let is_lvm = device.uuid.as_ref().is_some_and(|uuid| uuid.is_lvm());
    let part = |name| Component::new(name).filter(|name| name.fits_behind(0));
    if let (true, Some(vg), Some(lv)) = (is_lvm && parts.is_visible(), part(&parts.vg), part(&parts.lv)) {
        tell(format_args!("{vg}/{lv}"));
    }
}

/// A part of a volume, or a temporary device of cryptsetup's.
fn is_private(device: &Device) -> bool {
    let Some(uuid) = &device.uuid else { return false };
    match uuid.owner() {
        Owner::Crypt { kind, .. } => kind == b"TEMP",
        _ => uuid.is_lvm() && !device.name.lvm_parts().is_visible(),
    }
}

/// Links by what a device holds, as the rules for /dev/disk make them.
fn by_content(content: &Record, mut tell: impl FnMut(Arguments<'_>)) {
    let usage = content.property("ID_FS_USAGE").unwrap_or_default();
    let gpt = content.property("ID_PART_ENTRY_SCHEME") == Some(b"gpt");
    let rows = [
        ("disk/by-uuid/", "ID_FS_UUID_ENC", matches!(usage, b"filesystem" | b"other" | b"crypto")),
        ("disk/by-label/", "ID_FS_LABEL_ENC", matches!(usage, b"filesystem" | b"other")),
        ("disk/by-partuuid/", "ID_PART_ENTRY_UUID", true),
        ("disk/by-partlabel/", "ID_PART_ENTRY_NAME", gpt),
    ];
    for (directory, key, _) in rows.iter().filter(|(_, _, wanted)| *wanted) {
        if let Some(value) = content.property(key) {
            named(directory, value, &mut tell);
        }
    }
    if gpt && content.property("ID_PART_GPT_AUTO_ROOT") == Some(b"1") {
        tell(format_args!("gpt-auto-root"));
    }
}

/// The priority of the device's links: of two devices that claim a link the higher one gets it.
pub fn priority(decision: &Decision, device: &Device) -> i32 {
    let owner = device.uuid.as_ref().map(|uuid| uuid.owner());
    match owner {
        // The rules say so beside the links that several devices may claim.
        _ if decision.flags.contains(Flags::LOW_PRIORITY) && wants_disk_links(decision, device) => PRIORITY_LOW,
        Some(Owner::Multipath { .. } | Owner::Partition { .. }) => PRIORITY_MULTIPATH,
        _ => 0,
    }
}

/// Flags for a device of which no event is known, because nobody looked when it was made: what its UUID and name tell,
/// as the rules have it. Parts of volumes and temporary devices stay private.
pub fn flags_of_unknown(device: &Device) -> Flags {
    let private = Flags::PRIMARY_SOURCE.union(Flags::DISABLE_DISK_RULES).union(Flags::DISABLE_OTHER_RULES);
    let parts = device.name.lvm_parts();
    match device.uuid.as_ref().map(|uuid| uuid.owner()) {
        // A pool that nothing uses is there for people; it has a layer as soon as something does.
        Some(Owner::Lvm { suffix: Some(b"tpool"), .. }) if parts.layer.is_empty() => private,
        Some(Owner::Lvm { suffix: Some(_), .. }) => private.union(Flags::DISABLE_SUBSYSTEM_RULES),
        Some(Owner::Lvm { .. }) if parts.is_reserved() => private.union(Flags::DISABLE_SUBSYSTEM_RULES),
        _ if is_private(device) => private,
        _ => Flags::PRIMARY_SOURCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::Cookie;
    use crate::decision::{Action, Event};
    use crate::devno::Devno;
    use crate::name::{DmName, DmUuid};

    fn device(name: &str, uuid: &str, suspended: bool) -> Device {
        let uuid = DmUuid::new(uuid).unwrap();
        Device { devno: Devno::new(253, 0).unwrap(), name: DmName::new(name).unwrap(), uuid, suspended, details: None }
    }

    fn change(flags: u16) -> Decision {
        let cookie = Some(Cookie::new(u32::from(flags | 0x40) << 16 | 1));
        Decision::of(&Event {
            action: Action::Change,
            cookie,
            synthetic: false,
            refresh: false,
            disk_ro: false,
            recorded: Flags::default(),
        })
    }

    fn planned(flags: u16, device: &Device, diskseq: Option<u64>, content: &Record) -> Vec<String> {
        let mut told = Vec::new();
        super::links(&change(flags), device, diskseq, content, |link| told.push(link.to_string()));
        told
    }

    fn links(flags: u16, name: &str, uuid: &str) -> Vec<String> {
        planned(flags, &device(name, uuid, false), Some(7), &Record::default())
    }

    fn probed(pairs: &[(&str, &str)]) -> Record {
        let mut content = Record::default();
        pairs.iter().for_each(|(key, value)| content.push_property(key.as_bytes(), value.as_bytes()));
        content
    }

    #[test]
    fn a_volume_gets_its_name_its_ids_and_its_place_in_the_group() {
        let expected = ["mapper/vg-my--lv", "vg/my-lv", "disk/by-id/dm-name-vg-my--lv", "disk/by-id/dm-uuid-LVM-x", "disk/by-diskseq/7"];
        assert_eq!(links(0, "vg-my--lv", "LVM-x"), expected);
    }

    #[test]
    fn every_flag_takes_its_links_away() {
        assert!(!links(1 << 0, "vg-lv", "LVM-x").iter().any(|link| link.starts_with("mapper/")));
        assert!(!links(1 << 1, "vg-lv", "LVM-x").iter().any(|link| link.starts_with("vg/")));
        assert_eq!(links(1 << 2, "vg-lv", "LVM-x"), ["mapper/vg-lv", "vg/lv"]);
        assert_eq!(priority(&change(1 << 4), &device("x", "", false)), -100);
        assert_eq!(priority(&change(1 << 4), &device("vg-x-cow", "LVM-x", false)), 0);
        assert_eq!(priority(&change(0), &device("x", "mpath-3", false)), 50);
    }

    #[test]
    fn private_devices_have_a_name_only() {
        assert_eq!(links(0, "vg-lv-real", "LVM-x"), ["mapper/vg-lv-real"]);
        assert_eq!(links(0, "vg-pvmove0", "LVM-x"), ["mapper/vg-pvmove0"]);
        assert!(links(1 << 1, "vg-lv-real", "LVM-x").contains(&"disk/by-id/dm-name-vg-lv-real".to_string()));
        assert_eq!(links(0, "temporary-1", "CRYPT-TEMP-temporary-1"), ["mapper/temporary-1"]);
    }

    #[test]
    fn what_is_found_on_a_device_gives_links_by_its_usage() {
        let ext4 = probed(&[("ID_FS_USAGE", "filesystem"), ("ID_FS_UUID_ENC", "1-2"), ("ID_FS_LABEL_ENC", "my\\x20home")]);
        let of = |content: &Record| planned(1, &device("x", "", false), None, content);
        assert_eq!(of(&ext4), ["disk/by-id/dm-name-x", "disk/by-uuid/1-2", "disk/by-label/my\\x20home"]);
        let luks = probed(&[("ID_FS_USAGE", "crypto"), ("ID_FS_UUID_ENC", "1-2"), ("ID_FS_LABEL_ENC", "l")]);
        assert_eq!(of(&luks), ["disk/by-id/dm-name-x", "disk/by-uuid/1-2"]);
        let raid = probed(&[("ID_FS_USAGE", "raid"), ("ID_FS_UUID_ENC", "1-2")]);
        assert_eq!(of(&raid), ["disk/by-id/dm-name-x"]);
    }

    #[test]
    fn a_suspended_or_unwiped_device_is_not_probed() {
        assert!(may_be_probed(&change(0), &device("vg-lv", "LVM-x", false)));
        assert!(!may_be_probed(&change(0), &device("vg-lv", "LVM-x", true)));
        assert!(!may_be_probed(&change(1 << 8), &device("vg-lv", "LVM-x", false)));
    }

    #[test]
    fn flags_that_nobody_recorded_are_what_uuid_and_name_tell() {
        let id = "0123456789abcdef0123456789abcdef";
        let flags = |name: &str, uuid: &str| flags_of_unknown(&device(name, uuid, false)).bits();
        let lvm = |suffix: &str| format!("LVM-{id}{id}{suffix}");
        assert_eq!([flags("x", ""), flags("vg-lv", &lvm("")), flags("x", "CRYPT-LUKS2-0-x")], [0x40; 3]);
        assert_eq!([flags("vg-p_tdata", &lvm("-tdata")), flags("vg-r_rimage_0", &lvm("")), flags("vg-p-tpool", &lvm("-tpool"))], [0x4e; 3]);
        assert_eq!([flags("vg-p", &lvm("-tpool")), flags("vg-pvmove0", &lvm("")), flags("x", "CRYPT-TEMP-x")], [0x4c; 3]);
    }

    #[test]
    fn no_name_leads_out_of_its_directory() {
        assert_eq!(links(0, "..", "a/../../b"), ["disk/by-diskseq/7"]);
        assert_eq!(links(0, "..-x", "LVM-x"), ["mapper/..-x"], "no group, and so private");
        assert_eq!(links(0, ".. -x", "LVM-x"), ["mapper/.._-x"]);
        assert_eq!(links(0, "control", ""), ["disk/by-id/dm-name-control", "disk/by-diskseq/7"]);
        let evil = probed(&[("ID_FS_USAGE", "filesystem"), ("ID_FS_UUID_ENC", "../../x"), ("ID_FS_LABEL_ENC", "..")]);
        assert_eq!(planned(7, &device("x", "", false), None, &evil), Vec::<String>::new());
        assert_eq!(planned(3, &device("..", "", false), None, &evil), Vec::<String>::new());
    }
}
