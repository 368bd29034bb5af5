//! What an event means to a person: from the event and from what was known of the device before. Pure.

use std::time::{Duration, SystemTime};

use super::memory::Known;
use crate::cookie::Cookie;
use crate::devno::Devno;
use crate::name::{DmName, DmUuid};
use crate::uevent::{Source, Uevent};

/// What happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and two names in place need no memory of their own")]
pub enum What {
    /// The kernel made it; no table is in force yet.
    Created,
    /// Somebody asked to see it again, as at boot (`udevadm trigger --action=add`).
    Coldplugged,
    /// Its first table came into force.
    Activated,
    /// It was resumed.
    Resumed,
    /// It was resumed, and its size is another one now.
    Resized,
    /// It bears another name.
    Renamed {
        /// The name before.
        from: DmName,
        /// The name now.
        to: DmName,
    },
    /// A path of a multipath map failed.
    PathFailed(Path),
    /// A path of a multipath map can be used again.
    PathReinstated(Path),
    /// Writes are refused from now on.
    ReadOnly,
    /// Writes are accepted from now on.
    Writable,
    /// The kernel was asked for an event: by udevd, because somebody closed the device after writing, or by anybody.
    Touched,
    /// The kernel was asked for an event by somebody who named his question (`udevadm trigger --settle`).
    Asked,
    /// It is gone for device-mapper.
    Removed,
    /// Its disk is gone, too: the block layer's second word about a removal.
    DiskRemoved,
    /// The kernel was asked for a removal's event; the device is still there.
    RemovalAsked,
    /// An event of which nothing is known.
    Other,
    /// A rescan found it, and no event had told of it.
    Appeared,
    /// A rescan did not find it, and no event had told that it went.
    Disappeared,
    /// A rescan found that this many device-mapper events of it went by unseen.
    Missed(u32),
    /// The kernel had more events than the queue holds; this many are lost at most, of all kinds of devices.
    Overrun(Option<u64>),
}

/// The path that an event of a multipath map is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Its device number, as the kernel writes it.
    pub number: Vec<u8>,
    /// How many paths work now.
    pub left: Option<u64>,
}

/// Where a report comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An event.
    Event(Source),
    /// A look at all devices after events were lost.
    Rescan,
}

/// One line of the monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// When the event was received.
    pub time: SystemTime,
    /// Who told.
    pub origin: Origin,
    /// The kernel's word for it.
    pub action: Option<Vec<u8>>,
    /// The kernel's number of the event, the same in the kernel's event and in udevd's.
    pub seqnum: Option<u64>,
    /// The device's number.
    pub devno: Option<Devno>,
    /// Its number among all disks since boot.
    pub diskseq: Option<u64>,
    /// Its name.
    pub name: Option<DmName>,
    /// Its UUID.
    pub uuid: Option<DmUuid>,
    /// What happened.
    pub what: What,
    /// Whether it was found suspended right after an event that is none of a suspension.
    pub suspended: bool,
    /// The cookie of the tool that waits for the event.
    pub cookie: Option<Cookie>,
    /// From the kernel's event to udevd's.
    pub latency: Option<Duration>,
    /// Whether the kernel's event was reported before: the cookie's words need not be repeated.
    pub repeats: bool,
}

impl Report {
    /// Of a rescan, about one device or about none.
    pub fn of_rescan(time: SystemTime, device: Option<(Devno, &Known)>, what: What) -> Self {
        Self {
            time,
            origin: Origin::Rescan,
            action: None,
            seqnum: None,
            devno: device.map(|(devno, _)| devno),
            diskseq: None,
            name: device.map(|(_, known)| known.name.clone()),
            uuid: device.and_then(|(_, known)| known.uuid.clone()),
            what,
            suspended: false,
            cookie: None,
            latency: None,
            repeats: false,
        }
    }
}

/// What an event means, given what was known of the device before it and what is known now.
pub fn what(event: Uevent<'_>, before: Option<&Known>, now: Option<&Known>) -> What {
    // "0" stands for a question without a name (Documentation/ABI/testing/sysfs-uevent).
    let asked = event.get("SYNTH_UUID");
    match event.get("ACTION") {
        Some(b"add") if asked.is_some() => What::Coldplugged,
        Some(b"add") => What::Created,
        Some(b"remove") if asked.is_some() => What::RemovalAsked,
        Some(b"remove") => What::Removed,
        Some(b"change") => match asked {
            Some(b"0") => What::Touched,
            Some(_) => What::Asked,
            None => change(event, before, now),
        },
        _ => What::Other,
    }
}

/// A change that nobody asked for by writing to the device's `uevent` file.
fn change(event: Uevent<'_>, before: Option<&Known>, now: Option<&Known>) -> What {
    let path = || Path { number: event.get("DM_PATH").unwrap_or_default().to_vec(), left: event.number("DM_NR_VALID_PATHS") };
    match (event.get("DM_ACTION"), event.get("DISK_RO")) {
        (Some(b"PATH_FAILED"), _) => return What::PathFailed(path()),
        (Some(b"PATH_REINSTATED"), _) => return What::PathReinstated(path()),
        (Some(_), _) => return What::Other,
        (None, Some(b"1")) => return What::ReadOnly,
        (None, Some(_)) => return What::Writable,
        (None, None) => {}
    }
    if let (Some(before), Some(now)) = (before, now)
        && before.name != now.name
    {
        return What::Renamed { from: before.name.clone(), to: now.name.clone() };
    }
    match before {
        _ if event.get("RESIZE") == Some(b"1") => What::Resized,
        Some(before) if before.active => What::Resumed,
        _ => What::Activated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, active: bool) -> Known {
        Known { name: DmName::new(name).unwrap(), uuid: None, active, suspended: false, event_number: None }
    }

    fn of(properties: &str, before: Option<&Known>, now: Option<&Known>) -> What {
        let bytes = properties.replace(' ', "\0") + "\0";
        what(Uevent::from_properties(bytes.as_bytes()).unwrap(), before, now)
    }

    #[test]
    fn the_first_change_activates_and_every_other_one_resumes() {
        let (new, old) = (known("a", false), known("a", true));
        assert_eq!(of("ACTION=add", None, Some(&new)), What::Created);
        assert_eq!(of("ACTION=change DM_COOKIE=6293589", Some(&new), Some(&old)), What::Activated);
        assert_eq!(of("ACTION=change DM_COOKIE=6293589", Some(&old), Some(&old)), What::Resumed);
        assert_eq!(of("ACTION=change RESIZE=1", Some(&old), Some(&old)), What::Resized);
        assert_eq!(of("ACTION=change", None, None), What::Activated, "nothing was known, and it is gone again");
        assert_eq!(of("ACTION=remove DM_COOKIE=1", Some(&old), None), What::Removed);
    }

    #[test]
    fn another_name_is_a_rename_unless_the_event_says_what_it_is() {
        let (a, b) = (known("a", true), known("b", true));
        let renamed = What::Renamed { from: a.name.clone(), to: b.name.clone() };
        assert_eq!(of("ACTION=change DM_COOKIE=1", Some(&a), Some(&b)), renamed);
        assert_eq!(of("ACTION=change DISK_RO=1", Some(&a), Some(&b)), What::ReadOnly);
    }

    #[test]
    fn an_event_that_was_asked_for_changed_nothing() {
        let a = known("a", true);
        for (properties, expected) in [
            ("ACTION=add SYNTH_UUID=0", What::Coldplugged),
            ("ACTION=change SYNTH_UUID=0", What::Touched),
            ("ACTION=change SYNTH_UUID=6ba7b810-9dad-11d1-80b4-00c04fd430c8", What::Asked),
            ("ACTION=remove SYNTH_UUID=0", What::RemovalAsked),
            ("ACTION=online", What::Other),
            ("ACTION=change DM_ACTION=SOMETHING", What::Other),
            ("SEQNUM=1", What::Other),
        ] {
            assert_eq!(of(properties, Some(&a), Some(&a)), expected, "{properties}");
        }
    }

    #[test]
    fn a_path_event_names_the_path_and_how_many_are_left() {
        let path = |left| Path { number: b"8:16".to_vec(), left };
        let failed = "ACTION=change DM_TARGET=multipath DM_ACTION=PATH_FAILED DM_PATH=8:16 DM_NR_VALID_PATHS=3";
        assert_eq!(of(failed, None, None), What::PathFailed(path(Some(3))));
        assert_eq!(of("ACTION=change DM_ACTION=PATH_REINSTATED DM_PATH=8:16", None, None), What::PathReinstated(path(None)));
        assert_eq!(of("ACTION=change DISK_RO=0", None, None), What::Writable);
    }
}
