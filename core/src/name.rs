//! Names and UUIDs of device-mapper devices: LVM's three parts, and what a UUID tells about its owner.

mod uuid;

use core::fmt;

use arrayvec::ArrayVec;

use crate::dm::abi::{DM_NAME_LEN, DM_UUID_LEN};
use crate::fault::{Fault, Result};
use crate::text::Printable;

pub use uuid::{DmUuid, Owner, dashed_lvm_uuid, dashed_uuid};

/// Longest name in bytes: `DM_NAME_LEN` less the terminating NUL.
pub const NAME_MAX: usize = DM_NAME_LEN - 1;
/// Longest UUID in bytes: `DM_UUID_LEN` less the terminating NUL.
pub const UUID_MAX: usize = DM_UUID_LEN - 1;

/// The bytes of a name, of a UUID or of a part of one. They stand in place: whoever must not need memory while he handles
/// an event may still ask for a device.
pub type Bytes = ArrayVec<u8, UUID_MAX>;

/// A device's name, as the kernel holds it: 1 to 127 bytes without NUL and `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DmName(Bytes);

impl DmName {
    /// From the kernel's bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        Self::check(bytes)?;
        // It is not too long for it.
        Ok(Self(Bytes::try_from(bytes).unwrap_or_default()))
    }

    /// Whether these can be a name.
    ///
    /// # Errors
    /// A usage fault that says why not.
    pub fn check(bytes: &[u8]) -> Result<()> {
        let fault = match bytes {
            [] => "empty",
            long if long.len() > NAME_MAX => "longer than 127 bytes",
            name if name.iter().any(|byte| matches!(byte, 0 | b'/')) => "holds a NUL or a slash",
            _ => return Ok(()),
        };
        Err(Fault::usage("name", bytes, fault))
    }

    /// The kernel's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
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
        Printable(&self.0).fmt(f)
    }
}

/// What LVM put into a device's name: `VG-LV[-LAYER]`, each `-` of a part doubled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LvmParts {
    /// Volume group.
    pub vg: Bytes,
    /// Logical volume.
    pub lv: Bytes,
    /// Layer of an internal device (`real`, `cow`, `tpool`); empty for a volume itself.
    pub layer: Bytes,
}

impl LvmParts {
    /// Whether a person may use the volume: group and volume have names, there is no layer, and it is not one of LVM's helpers.
    pub fn is_visible(&self) -> bool {
        // The patterns `pvmove?*` and `?*_vorigin` of LVM's rules: something must stand in the place of `?*`.
        let helper = [self.lv.strip_prefix(b"pvmove"), self.lv.strip_suffix(b"_vorigin")].iter().flatten().any(|rest| !rest.is_empty());
        is_file_name(&self.vg) && is_file_name(&self.lv) && self.layer.is_empty() && !helper
    }

    /// Whether the name is one that LVM keeps for parts of volumes.
    pub fn is_reserved(&self) -> bool {
        self.whole().len() < self.lv.len()
    }

    /// The volume's own name, without what LVM adds for its parts: `pool` of `pool_tdata` and of `pool_tmeta_rimage_0`.
    pub fn whole(&self) -> &[u8] {
        let at = |word: &&[u8]| self.lv.windows(word.len()).position(|window| window == *word);
        let end = LVM_RESERVED.iter().filter_map(at).min();
        end.and_then(|end| self.lv.get(..end)).unwrap_or(&self.lv)
    }
}

/// Whether a file can have the name, or what udev leaves of it: nothing but dots and blanks, which udev takes off the ends, would be
/// no file, or another directory. The rules' pattern is `*[! .]*`.
pub fn is_file_name(name: &[u8]) -> bool {
    name.iter().any(|byte| !matches!(byte, b' ' | b'.')) && !name.contains(&b'/')
}

/// What lvm(8) forbids in the names of volumes because its own parts of volumes are called so.
const LVM_RESERVED: [&[u8]; 14] = [
    b"_cdata",
    b"_cmeta",
    b"_corig",
    b"_iorig",
    b"_mimage",
    b"_mlog",
    b"_pmspare",
    b"_rimage",
    b"_rmeta",
    b"_tdata",
    b"_tmeta",
    b"_vdata",
    b"_vorigin",
    b"_wcorig",
];

/// One part of an LVM name with its doubled dashes undone, and what follows the single dash that ends it.
/// A dash at the very end is literal.
fn lvm_part(bytes: &[u8]) -> (Bytes, &[u8]) {
    let mut part = Bytes::new(); // No longer than the name it is of.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    fn lvm(name: &str) -> (String, String, String) {
        let parts = DmName::new(name).unwrap().lvm_parts();
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        (text(parts.vg), text(parts.lv), text(parts.layer))
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
        assert!(visible("vg-lv") && visible("vg-_vorigin") && visible("vg-pvmove"));
        assert!(!visible("vg-.. ") && !visible(" -lv") && !visible("..-lv") && visible("vg..-.lv"));
        assert!(!visible("vg-lv-real") && !visible("vg-pvmove0") && !visible("vg-lv_vorigin") && !visible("vg"));
    }

    #[test]
    fn lvms_own_names_are_known() {
        let reserved = |name: &str| DmName::new(name).unwrap().lvm_parts().is_reserved();
        assert!(reserved("vg-raid_rimage_0") && reserved("vg-pool_tdata") && reserved("vg-lvol0_pmspare"));
        let whole = |name: &str| DmName::new(name).unwrap().lvm_parts().whole().to_vec();
        assert_eq!((whole("vg-pool_tmeta_rimage_0"), whole("vg-pool")), (b"pool".to_vec(), b"pool".to_vec()));
        assert!(!reserved("vg-pool") && !reserved("a--b_tdata-x") && !reserved("vg-rimage"));
    }

    #[test]
    fn a_name_the_kernel_would_refuse_is_refused() {
        for bytes in [&b""[..], &[b'a'; 128], b"a/b", b"a\0b"] {
            assert!(DmName::new(bytes).is_err(), "{bytes:?}");
        }
        assert!(DmUuid::new([b'a'; 129]).is_err());
        let longest = (DmName::new([b'a'; 127]).unwrap(), DmUuid::new([b'a'; 128]).unwrap().unwrap());
        assert_eq!((longest.0.as_bytes().len(), longest.1.as_bytes().len()), (NAME_MAX, UUID_MAX));
        assert_eq!(DmUuid::new("").unwrap(), None);
    }
}
