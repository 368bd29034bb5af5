//! libdevmapper's udev cookies: a value that names a semaphore in its low half and carries flags in its high half.
//!
//! Source: libdevmapper.h (`DM_UDEV_*`), the contract every tool on libdevmapper relies on.

use core::fmt;
use core::str::FromStr;

use crate::fault::{Fault, Result};

/// The upper half of every udev cookie's semaphore key (`DM_COOKIE_MAGIC`).
const KEY_MAGIC: u32 = 0x0d4d << 16;

/// The property of each flag, by its bit: the one table of them.
pub const FLAG_PROPERTIES: [&str; 16] = [
    "DM_UDEV_DISABLE_DM_RULES_FLAG",
    "DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG",
    "DM_UDEV_DISABLE_DISK_RULES_FLAG",
    "DM_UDEV_DISABLE_OTHER_RULES_FLAG",
    "DM_UDEV_LOW_PRIORITY_FLAG",
    "DM_UDEV_DISABLE_LIBRARY_FALLBACK_FLAG",
    "DM_UDEV_PRIMARY_SOURCE_FLAG",
    "DM_UDEV_FLAG7",
    "DM_SUBSYSTEM_UDEV_FLAG0",
    "DM_SUBSYSTEM_UDEV_FLAG1",
    "DM_SUBSYSTEM_UDEV_FLAG2",
    "DM_SUBSYSTEM_UDEV_FLAG3",
    "DM_SUBSYSTEM_UDEV_FLAG4",
    "DM_SUBSYSTEM_UDEV_FLAG5",
    "DM_SUBSYSTEM_UDEV_FLAG6",
    "DM_SUBSYSTEM_UDEV_FLAG7",
];

/// What each flag says to a person who looks at a device, by its bit. A subsystem's own flags have
/// [`SUBSYSTEM_FLAG_WORDS`] where their meaning is known.
pub const FLAG_WORDS: [&str; 16] = [
    "no /dev/mapper link: the general rules are off",
    "the rules of its subsystem are off",
    "no /dev/disk links: the disk rules are off",
    "other packages' rules leave it alone",
    "its links give way to those of other devices",
    "libdevmapper makes no nodes in udev's place",
    "set up by a device-mapper tool",
    "flag 7, which has no meaning yet",
    "flag 0 of its subsystem",
    "flag 1 of its subsystem",
    "flag 2 of its subsystem",
    "flag 3 of its subsystem",
    "flag 4 of its subsystem",
    "flag 5 of its subsystem",
    "flag 6 of its subsystem",
    "flag 7 of its subsystem",
];

/// Subsystem flags whose meaning is known: UUID prefix, bit, words. Sources: lvm2's `lib/activate/dev_manager.c`
/// (LVM), multipath-tools' `libmultipath/devmapper.h`.
pub const SUBSYSTEM_FLAG_WORDS: [(&[u8], u32, &str); 4] = [
    (b"LVM", 8, "not to be scanned: LVM has not wiped it yet"),
    (b"mpath", 8, "its table was reloaded, nothing else changed"),
    (b"mpath", 9, "kpartx leaves its partitions alone"),
    (b"mpath", 10, "no path to the disk works"),
];

/// The udev flags of a device-mapper event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u16);

impl Flags {
    /// Ignore the device in the general device-mapper rules: no /dev/mapper link.
    pub const DISABLE_DM_RULES: Flags = Flags(1 << 0);
    /// Ignore the device in the rules of its subsystem (LVM, multipath).
    pub const DISABLE_SUBSYSTEM_RULES: Flags = Flags(1 << 1);
    /// Ignore the device in the rules for /dev/disk.
    pub const DISABLE_DISK_RULES: Flags = Flags(1 << 2);
    /// Ask all foreign rules to ignore the device.
    pub const DISABLE_OTHER_RULES: Flags = Flags(1 << 3);
    /// Give the device's links a low priority (a snapshot against its origin).
    pub const LOW_PRIORITY: Flags = Flags(1 << 4);
    /// libdevmapper must not make the node itself.
    pub const DISABLE_LIBRARY_FALLBACK: Flags = Flags(1 << 5);
    /// The event comes from a tool on libdevmapper, not from a write to `uevent` or a closed watch.
    pub const PRIMARY_SOURCE: Flags = Flags(1 << 6);
    /// LVM's meaning of the first subsystem flag: the volume is not wiped yet, do not scan it.
    pub const LVM_NOSCAN: Flags = Flags(1 << 8);

    /// multipath's meaning of the third subsystem flag: no path to the disk works.
    pub const MULTIPATH_NO_PATHS: Flags = Flags(1 << 10);

    /// From the sixteen bits.
    pub fn from_bits(bits: u16) -> Self {
        Flags(bits)
    }

    /// The sixteen bits.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `other`'s bits are set.
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags named in a list, separated by commas: property names, or the same without `DM_UDEV_` (or `DM_`)
    /// and `_FLAG`, in either case, `-` for `_`.
    pub fn from_names(names: &str) -> Result<Flags> {
        names.split(',').map(str::trim).filter(|name| !name.is_empty()).try_fold(Flags::default(), |flags, name| {
            let bit = FLAG_PROPERTIES.iter().position(|property| is_called(property, name));
            let bit = bit.ok_or_else(|| Fault::usage("flag", name, "no such udev flag; dmhelper(8) lists them"))?;
            Ok(flags.union(Flags(1 << bit)))
        })
    }

    /// The bits of both.
    #[must_use]
    pub fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// The properties of the set bits, low to high.
    pub fn properties(self) -> impl Iterator<Item = &'static str> {
        FLAG_PROPERTIES.iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| *name)
    }

    /// The set bits in words, low to high; `prefix` is the part of the device's UUID before its first `-`.
    pub fn words(self, prefix: &[u8]) -> impl Iterator<Item = &'static str> {
        FLAG_WORDS.iter().zip(0..).filter(move |(_, bit)| self.0 & (1 << bit) != 0).map(move |(words, bit)| {
            let known = SUBSYSTEM_FLAG_WORDS.iter().find(|(owner, own_bit, _)| *owner == prefix && *own_bit == bit);
            known.map_or(*words, |(_, _, words)| *words)
        })
    }

    /// The flags for which `is_set` says yes, asked by property name: how a udev environment or database holds them.
    pub fn from_properties(mut is_set: impl FnMut(&'static str) -> bool) -> Self {
        Flags(FLAG_PROPERTIES.iter().enumerate().filter(|(_, name)| is_set(name)).fold(0, |bits, (bit, _)| bits | 1 << bit))
    }
}

/// Whether a person's word means the property: all of it, or what stands between `DM_UDEV_` (or `DM_`) and `_FLAG`.
fn is_called(property: &str, word: &str) -> bool {
    let plain = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
    let is = |name: &str| name.bytes().eq(word.bytes().map(plain));
    let rest = property.strip_prefix("DM_UDEV_").or(property.strip_prefix("DM_")).unwrap_or(property);
    let short = rest.strip_suffix("_FLAG").unwrap_or(rest);
    // With and without either end.
    [property, rest, short, property.strip_suffix("_FLAG").unwrap_or(property)].iter().any(|name| is(name))
}

/// A udev cookie as it stands in `DM_COOKIE`: flags above, the semaphore's base below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie(u32);

impl Cookie {
    /// From the 32 bits of the ioctl's `event_nr`.
    pub fn new(value: u32) -> Self {
        Cookie(value)
    }

    /// The flags of its upper half.
    pub fn flags(self) -> Flags {
        Flags((self.0 >> 16) as u16)
    }

    /// The 32 bits.
    pub fn value(self) -> u32 {
        self.0
    }

    /// The same semaphore with these flags above it: the `event_nr` of an ioctl, the `DM_COOKIE` of its event.
    #[must_use]
    pub fn with_flags(self, flags: Flags) -> Cookie {
        Cookie(u32::from(flags.0) << 16 | self.0 & 0xffff)
    }

    /// The semaphore that waits for this event; `None` for a cookie of flags alone.
    pub fn key(self) -> Option<Key> {
        let base = self.0 & 0xffff;
        (base != 0).then_some(Key(KEY_MAGIC | base))
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl FromStr for Cookie {
    type Err = Fault;

    /// Decimal, `0x` hexadecimal or leading-0 octal, as strtoul(3) with base 0 takes them.
    fn from_str(text: &str) -> Result<Self> {
        let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hex) => (hex, 16),
            None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
            None => (text, 10),
        };
        // from_str_radix would take a sign, which no cookie has.
        let unsigned = digits.bytes().all(|b| b.is_ascii_alphanumeric());
        unsigned
            .then(|| u32::from_str_radix(digits, radix).ok())
            .flatten()
            .map(Cookie)
            .ok_or_else(|| Fault::usage("cookie", text, "not a number of 32 bits (decimal, 0x hexadecimal or 0 octal)"))
    }
}

/// The key of a udev cookie's semaphore set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(u32);

impl Key {
    /// The key of a semaphore set that lies among the cookies'; `None` for any other set.
    pub fn from_raw(key: u32) -> Option<Self> {
        (key & 0xffff_0000 == KEY_MAGIC && key & 0xffff != 0).then_some(Key(key))
    }

    /// The cookie that names it, as `dmsetup udevcreatecookie` prints it.
    pub fn cookie(self) -> Cookie {
        Cookie(self.0)
    }

    /// The value of semget(2)'s `key`.
    pub fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn a_cookie_is_read_as_strtoul_with_base_zero_reads_it() {
        for text in ["6293589", "0x600855", "0X600855", "030004125"] {
            assert_eq!(text.parse::<Cookie>().unwrap(), Cookie::new(0x60_0855), "{text}");
        }
        assert_eq!("0".parse::<Cookie>().unwrap(), Cookie::new(0));
        assert_eq!("4294967295".parse::<Cookie>().unwrap(), Cookie::new(u32::MAX));
    }

    #[test]
    fn what_is_not_a_cookie_is_refused_with_its_value() {
        for text in ["", "0x", "08", "-1", "+1", " 1", "1 ", "0x1g", "4294967296", "0x100000000", "abc", "1\n"] {
            let error = text.parse::<Cookie>().unwrap_err();
            assert!(matches!(error, Fault::Usage { what: "cookie", .. }), "{text}");
        }
    }

    #[test]
    fn the_key_is_the_magic_and_the_base_and_a_zero_base_has_none() {
        assert_eq!(Cookie::new(0x0041_1234).key().unwrap().to_string(), "0x0d4d1234");
        assert_eq!(Cookie::new(0x0041_0000).key(), None);
    }

    #[test]
    fn flags_are_found_by_property_and_by_short_name() {
        let all = FLAG_PROPERTIES.join(",");
        assert_eq!(Flags::from_names(&all).unwrap().bits(), 0xffff);
        assert_eq!(Flags::from_names("disable-dm-rules, low_priority,SUBSYSTEM_UDEV_FLAG0").unwrap().bits(), 0x111);
        assert_eq!(Flags::from_names("").unwrap().bits(), 0);
        assert!(Flags::from_names("disable_everything").is_err());
    }

    #[test]
    fn flags_are_named_low_to_high_and_come_back_from_their_names() {
        let flags = Cookie::new(0x0161_0001).flags();
        let names: Vec<_> = flags.properties().collect();
        assert_eq!(
            names,
            [
                "DM_UDEV_DISABLE_DM_RULES_FLAG",
                "DM_UDEV_DISABLE_LIBRARY_FALLBACK_FLAG",
                "DM_UDEV_PRIMARY_SOURCE_FLAG",
                "DM_SUBSYSTEM_UDEV_FLAG0"
            ]
        );
        assert_eq!(Flags::from_properties(|name| names.contains(&name)), flags);
        assert!(flags.contains(Flags::PRIMARY_SOURCE) && !flags.contains(Flags::LOW_PRIORITY));
    }

    #[test]
    fn a_subsystems_flag_has_its_owners_words_and_only_those() {
        let noscan = |prefix: &[u8]| Flags::LVM_NOSCAN.words(prefix).collect::<Vec<_>>();
        assert_eq!(noscan(b"LVM"), ["not to be scanned: LVM has not wiped it yet"]);
        assert_eq!(noscan(b"mpath"), ["its table was reloaded, nothing else changed"]);
        assert_eq!(noscan(b"CRYPT"), ["flag 0 of its subsystem"]);
        let all: Vec<_> = Flags::from_bits(u16::MAX).words(b"").collect();
        assert_eq!(all, FLAG_WORDS, "one for each bit, low to high");
        assert!(all.iter().all(|words| words.chars().count() <= 64), "they stand in a table of 80 columns");
    }
}
