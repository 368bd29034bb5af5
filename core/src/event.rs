//! The property set of an event: what the rules import, and what other rules then read.

use core::fmt::Write;

use arrayvec::ArrayString;

use crate::cookie::Flags;
use crate::decision::{COOKIE_DISABLE_OTHER_RULES, DISABLE_OTHER_RULES, Decision};
use crate::dm::Device;
use crate::env::Properties;
use crate::name::{Owner, dashed_uuid};

/// Adds the properties of a decided event. Without a device (it vanished, the query failed) the flags stand alone.
pub fn add_properties<W: Write + AsRef<str>>(decision: &Decision, device: Option<&Device>, out: &mut Properties<W>) {
    flags(decision, device, out);
    if let Some(device) = device.filter(|_| !decision.disabled) {
        out.push("DM_NAME", device.name.as_bytes());
        out.push("DM_UUID", device.uuid.as_ref().map_or(&b""[..], |uuid| uuid.as_bytes()));
        out.push(".DM_SUSPENDED", if device.suspended { "1" } else { "0" });
        if decision.noscan(device) {
            out.push(".DM_NOSCAN", "1");
        }
        owner(device, out);
    }
    if decision.activation {
        out.push("DM_ACTIVATION", "1");
    }
}

fn flags<W: Write + AsRef<str>>(decision: &Decision, device: Option<&Device>, out: &mut Properties<W>) {
    let other =
        device.map_or(decision.disabled || decision.flags.contains(Flags::DISABLE_OTHER_RULES), |d| decision.disable_other_rules(d));
    let mut bits = decision.flags;
    if decision.disabled {
        bits = bits.union(Flags::DISABLE_SUBSYSTEM_RULES).union(Flags::DISABLE_DISK_RULES);
    }
    if other {
        bits = bits.union(Flags::DISABLE_OTHER_RULES);
    }
    for property in bits.properties() {
        out.push(property, "1");
        if property == DISABLE_OTHER_RULES && decision.flags.contains(Flags::DISABLE_OTHER_RULES) {
            out.push(COOKIE_DISABLE_OTHER_RULES, "1");
        }
    }
}

/// What the UUID tells, as properties.
fn owner<W: Write + AsRef<str>>(device: &Device, out: &mut Properties<W>) {
    let Some(uuid) = &device.uuid else { return };
    if uuid.is_lvm() {
        let parts = device.name.lvm_parts();
        out.push("DM_VG_NAME", parts.vg);
        out.push("DM_LV_NAME", parts.lv);
        out.push("DM_LV_LAYER", parts.layer);
        return;
    }
    match uuid.owner() {
        Owner::Crypt { kind, payload, .. } => {
            out.push("DM_CRYPT_TYPE", kind);
            if let Some(payload) = payload {
                out.push("DM_CRYPT_UUID", dashed_uuid(payload));
            }
        }
        Owner::Multipath { wwid } => out.push("DM_MPATH_WWID", wwid),
        Owner::Partition { number, parent } => {
            out.push("DM_PART_NUMBER", decimal(number).as_bytes());
            out.push("DM_PART_PARENT_UUID", parent);
        }
        Owner::Lvm { .. } | Owner::Other { .. } | Owner::Unknown => {}
    }
}

/// The digits of a number; no `u32` has more than ten.
fn decimal(number: u32) -> ArrayString<10> {
    let mut digits = ArrayString::new();
    let _ = write!(digits, "{number}");
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::Cookie;
    use crate::decision::{Action, Event};
    use crate::devno::Devno;
    use crate::env::EventLines;
    use crate::name::{DmName, DmUuid, NAME_MAX, UUID_MAX};
    use std::string::{String, ToString};

    fn device(name: &str, uuid: &str, suspended: bool) -> Device {
        Device {
            devno: Devno::new(253, 0).unwrap(),
            name: DmName::new(name).unwrap(),
            uuid: DmUuid::new(uuid).unwrap(),
            suspended,
            details: None,
        }
    }

    fn lines(action: Action, flags: u32, device: Option<&Device>) -> String {
        let event = Event {
            action,
            cookie: Some(Cookie::new(flags << 16 | 1)),
            synthetic: false,
            refresh: false,
            disk_ro: false,
            recorded: Flags::default(),
        };
        let mut properties = Properties::new(EventLines::new());
        add_properties(&Decision::of(&event), device, &mut properties);
        properties.whole().unwrap().to_string()
    }

    #[test]
    fn an_lvm_change_tells_flags_identity_and_parts() {
        let volume = device("vg-my--lv", "LVM-x", false);
        assert_eq!(
            lines(Action::Change, 0x40, Some(&volume)),
            "DM_UDEV_PRIMARY_SOURCE_FLAG='1'\nDM_NAME='vg-my--lv'\nDM_UUID='LVM-x'\n.DM_SUSPENDED='0'\n\
             DM_VG_NAME='vg'\nDM_LV_NAME='my-lv'\nDM_LV_LAYER=''\nDM_ACTIVATION='1'\n"
        );
        assert!(lines(Action::Change, 0x140, Some(&volume)).contains(".DM_NOSCAN='1'\n"));
    }

    #[test]
    fn the_cookies_own_bit_is_kept_apart_from_the_derived_one() {
        let text = lines(Action::Change, 0x48, Some(&device("x", "", false)));
        assert!(text.contains("DM_UDEV_DISABLE_OTHER_RULES_FLAG='1'\nDM_COOKIE_DISABLE_OTHER_RULES_FLAG='1'\n"));
        let text = lines(Action::Change, 0x40, Some(&device("x", "", true)));
        assert!(text.contains("DM_UDEV_DISABLE_OTHER_RULES_FLAG='1'\n") && !text.contains("DM_COOKIE_"));
    }

    #[test]
    fn an_inactive_add_exports_no_name() {
        assert_eq!(
            lines(Action::Add, 0, Some(&device("x", "", false))),
            "DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG='1'\nDM_UDEV_DISABLE_DISK_RULES_FLAG='1'\nDM_UDEV_DISABLE_OTHER_RULES_FLAG='1'\n"
        );
    }

    #[test]
    fn flags_are_told_even_when_the_device_is_gone() {
        assert_eq!(
            lines(Action::Change, 0x41, None),
            "DM_UDEV_DISABLE_DM_RULES_FLAG='1'\nDM_UDEV_PRIMARY_SOURCE_FLAG='1'\nDM_ACTIVATION='1'\n"
        );
    }

    #[test]
    fn crypt_multipath_and_partition_uuids_tell_their_parts() {
        let tells = |uuid: &str| lines(Action::Change, 0x40, Some(&device("x", uuid, false)));
        let luks = tells("CRYPT-LUKS2-0123456789abcdef0123456789abcdef-x");
        assert!(luks.contains("DM_CRYPT_TYPE='LUKS2'\nDM_CRYPT_UUID='01234567-89ab-cdef-0123-456789abcdef'\n"), "{luks}");
        assert!(tells("CRYPT-PLAIN-x").contains("DM_CRYPT_TYPE='PLAIN'\nDM_ACT"));
        assert!(tells("mpath-36001").contains("DM_MPATH_WWID='36001'\n"));
        assert!(tells("part3-mpath-36001").contains("DM_PART_NUMBER='3'\nDM_PART_PARENT_UUID='mpath-36001'\n"));
    }

    #[test]
    fn a_hostile_name_injects_nothing() {
        let text = lines(Action::Change, 0x40, Some(&device("a'\nLD_PRELOAD='x", "u\nv", false)));
        assert!(text.lines().all(|line| line.starts_with("DM_") || line.starts_with(".DM_")), "{text}");
    }

    #[test]
    fn the_longest_event_fits() {
        // Every byte of both takes four; an empty layer, and every flag.
        let volume = device(&"'".repeat(NAME_MAX), &["LVM-", &"'".repeat(UUID_MAX - 4)].concat(), true);
        assert_eq!(lines(Action::Change, 0xffff, Some(&volume)).len(), 2165);
        let partition = device(&"'".repeat(NAME_MAX), &["part4294967295-", &"'".repeat(UUID_MAX - 15)].concat(), true);
        assert!(lines(Action::Change, 0xffff, Some(&partition)).len() > 2000);
    }
}
