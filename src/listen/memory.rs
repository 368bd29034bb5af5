//! What was last known of every device: events do not repeat names, and a removed device has none to ask for. Pure.

use std::collections::BTreeMap;

use super::happening::What;
use crate::devno::Devno;
use crate::dm::Listed;
use crate::name::{DmName, DmUuid};

/// What is remembered of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: DmName,
    /// Its UUID.
    pub uuid: Option<DmUuid>,
    /// Whether a table has been in force.
    pub active: bool,
    /// Whether it was suspended.
    pub suspended: bool,
    /// The number of its last device-mapper event.
    pub event_number: Option<u32>,
}

/// The devices by number.
#[derive(Debug, Default)]
pub struct Memory {
    present: BTreeMap<Devno, Known>,
    /// Those that are gone, until their number is used again: the kernel tells twice that a device is removed.
    gone: BTreeMap<Devno, Known>,
}

impl Memory {
    /// What is known of a device.
    pub fn get(&self, devno: Devno) -> Option<&Known> {
        self.present.get(&devno)
    }

    /// What was known of the last device with this number that went.
    pub fn departed(&self, devno: Devno) -> Option<&Known> {
        self.gone.get(&devno)
    }

    /// Remembers a device as it is now.
    pub fn put(&mut self, devno: Devno, known: Known) {
        self.gone.remove(&devno);
        self.present.insert(devno, known);
    }

    /// The device is gone.
    pub fn depart(&mut self, devno: Devno) {
        if let Some(known) = self.present.remove(&devno) {
            self.gone.insert(devno, known);
        }
    }

    /// Takes over what a listing shows and tells each difference, with what is known of the device that it is about.
    /// `is_active` is asked of devices that were not known.
    pub fn replace(&mut self, listed: impl IntoIterator<Item = Listed>, is_active: impl Fn(Devno) -> bool) -> Vec<(Devno, Known, What)> {
        let mut old = std::mem::take(&mut self.present);
        let mut differences = Vec::new();
        for Listed { devno, name, event_number, uuid } in listed {
            // A UUID is for life: one that differs is another device, which has got the number of one that is gone.
            let same = |known: &Known| known.uuid == uuid || known.uuid.is_none();
            let before = match old.remove(&devno) {
                Some(known) if same(&known) => Some(known),
                Some(other) => {
                    differences.push((devno, other, What::Disappeared));
                    None
                }
                None => None,
            };
            let active = before.as_ref().is_some_and(|known| known.active) || is_active(devno);
            let suspended = before.as_ref().is_some_and(|known| known.suspended);
            let known = Known { name, uuid, active, suspended, event_number };
            let missed = before.as_ref().and_then(|before| event_number?.checked_sub(before.event_number?)).filter(|missed| *missed > 0);
            match before {
                None => differences.push((devno, known.clone(), What::Appeared)),
                Some(Known { name: from, .. }) if from != known.name => {
                    let to = known.name.clone();
                    differences.push((devno, known.clone(), What::Renamed { from, to }));
                }
                Some(_) => differences.extend(missed.map(|missed| (devno, known.clone(), What::Missed(missed)))),
            }
            self.put(devno, known);
        }
        differences.extend(old.into_iter().map(|(devno, known)| (devno, known, What::Disappeared)));
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(minor: u32, name: &str, uuid: &str, event: u32) -> Listed {
        Listed {
            devno: Devno::new(253, minor).unwrap(),
            name: DmName::new(name).unwrap(),
            event_number: Some(event),
            uuid: DmUuid::new(uuid).unwrap(),
        }
    }

    #[test]
    fn a_rescan_tells_what_no_event_told() {
        let mut memory = Memory::default();
        let first = vec![listed(0, "same", "U-0", 1), listed(1, "old", "U-1", 1), listed(2, "gone", "U-2", 1), listed(3, "was", "U-3", 1)];
        let appeared = memory.replace(first, |_| true);
        assert!(appeared.len() == 4 && appeared.iter().all(|(_, known, what)| *what == What::Appeared && known.active));

        let second = vec![listed(0, "same", "U-0", 4), listed(1, "new", "U-1", 2), listed(3, "is", "U-4", 0), listed(4, "more", "", 0)];
        let told: Vec<_> =
            memory.replace(second.clone(), |_| false).into_iter().map(|(_, known, what)| (known.name.to_string(), what)).collect();
        let name = |text: &str| DmName::new(text).unwrap();
        assert_eq!(
            told,
            [
                ("same".to_string(), What::Missed(3)),
                ("new".to_string(), What::Renamed { from: name("old"), to: name("new") }),
                ("was".to_string(), What::Disappeared),
                ("is".to_string(), What::Appeared),
                ("more".to_string(), What::Appeared),
                ("gone".to_string(), What::Disappeared),
            ]
        );
        assert_eq!(memory.replace(second, |_| false), [], "nothing has happened since");
    }
}
