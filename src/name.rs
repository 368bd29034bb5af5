//! Names and UUIDs of device-mapper devices: mangling, LVM's three parts, and what a UUID tells about its owner.

use std::borrow::Cow;
use std::fmt;

use crate::emit::printable;
use crate::error::{Error, Result};

/// Longest name or UUID in bytes (`DM_NAME_LEN`, `DM_UUID_LEN` less the terminating NUL).
pub const LENGTH_MAX: usize = 127;

/// Whether libdevmapper keeps this byte in a mangled name; every other one becomes `\xNN`.
fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"#+-.:=@_".contains(&byte)
}

/// The bytes with every one that libdevmapper does not keep written as `\xNN`. A `\xNN` that stands there already
/// stays as it is (libdevmapper's mode "auto"), so mangling twice changes nothing.
pub fn mangle(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(bytes)
        && bytes.iter().all(|&b| is_kept(b))
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() * 4);
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        if let Some((_, after)) = escape_at(rest) {
            let escape = rest.len() - after.len();
            out.extend(rest.iter().take(escape).map(|&b| char::from(b)));
            rest = after;
            continue;
        }
        if is_kept(*byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("\\x{byte:02x}"));
        }
        rest = tail;
    }
    Cow::Owned(out)
}

/// The bytes with every `\xNN` turned back into its byte.
pub fn unmangle(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'\\') {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        let (byte, tail) = escape_at(rest).unwrap_or((*byte, tail));
        out.push(byte);
        rest = tail;
    }
    Cow::Owned(out)
}

/// The byte of a `\xNN` at the start, and what follows it.
fn escape_at(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'\\', b'x', high, low, rest @ ..] = bytes else { return None };
    let digit = |b: u8| char::from(b).to_digit(16);
    Some(((digit(*high)? << 4 | digit(*low)?) as u8, rest))
}

/// A device's name, as the kernel holds it: 1 to 127 bytes without NUL and `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DmName(Vec<u8>);

impl DmName {
    /// From the kernel's bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = bytes.into();
        let fault = match bytes.as_slice() {
            [] => "empty",
            long if long.len() > LENGTH_MAX => "longer than 127 bytes",
            bytes if bytes.contains(&0) || bytes.contains(&b'/') => "holds a NUL or a slash",
            _ => return Ok(Self(bytes)),
        };
        Err(Error::usage("name", bytes, fault))
    }

    /// The kernel's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name its creator meant, when the kernel holds a mangled one.
    pub fn unmangled(&self) -> Option<Vec<u8>> {
        match unmangle(&self.0) {
            Cow::Owned(bytes) if bytes != self.0 => Some(bytes),
            _ => None,
        }
    }

    /// VG, LV and layer, taken from an LVM device's name.
    pub fn lvm_parts(&self) -> LvmParts {
        let (vg, rest) = lvm_part(&self.0);
        let (lv, rest) = lvm_part(rest);
        let (layer, _) = lvm_part(rest);
        LvmParts { vg, lv, layer }
    }
}

impl fmt::Display for DmName {
    /// Safe for a terminal and for a line of text: control and other hostile characters are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

/// What LVM put into a device's name: `VG-LV[-LAYER]`, each `-` of a part doubled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LvmParts {
    /// Volume group.
    pub vg: Vec<u8>,
    /// Logical volume.
    pub lv: Vec<u8>,
    /// Layer of an internal device (`real`, `cow`, `tpool`); empty for a volume itself.
    pub layer: Vec<u8>,
}

impl LvmParts {
    /// Whether a person may use the volume: it has a name, no layer, and is not one of LVM's helpers.
    pub fn is_visible(&self) -> bool {
        let helper = self.lv.starts_with(b"pvmove") || (self.lv.len() > b"_vorigin".len() && self.lv.ends_with(b"_vorigin"));
        !self.vg.is_empty() && !self.lv.is_empty() && self.layer.is_empty() && !helper
    }
}

/// One part of an LVM name with its doubled dashes undone, and what follows the single dash that ends it.
/// A dash at the very end is literal.
fn lvm_part(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut part = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return (part, rest),
            [b'-', b'-', tail @ ..] => {
                part.push(b'-');
                tail
            }
            [b'-', tail @ ..] if !tail.is_empty() => return (part, tail),
            [byte, tail @ ..] => {
                part.push(*byte);
                tail
            }
        };
    }
}

/// A device's UUID, as the kernel holds it: 1 to 127 bytes without NUL, usually `SUBSYSTEM-…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DmUuid(Vec<u8>);

/// Who made a device and what the UUID says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A logical volume, or a part of one when there is a suffix (`-cow`, `-tpool`, …).
    Lvm {
        /// The group's UUID, 32 characters.
        vg: &'a [u8],
        /// The volume's UUID, 32 characters.
        lv: &'a [u8],
        /// What follows the first `-` after them.
        suffix: Option<&'a [u8]>,
    },
    /// cryptsetup.
    Crypt {
        /// `LUKS1`, `LUKS2`, `PLAIN`, `VERITY`, `INTEGRITY`, `TCRYPT`, `BITLK`, `TEMP`, …
        kind: &'a [u8],
        /// The UUID of the encrypted payload, 32 hexadecimal digits, for the kinds that have one.
        payload: Option<&'a [u8]>,
        /// The name it was activated under.
        name: &'a [u8],
    },
    /// A multipath map.
    Multipath {
        /// The world-wide identifier of the disk.
        wwid: &'a [u8],
    },
    /// A partition that kpartx mapped.
    Partition {
        /// The partition's number.
        number: u32,
        /// The UUID of the map it lies on, or `devnode_MAJOR:MINOR_…` on other devices.
        parent: &'a [u8],
    },
    /// Any other prefix before the first `-`: shown, not judged.
    Other {
        /// The prefix.
        subsystem: &'a [u8],
    },
    /// No prefix.
    Unknown,
}

/// Subsystem prefixes and what people call their owners: the one table of them.
const SUBSYSTEMS: [(&[u8], &str); 7] = [
    (b"LVM", "LVM"),
    (b"CRYPT", "cryptsetup"),
    (b"mpath", "multipath"),
    (b"part", "kpartx"),
    (b"stratis", "Stratis"),
    (b"VDO", "VDO"),
    (b"DMRAID", "dmraid"),
];

impl DmUuid {
    /// From the kernel's bytes; `None` for a device without a UUID.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Option<Self>> {
        let bytes = bytes.into();
        if bytes.len() > LENGTH_MAX || bytes.contains(&0) {
            return Err(Error::usage("UUID", bytes, "longer than 127 bytes, or holds a NUL"));
        }
        Ok((!bytes.is_empty()).then_some(Self(bytes)))
    }

    /// The kernel's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether LVM made the device, by the prefix alone, as LVM's rules ask.
    pub fn is_lvm(&self) -> bool {
        self.0.len() > 4 && self.0.starts_with(b"LVM-")
    }

    /// Who made the device, by the UUID's prefix.
    pub fn owner(&self) -> Owner<'_> {
        let Some((prefix, rest)) = split_once(&self.0, b'-') else { return Owner::Unknown };
        match prefix {
            b"LVM" => lvm_owner(rest).unwrap_or(Owner::Other { subsystem: prefix }),
            b"CRYPT" => crypt_owner(rest),
            b"mpath" => Owner::Multipath { wwid: rest },
            _ => match prefix.strip_prefix(b"part").and_then(decimal) {
                Some(number) => Owner::Partition { number, parent: rest },
                None => Owner::Other { subsystem: prefix },
            },
        }
    }

    /// What stands before the first `-`: the subsystem, as its rules recognise it.
    pub fn prefix(&self) -> &[u8] {
        split_once(&self.0, b'-').map_or(b"", |(prefix, _)| prefix)
    }

    /// The owner's name for people: a known subsystem's, else the prefix as it stands.
    pub fn subsystem(&self) -> Option<String> {
        let prefix = match self.owner() {
            Owner::Partition { .. } => &b"part"[..],
            _ => split_once(&self.0, b'-')?.0,
        };
        let known = SUBSYSTEMS.iter().find(|(known, _)| *known == prefix).map(|(_, name)| (*name).to_string());
        Some(known.unwrap_or_else(|| printable(prefix)))
    }
}

impl fmt::Display for DmUuid {
    /// Safe for a terminal, as [`DmName`]'s.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

fn lvm_owner(rest: &[u8]) -> Option<Owner<'_>> {
    let (ids, suffix) = split_once(rest, b'-').map_or((rest, None), |(ids, suffix)| (ids, Some(suffix)));
    let (vg, lv) = ids.split_at_checked(32)?;
    (lv.len() == 32 || lv.is_empty()).then_some(Owner::Lvm { vg, lv, suffix })
}

fn crypt_owner(rest: &[u8]) -> Owner<'_> {
    let (kind, rest) = split_once(rest, b'-').unwrap_or((rest, b""));
    let is_payload = |id: &[u8]| id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit);
    match split_once(rest, b'-') {
        Some((id, name)) if is_payload(id) => Owner::Crypt { kind, payload: Some(id), name },
        _ => Owner::Crypt { kind, payload: None, name: rest },
    }
}

/// A UUID of 32 hexadecimal digits with the dashes that blkid and cryptsetup print; anything else as it is.
pub fn dashed_uuid(digits: &[u8]) -> Vec<u8> {
    dashed(digits, &[8, 12, 16, 20])
}

/// An LVM UUID of 32 characters with the dashes that `vgs` and `lvs` print; anything else as it is.
pub fn dashed_lvm_uuid(characters: &[u8]) -> Vec<u8> {
    dashed(characters, &[6, 10, 14, 18, 22, 26])
}

fn dashed(characters: &[u8], before: &[usize]) -> Vec<u8> {
    if characters.len() != 32 {
        return characters.to_vec();
    }
    let mut dashed = Vec::with_capacity(40);
    for (index, character) in characters.iter().enumerate() {
        if before.contains(&index) {
            dashed.push(b'-');
        }
        dashed.push(*character);
    }
    dashed
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = bytes.split_at_checked(bytes.iter().position(|&b| b == separator)?)?;
    Some((before, rest.get(1..)?))
}

fn decimal(digits: &[u8]) -> Option<u32> {
    str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lvm(name: &str) -> (String, String, String) {
        let parts = DmName::new(name).unwrap().lvm_parts();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(parts.vg), text(parts.lv), text(parts.layer))
    }

    fn uuid(text: &str) -> DmUuid {
        DmUuid::new(text).unwrap().unwrap()
    }

    #[test]
    fn mangling_keeps_what_libdevmapper_keeps_and_undoes_itself() {
        assert_eq!(mangle(b"vg-lv+0.1:2=3@4#5_6"), "vg-lv+0.1:2=3@4#5_6");
        assert_eq!(mangle("a b\"\\c\u{e9}\n/".as_bytes()), "a\\x20b\\x22\\x5cc\\xc3\\xa9\\x0a\\x2f");
        assert_eq!(mangle(b"a\\x20b"), "a\\x20b");
        let every: Vec<u8> = (1..=255).collect();
        assert_eq!(&*unmangle(mangle(&every).as_bytes()), every.as_slice());
        assert_eq!(&*unmangle(b"\\x2"), b"\\x2");
        assert_eq!(&*unmangle(b"\\xzz\\x41"), b"\\xzzA");
    }

    #[test]
    fn an_lvm_name_splits_at_single_dashes() {
        let parts = |a: &str, b: &str, c: &str| (a.to_string(), b.to_string(), c.to_string());
        assert_eq!(lvm("vg-lv"), parts("vg", "lv", ""));
        assert_eq!(lvm("my--vg-my--lv-tpool"), parts("my-vg", "my-lv", "tpool"));
        assert_eq!(lvm("vg"), parts("vg", "", ""));
        assert_eq!(lvm("vg-"), parts("vg-", "", ""));
        assert_eq!(lvm("vg-lv-"), parts("vg", "lv-", ""));
        assert_eq!(lvm("a---b"), parts("a-", "b", ""));
        assert_eq!(lvm("-lv"), parts("", "lv", ""));
        assert_eq!(lvm("vg-lv-a-b"), parts("vg", "lv", "a"));
    }

    #[test]
    fn only_whole_volumes_are_visible() {
        let visible = |name: &str| DmName::new(name).unwrap().lvm_parts().is_visible();
        assert!(visible("vg-lv") && visible("vg-_vorigin"));
        assert!(!visible("vg-lv-real") && !visible("vg-pvmove0") && !visible("vg-lv_vorigin") && !visible("vg"));
    }

    #[test]
    fn a_uuid_tells_its_owner() {
        let ids = "a".repeat(32) + &"b".repeat(32);
        let text = format!("LVM-{ids}-tpool");
        let lvm = uuid(&text);
        assert_eq!(lvm.owner(), Owner::Lvm { vg: "a".repeat(32).as_bytes(), lv: "b".repeat(32).as_bytes(), suffix: Some(b"tpool") });
        let payload = "0123456789abcdef0123456789abcdef";
        let luks = uuid(&format!("CRYPT-LUKS2-{payload}-my-disk"));
        assert_eq!(luks.owner(), Owner::Crypt { kind: b"LUKS2", payload: Some(payload.as_bytes()), name: b"my-disk" });
        assert_eq!(uuid("CRYPT-PLAIN-a-b").owner(), Owner::Crypt { kind: b"PLAIN", payload: None, name: b"a-b" });
        assert_eq!(uuid("mpath-3600a-1").owner(), Owner::Multipath { wwid: b"3600a-1" });
        assert_eq!(uuid("part2-mpath-36").owner(), Owner::Partition { number: 2, parent: b"mpath-36" });
        assert_eq!(uuid("part1-devnode_7:0_x").owner(), Owner::Partition { number: 1, parent: b"devnode_7:0_x" });
        assert_eq!(uuid("partx-y").owner(), Owner::Other { subsystem: b"partx" });
        assert_eq!(uuid("LVM-short").owner(), Owner::Other { subsystem: b"LVM" });
        assert_eq!(uuid("plain").owner(), Owner::Unknown);
    }

    #[test]
    fn uuids_get_the_dashes_that_their_tools_print() {
        assert_eq!(dashed_uuid(b"0123456789abcdef0123456789abcdef"), b"01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(dashed_lvm_uuid(b"WOWcbsuJMhXzlHZOlUlcWdGBfYm352SI"), b"WOWcbs-uJMh-XzlH-ZOlU-lcWd-GBfY-m352SI");
        assert_eq!(dashed_lvm_uuid(b"short"), b"short");
    }

    #[test]
    fn known_subsystems_have_their_peoples_names_and_unknown_ones_stay() {
        for (text, name) in [("CRYPT-TEMP-x", "cryptsetup"), ("part1-x", "kpartx"), ("stratis-1-private-x", "Stratis"), ("ACME-1", "ACME")]
        {
            assert_eq!(uuid(text).subsystem().as_deref(), Some(name));
        }
        assert_eq!(uuid("plain").subsystem(), None);
    }

    #[test]
    fn a_name_the_kernel_would_refuse_is_refused() {
        for bytes in [&b""[..], &[b'a'; 128], b"a/b", b"a\0b"] {
            assert!(DmName::new(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(DmName::new(&b"a\\x20b"[..]).unwrap().unmangled().unwrap(), b"a b");
        assert_eq!(DmName::new(&b"a b"[..]).unwrap().unmangled(), None);
        assert!(DmUuid::new([b'a'; 128]).is_err());
        assert_eq!(DmUuid::new("").unwrap(), None);
    }
}
