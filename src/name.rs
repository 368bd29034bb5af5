//! Names and UUIDs of device-mapper devices, as people and links spell them.

mod mangling;

use std::borrow::Cow;

use crate::text::printable;

pub use dmhelper_core::name::{Bytes, DmName, DmUuid, LvmParts, Owner, dashed_lvm_uuid, dashed_uuid, is_file_name};
pub use mangling::{mangle, unmangle};

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

/// The name that a device's creator meant, when the kernel holds a mangled one.
pub fn unmangled(name: &DmName) -> Option<Vec<u8>> {
    match unmangle(name.as_bytes()) {
        Cow::Owned(bytes) if bytes != name.as_bytes() => Some(bytes),
        _ => None,
    }
}

/// The name for people of who made a device: a known subsystem's, else the UUID's prefix as it stands.
pub fn subsystem(uuid: &DmUuid) -> Option<String> {
    let prefix = match uuid.owner() {
        Owner::Partition { .. } => &b"part"[..],
        _ => uuid.prefix(),
    };
    let known = SUBSYSTEMS.iter().find(|(known, _)| *known == prefix).map(|(_, name)| (*name).to_string());
    (!matches!(uuid.owner(), Owner::Unknown)).then(|| known.unwrap_or_else(|| printable(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_subsystems_have_their_peoples_names_and_unknown_ones_stay() {
        let subsystem = |text: &str| subsystem(&DmUuid::new(text).unwrap().unwrap());
        for (text, name) in [("CRYPT-TEMP-x", "cryptsetup"), ("part1-x", "kpartx"), ("stratis-1-private-x", "Stratis"), ("ACME-1", "ACME")]
        {
            assert_eq!(subsystem(text).as_deref(), Some(name));
        }
        assert_eq!(subsystem("plain"), None);
    }

    #[test]
    fn a_mangled_name_tells_the_one_that_was_meant() {
        assert_eq!(unmangled(&DmName::new(&b"a\\x20b"[..]).unwrap()).unwrap(), b"a b");
        assert_eq!(unmangled(&DmName::new(&b"a b"[..]).unwrap()), None);
    }
}
