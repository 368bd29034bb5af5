//! From a person's word to the one device it means, never by a guess. Pure.

use crate::devno::Devno;
use crate::dm::Listed;
use crate::dm::listing::Listing;
use crate::error::{Error, Result};
use crate::name::{mangle, unmangle};
use crate::text::printable;

/// How a word for a device is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// As whatever it fits, if that is one device.
    Any,
    /// As `MAJOR:MINOR`.
    Devno,
    /// As a name: as the kernel holds it, else mangled or unmangled.
    Name,
    /// As a UUID: as the kernel holds it, else mangled or unmangled.
    Uuid,
}

/// Finds the device among all there are.
///
/// # Errors
/// A usage error when the word fits several devices, or is no device number but was said to be one; else not found.
pub fn find(devices: &Listing, word: &str, meaning: Meaning) -> Result<Devno> {
    let mut found = Vec::new();
    let as_number = word.parse::<Devno>();
    match meaning {
        Meaning::Devno => found.push(("number", as_number.clone()?)),
        Meaning::Name => found.extend(exact_first(names(devices, word))),
        Meaning::Uuid => found.extend(exact_first(uuids(devices, word))),
        Meaning::Any => {
            found.extend(as_number.clone().ok().map(|devno| ("number", devno)));
            found.extend(names(devices, word));
            found.extend(uuids(devices, word));
        }
    }
    match found.as_slice() {
        [] if meaning == Meaning::Any && looks_like_number(word) => Err(as_number.map_or_else(Error::from, |_| missing(word))),
        [] => Err(match volume(devices, word) {
            Some(device) => missing(word).advise(format!("the device of that volume is {}", printable(device.name.as_bytes()))),
            None => missing(word),
        }),
        [(_, devno), rest @ ..] if rest.iter().all(|(_, other)| other == devno) => {
            devices.devnos().find(|other| other == devno).ok_or_else(|| missing(word))
        }
        several => Err(ambiguous(word, several)),
    }
}

type Found = (&'static str, Devno);

/// The devices whose name the word may be, and how it is their name.
fn names(devices: &Listing, word: &str) -> Vec<Found> {
    let forms = ["name", "mangled name", "unmangled name"];
    fits(word, forms, |wanted| devices.iter().filter(move |d| d.name.as_bytes() == wanted))
}

fn uuids(devices: &Listing, word: &str) -> Vec<Found> {
    let forms = ["UUID", "mangled UUID", "unmangled UUID"];
    fits(word, forms, |wanted| devices.iter().filter(move |d| d.uuid.as_ref().is_some_and(|uuid| uuid.as_bytes() == wanted)))
}

fn fits<I: Iterator<Item = Listed>>(word: &str, forms: [&'static str; 3], fitting: impl Fn(Vec<u8>) -> I) -> Vec<Found> {
    let [exact, mangled, unmangled] = forms;
    let mut candidates = vec![(exact, word.as_bytes().to_vec())];
    for (form, bytes) in [(mangled, mangle(word.as_bytes()).as_bytes().to_vec()), (unmangled, unmangle(word.as_bytes()).to_vec())] {
        if candidates.iter().all(|(_, known)| *known != bytes) {
            candidates.push((form, bytes));
        }
    }
    candidates.into_iter().flat_map(|(form, bytes)| fitting(bytes).map(move |device| (form, device.devno))).collect()
}

/// Where the kind of word is given, the kernel's own form of it wins.
fn exact_first(found: Vec<Found>) -> Vec<Found> {
    match found.first() {
        Some(exact @ ("name" | "UUID", _)) => vec![*exact],
        _ => found,
    }
}

fn looks_like_number(word: &str) -> bool {
    word.contains(':') && word.bytes().all(|b| b.is_ascii_digit() || b == b':')
}

fn missing(word: &str) -> Error {
    Error::not_found("info", word)
}

/// The device of the volume that LVM calls so, `VG/LV` or `LV`, if there is but one.
fn volume(devices: &Listing, word: &str) -> Option<Listed> {
    let is_called_so = |device: &Listed| {
        let parts = device.name.lvm_parts();
        let lvm = device.uuid.as_ref().is_some_and(|uuid| uuid.is_lvm());
        lvm && parts.is_visible() && (&parts.lv[..] == word.as_bytes() || [&parts.vg[..], &parts.lv].join(&b'/') == word.as_bytes())
    };
    let mut fitting = devices.iter().filter(is_called_so);
    fitting.next().filter(|_| fitting.next().is_none())
}

fn ambiguous(word: &str, several: &[Found]) -> Error {
    let fits: Vec<_> = several.iter().map(|(form, devno)| format!("the {form} of {devno}")).collect();
    Error::usage("info", word, format!("ambiguous: {}", fits.join(" and "))).advise("use --name, --uuid or --devno")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;
    use crate::name::{DmName, DmUuid};

    fn devices() -> Listing {
        let all: [(&[u8], &str); 9] = [
            (b"vg-lv", "LVM-x"),
            (b"my\\x20disk", ""),
            (b"raw name", ""),
            (b"two\\x20forms", ""),
            (b"two forms", ""),
            (b"LVM-x", "other"),
            (b"253:0", ""),
            (b"253:7", "uu id"),
            (b"\xff", "u\\x20u"),
        ];
        let device = |(minor, (name, uuid)): (u32, &(&[u8], &str))| Listed {
            devno: Devno::new(253, minor).unwrap(),
            name: DmName::new(*name).unwrap(),
            uuid: DmUuid::new(*uuid).unwrap(),
            event_number: None,
        };
        (0..).zip(&all).map(device).collect()
    }

    /// The minor number of the device found, or the message.
    fn found(word: &str, meaning: Meaning) -> std::result::Result<u32, String> {
        find(&devices(), word, meaning).map(Devno::minor).map_err(|error| error.to_string())
    }

    #[test]
    fn a_word_finds_its_device_by_any_identity() {
        assert_eq!(found("253:1", Meaning::Any), Ok(1));
        assert_eq!(found("vg-lv", Meaning::Any), Ok(0));
        assert_eq!(found("other", Meaning::Any), Ok(5));
        assert_eq!(found("253:7", Meaning::Any), Ok(7), "name and number of one device");
    }

    #[test]
    fn a_name_is_found_in_every_form_it_may_be_written_in() {
        assert_eq!(found("my disk", Meaning::Any), Ok(1));
        assert_eq!(found("my\\x20disk", Meaning::Any), Ok(1));
        assert_eq!(found("raw name", Meaning::Any), Ok(2));
        assert_eq!(found("raw\\x20name", Meaning::Name), Ok(2));
        assert_eq!(found("\\xff", Meaning::Any), Ok(8), "a name that is no text is written as it is printed");
        assert_eq!(found("uu\\x20id", Meaning::Uuid), Ok(7));
        assert_eq!(found("u u", Meaning::Any), Ok(8));
    }

    #[test]
    fn a_word_that_fits_two_devices_is_ambiguous_and_says_what_it_fits() {
        assert_eq!(
            found("253:0", Meaning::Any).unwrap_err(),
            "info 253:0: ambiguous: the number of 253:0 and the name of 253:6; use --name, --uuid or --devno"
        );
        assert_eq!(
            found("LVM-x", Meaning::Any).unwrap_err(),
            "info LVM-x: ambiguous: the name of 253:5 and the UUID of 253:0; use --name, --uuid or --devno"
        );
        for word in ["two forms", "two\\x20forms"] {
            assert!(found(word, Meaning::Any).unwrap_err().contains("ambiguous"), "{word}");
            assert!(matches!(find(&devices(), word, Meaning::Any).unwrap_err().cause(), Cause::Usage(_)), "{word}");
        }
    }

    #[test]
    fn a_switch_resolves_what_is_ambiguous() {
        assert_eq!(found("253:0", Meaning::Devno), Ok(0));
        assert_eq!(found("253:0", Meaning::Name), Ok(6));
        assert_eq!(found("LVM-x", Meaning::Uuid), Ok(0));
        assert_eq!(found("LVM-x", Meaning::Name), Ok(5));
        assert_eq!(found("two forms", Meaning::Name), Ok(4));
        assert_eq!(found("two\\x20forms", Meaning::Name), Ok(3));
    }

    #[test]
    fn a_volume_in_the_words_of_lvm_is_no_device_but_its_device_is_named() {
        for word in ["vg/lv", "lv"] {
            let told = format!("info {word}: no such device-mapper device; the device of that volume is vg-lv");
            assert_eq!(found(word, Meaning::Any), Err(told));
        }
        assert_eq!(found("vg/l", Meaning::Any), Err("info vg/l: no such device-mapper device".to_string()));
        assert_eq!(found("vg", Meaning::Any), Err("info vg: no such device-mapper device".to_string()));
    }

    #[test]
    fn what_fits_nothing_is_not_found_and_a_bad_number_is_the_callers_mistake() {
        let cause = |word, meaning| find(&devices(), word, meaning).unwrap_err().cause().clone();
        for word in ["", "nothing", "253:99", "LVM", "8:x", "vg/lv", "\n"] {
            assert_eq!(cause(word, Meaning::Any), Cause::NotFound, "{word:?}");
        }
        assert_eq!(cause("253:99", Meaning::Devno), Cause::NotFound);
        assert_eq!(cause("vg-lv", Meaning::Uuid), Cause::NotFound);
        assert!(matches!(cause("9999:0", Meaning::Any), Cause::Usage(_)));
        assert!(matches!(cause("vg-lv", Meaning::Devno), Cause::Usage(_)));
    }
}
