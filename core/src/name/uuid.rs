//! UUIDs, and what each tells about the subsystem that made the device.

use core::fmt;

use super::{Bytes, UUID_MAX};
use crate::fault::{Fault, Result};
use crate::text::Printable;

/// A device's UUID, as the kernel holds it: 1 to 128 bytes without NUL, usually `SUBSYSTEM-…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DmUuid(Bytes);

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

impl DmUuid {
    /// From the kernel's bytes; `None` for a device without a UUID.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Option<Self>> {
        let bytes = bytes.as_ref();
        Self::check(bytes)?;
        // It is not too long for it.
        let uuid = Bytes::try_from(bytes).unwrap_or_default();
        Ok((!uuid.is_empty()).then_some(Self(uuid)))
    }

    /// Whether these can be a UUID, or none.
    ///
    /// # Errors
    /// A usage fault that says why not.
    pub fn check(bytes: &[u8]) -> Result<()> {
        if bytes.len() > UUID_MAX || bytes.contains(&0) {
            return Err(Fault::usage("UUID", bytes, "longer than 128 bytes, or holds a NUL"));
        }
        Ok(())
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
}

impl fmt::Display for DmUuid {
    /// Safe for a terminal, as [`DmName`](super::DmName)'s.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.0).fmt(f)
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
pub fn dashed_uuid(digits: &[u8]) -> Bytes {
    dashed(digits, &[8, 12, 16, 20])
}

/// An LVM UUID of 32 characters with the dashes that `vgs` and `lvs` print; anything else as it is.
pub fn dashed_lvm_uuid(characters: &[u8]) -> Bytes {
    dashed(characters, &[6, 10, 14, 18, 22, 26])
}

fn dashed(characters: &[u8], before: &[usize]) -> Bytes {
    let before = if characters.len() == 32 { before } else { &[] };
    let dash = |index| before.contains(&index).then_some(b'-');
    let dashed = characters.iter().enumerate().flat_map(|(index, character)| dash(index).into_iter().chain([*character]));
    dashed.take(UUID_MAX).collect()
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
    use std::format;

    fn uuid(text: &str) -> DmUuid {
        DmUuid::new(text).unwrap().unwrap()
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
        assert_eq!(dashed_uuid(b"0123456789abcdef0123456789abcdef")[..], *b"01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(dashed_lvm_uuid(b"WOWcbsuJMhXzlHZOlUlcWdGBfYm352SI")[..], *b"WOWcbs-uJMh-XzlH-ZOlU-lcWd-GBfY-m352SI");
        assert_eq!(dashed_lvm_uuid(b"short")[..], *b"short");
    }
}
