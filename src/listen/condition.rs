//! What can be waited for, and what is missing of it, from facts. Pure.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::cookie::Key;
use crate::devno::Devno;
use crate::error::{Error, Result};
use crate::text::printable;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The kernel lists it.
    Present,
    /// It has a table in force and is not suspended.
    Active,
    /// It is active, udev has processed it, its link is right and no tool waits for it any more.
    Usable,
    /// udev has processed every event of it so far.
    Settled,
    /// Its device-mapper event number is greater than this one; than the one it had at first, where none is given.
    Event(Option<u32>),
    /// No device answers to the word any more.
    Gone,
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::usage("condition", text, "not present, active, usable, settled, event, event=NUMBER or gone");
        Ok(match text {
            "present" => Condition::Present,
            "active" => Condition::Active,
            "usable" => Condition::Usable,
            "settled" => Condition::Settled,
            "event" => Condition::Event(None),
            "gone" => Condition::Gone,
            _ => Condition::Event(Some(text.strip_prefix("event=").and_then(|number| number.parse().ok()).ok_or_else(wrong)?)),
        })
    }
}

impl Condition {
    /// Whether udevd has to do something for it.
    pub fn needs_udev(self) -> bool {
        matches!(self, Condition::Usable | Condition::Settled)
    }
}

/// What udev's record says of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// udev has processed it since it became active.
    Yes,
    /// There is no record, or one of a time before the device had a table.
    No,
    /// The record is of an earlier device with the same number.
    Former,
    /// Nobody asks: something else than udevd makes the links.
    Unasked,
}

/// The link of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It leads to the device, or the flags of the device say that there is to be none.
    Right,
    /// It is not there.
    Missing(PathBuf),
    /// It leads elsewhere.
    Wrong(PathBuf, Devno),
}

/// What udevd is doing, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Everything that the kernel had announced is processed.
    Done,
    /// It has events left, whosever they are.
    Busy,
    /// It is stopped with, or possibly with, events left.
    Stopped,
}

/// What is known of a device that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its number.
    pub devno: Devno,
    /// Whether it has a table in force.
    pub live_table: bool,
    /// Whether it is suspended.
    pub suspended: bool,
    /// How often it is open, where that is known.
    pub open_count: Option<i32>,
    /// The number of its last device-mapper event, where that is known.
    pub event_number: Option<u32>,
    /// Of its events that came while listening, those that udev has not answered.
    pub queued: usize,
    /// What udevd does with those that came before.
    pub work: Work,
    /// udev's record.
    pub recorded: Recorded,
    /// Its link.
    pub link: Link,
    /// A cookie that is not complete.
    pub cookie: Option<(Key, u32)>,
}

/// What is missing where a name, UUID or number fits nothing.
pub const NO_DEVICE: &str = "no such device yet";

/// What is missing of a condition; `None` when it is met. `base` is the number that an event's must exceed.
pub fn missing(condition: Condition, facts: Option<&Facts>, base: u32) -> Option<String> {
    let Some(facts) = facts else {
        return match condition {
            Condition::Gone => None,
            _ => Some(NO_DEVICE.to_string()),
        };
    };
    match condition {
        Condition::Present => None,
        Condition::Active => inactive(facts),
        Condition::Usable => inactive(facts).or_else(|| unprocessed(facts)).or_else(|| unlinked(facts)).or_else(|| unsettled(facts)),
        Condition::Settled => backlog(facts).map(|why| format!("udev has not processed all its events: {why}")),
        Condition::Event(_) => match facts.event_number {
            Some(number) if number > base => None,
            Some(number) => Some(format!("its event number is {number}, not greater than {base}")),
            None => Some("its event number is not known".to_string()),
        },
        Condition::Gone => Some(match facts.open_count {
            Some(1) => format!("it is still there, as {}, open once", facts.devno),
            Some(count) if count > 1 => format!("it is still there, as {}, open {count} times", facts.devno),
            _ => format!("it is still there, as {}", facts.devno),
        }),
    }
}

fn inactive(facts: &Facts) -> Option<String> {
    match (facts.live_table, facts.suspended) {
        (false, _) => Some("the device has no table yet".to_string()),
        (true, true) => Some("the device is suspended".to_string()),
        (true, false) => None,
    }
}

/// What keeps udev from having processed the device.
fn unprocessed(facts: &Facts) -> Option<String> {
    let why = match facts.recorded {
        Recorded::Unasked => return None,
        Recorded::Yes if facts.queued == 0 => return None,
        Recorded::Former => backlog(facts).unwrap_or_else(|| "its record is of an earlier device with this number".to_string()),
        Recorded::Yes | Recorded::No => backlog(facts).unwrap_or_else(|| "it has no event left, and no record of it".to_string()),
    };
    Some(format!("the device is active but udev has not processed it: {why}"))
}

fn backlog(facts: &Facts) -> Option<String> {
    let stopped = if facts.work == Work::Stopped { ", and udevd is stopped" } else { "" };
    match (facts.queued, facts.work) {
        (0, Work::Done) => None,
        (0, Work::Busy) => Some("it has events left, perhaps of this device".to_string()),
        (0, Work::Stopped) => Some("udevd is stopped".to_string()),
        (1, _) => Some(format!("1 event queued{stopped}")),
        (queued, _) => Some(format!("{queued} events queued{stopped}")),
    }
}

fn unlinked(facts: &Facts) -> Option<String> {
    let path = |path: &PathBuf| printable(path.as_os_str().as_encoded_bytes());
    match &facts.link {
        Link::Right => None,
        Link::Missing(link) => Some(format!("the device is active but its link {} is missing", path(link))),
        Link::Wrong(link, other) => {
            Some(format!("the device is active but its link {} leads to {other}, not to {}", path(link), facts.devno))
        }
    }
}

/// A cookie matters while udev has events left: with none left, whoever still waits does not wait for this device.
fn unsettled(facts: &Facts) -> Option<String> {
    let (key, missing) = facts.cookie.filter(|_| facts.work != Work::Done)?;
    let notifications = if missing == 1 { "1 notification" } else { "several notifications" };
    let stopped = if facts.work == Work::Stopped { "; udevd is stopped" } else { "" };
    Some(format!("the device is active but cookie {key}, perhaps its own, waits for {notifications}{stopped}"))
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Present => f.write_str("present"),
            Condition::Active => f.write_str("active"),
            Condition::Usable => f.write_str("usable"),
            Condition::Settled => f.write_str("settled"),
            Condition::Event(None) => f.write_str("event"),
            Condition::Event(Some(number)) => write!(f, "event={number}"),
            Condition::Gone => f.write_str("gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable() -> Facts {
        Facts {
            devno: Devno::new(253, 3).unwrap(),
            live_table: true,
            suspended: false,
            open_count: Some(0),
            event_number: Some(4),
            queued: 0,
            work: Work::Done,
            recorded: Recorded::Yes,
            link: Link::Right,
            cookie: None,
        }
    }

    fn says(condition: Condition, facts: &Facts) -> String {
        missing(condition, Some(facts), 4).unwrap_or_default()
    }

    #[test]
    fn conditions_are_read_as_they_are_written() {
        for text in ["present", "active", "usable", "settled", "event", "event=7", "gone"] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
        for wrong in ["", "Present", "event=", "event=x", "event=-1", "event=4294967296", "resumed"] {
            assert!(wrong.parse::<Condition>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_gone_and_nothing_else() {
        assert_eq!(missing(Condition::Gone, None, 0), None);
        for condition in [Condition::Present, Condition::Active, Condition::Usable, Condition::Settled, Condition::Event(None)] {
            assert_eq!(missing(condition, None, 0).as_deref(), Some("no such device yet"), "{condition}");
        }
        assert_eq!(says(Condition::Gone, &usable()), "it is still there, as 253:3");
        assert_eq!(says(Condition::Gone, &Facts { open_count: Some(2), ..usable() }), "it is still there, as 253:3, open 2 times");
    }

    #[test]
    fn each_part_of_usable_is_named_when_it_is_missing() {
        let path = || PathBuf::from("/dev/mapper/x");
        let cookie = Some((Key::from_raw(0x0d4d_1234).unwrap(), 1));
        let unprocessed = "the device is active but udev has not processed it: ";
        for (facts, expected) in [
            (usable(), String::new()),
            (Facts { live_table: false, suspended: true, ..usable() }, "the device has no table yet".into()),
            (Facts { suspended: true, ..usable() }, "the device is suspended".into()),
            (Facts { queued: 1, work: Work::Busy, ..usable() }, format!("{unprocessed}1 event queued")),
            (Facts { queued: 2, work: Work::Stopped, ..usable() }, format!("{unprocessed}2 events queued, and udevd is stopped")),
            (
                Facts { recorded: Recorded::No, work: Work::Busy, ..usable() },
                format!("{unprocessed}it has events left, perhaps of this device"),
            ),
            (Facts { recorded: Recorded::No, ..usable() }, format!("{unprocessed}it has no event left, and no record of it")),
            (Facts { recorded: Recorded::Former, ..usable() }, format!("{unprocessed}its record is of an earlier device with this number")),
            (Facts { link: Link::Missing(path()), ..usable() }, "the device is active but its link /dev/mapper/x is missing".into()),
            (
                Facts { link: Link::Wrong(path(), Devno::new(253, 9).unwrap()), ..usable() },
                "the device is active but its link /dev/mapper/x leads to 253:9, not to 253:3".into(),
            ),
            (
                Facts { cookie, work: Work::Busy, ..usable() },
                "the device is active but cookie 0x0d4d1234, perhaps its own, waits for 1 notification".into(),
            ),
            (Facts { cookie, ..usable() }, String::new()),
            (Facts { work: Work::Busy, ..usable() }, String::new()),
            (Facts { recorded: Recorded::Unasked, work: Work::Busy, ..usable() }, String::new()),
        ] {
            assert_eq!(says(Condition::Usable, &facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn settled_needs_all_events_answered_and_an_event_a_greater_number() {
        assert_eq!(says(Condition::Settled, &usable()), "");
        assert_eq!(
            says(Condition::Settled, &Facts { queued: 3, work: Work::Busy, ..usable() }),
            "udev has not processed all its events: 3 events queued"
        );
        assert!(says(Condition::Settled, &Facts { work: Work::Stopped, ..usable() }).ends_with("udevd is stopped"));
        assert_eq!(says(Condition::Event(None), &usable()), "its event number is 4, not greater than 4");
        assert_eq!(missing(Condition::Event(Some(3)), Some(&usable()), 3), None);
    }
}
