//! All devices in little memory: what a listing costs is mostly the pages that it is the first to touch.

use super::Listed;
use crate::devno::Devno;
use crate::error::Result;
use crate::name::{DmName, DmUuid};

/// Devices, in the order in which they were added.
#[derive(Debug, Default)]
pub struct Listing {
    entries: Vec<Entry>,
    /// Each device's name, then its UUID.
    text: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    devno: Devno,
    event_number: Option<u32>,
    start: usize,
    name: u8,
    uuid: u8,
}

impl Listing {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Listed> {
        self.entries.iter().filter_map(|entry| self.listed(entry))
    }

    /// Their numbers.
    pub fn devnos(&self) -> impl Iterator<Item = Devno> {
        self.entries.iter().map(|entry| entry.devno)
    }

    /// The one at a place.
    pub fn get(&self, place: usize) -> Option<Listed> {
        self.listed(self.entries.get(place)?)
    }

    /// Puts them into the order of their names: since Linux 5.13 the kernel's own.
    pub fn sort(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by(|a, b| self.text(a.start, a.name).cmp(self.text(b.start, b.name)));
        self.entries = entries;
    }

    /// Adds one by the kernel's bytes: its name, and its UUID or nothing.
    ///
    /// # Errors
    /// Bytes that are no name or no UUID.
    pub fn push(&mut self, devno: Devno, name: &[u8], uuid: &[u8], event_number: Option<u32>) -> Result<()> {
        DmName::check(name)?;
        DmUuid::check(uuid)?;
        // Neither is longer than 128 bytes.
        let entry = Entry { devno, event_number, start: self.text.len(), name: name.len() as u8, uuid: uuid.len() as u8 };
        self.entries.push(entry);
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(uuid);
        Ok(())
    }

    fn listed(&self, entry: &Entry) -> Option<Listed> {
        let Entry { devno, event_number, start, name, uuid } = *entry;
        // They were a name and a UUID before.
        Some(Listed {
            devno,
            name: DmName::new(self.text(start, name)).ok()?,
            uuid: DmUuid::new(self.text(start + usize::from(name), uuid)).ok()?,
            event_number,
        })
    }

    fn text(&self, start: usize, length: u8) -> &[u8] {
        self.text.get(start..start + usize::from(length)).unwrap_or_default()
    }
}

impl Extend<Listed> for Listing {
    fn extend<I: IntoIterator<Item = Listed>>(&mut self, devices: I) {
        for Listed { devno, name, uuid, event_number } in devices {
            // They are a name and a UUID.
            let _ = self.push(devno, name.as_bytes(), uuid.as_ref().map_or(&[], DmUuid::as_bytes), event_number);
        }
    }
}

impl FromIterator<Listed> for Listing {
    fn from_iter<I: IntoIterator<Item = Listed>>(devices: I) -> Self {
        let mut listing = Self::default();
        listing.extend(devices);
        listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_comes_back_whole_and_by_name() {
        let device = |minor, name: &str, uuid: &str, event_number| Listed {
            devno: Devno::new(253, minor).unwrap(),
            name: DmName::new(name).unwrap(),
            uuid: DmUuid::new(uuid).unwrap(),
            event_number,
        };
        let (longest, still_longer) = ("x".repeat(127), "x".repeat(128));
        let (a, b, c) = (device(7, "a", "", None), device(0, "b", "LVM-1", Some(3)), device(1, &longest, &still_longer, Some(0)));
        let mut listing: Listing = [b.clone(), c.clone()].into_iter().collect();
        listing.extend([a.clone()]);
        listing.sort();
        assert_eq!(listing.iter().collect::<Vec<_>>(), [a.clone(), b, c]);
        assert_eq!((listing.len(), listing.is_empty(), listing.get(0), listing.get(3)), (3, false, Some(a), None));
        assert_eq!(listing.devnos().map(Devno::minor).collect::<Vec<_>>(), [7, 0, 1]);
        for (name, uuid) in [("", ""), ("a/b", ""), (&still_longer, ""), ("a", &"x".repeat(129)), ("a", "\0")] {
            assert!(listing.push(Devno::new(253, 7).unwrap(), name.as_bytes(), uuid.as_bytes(), None).is_err(), "{name:?}, {uuid:?}");
        }
        assert_eq!(listing.len(), 3);
    }
}
