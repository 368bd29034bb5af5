//! A device's record in the udev database, `/run/udev/data/bMAJOR:MINOR`: what udevd decided when it last processed an
//! event of the device.
//!
//! The format is systemd's own (sd-device, `device_update_db` and `handle_db_line`), kept stable for running systems:
//! one `X:value` a line.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::cookie::Flags;
use crate::devno::Devno;
use crate::error::{Error, Result};

/// What udevd knows of one device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// `S:` the links that lead to the device, relative to /dev.
    pub links: Vec<Vec<u8>>,
    /// `L:` of two devices that claim a link, the one with the higher priority gets it.
    pub link_priority: i32,
    /// `I:` when udevd first finished with the device, in microseconds since boot.
    pub initialized_usec: Option<u64>,
    /// `E:` properties, in the order of the record.
    pub properties: Vec<(Vec<u8>, Vec<u8>)>,
    /// `G:` tags.
    pub tags: Vec<Vec<u8>>,
}

impl Record {
    /// Reads the record of a block device under udev's runtime directory (`/run/udev`). `None`: udevd has not
    /// processed the device.
    pub fn read(run_udev: &Path, devno: Devno) -> Result<Option<Self>> {
        let path = run_udev.join(format!("data/b{devno}"));
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(Self::parse(&bytes))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(Error::io("read", path.as_os_str().as_bytes(), &error)),
        }
    }

    /// Takes from the bytes what is well formed and skips every other line: newer versions of udev write kinds of
    /// lines that this program need not know.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut record = Record::default();
        for line in bytes.split(|&b| b == b'\n') {
            let [kind, b':', value @ ..] = line else { continue };
            match kind {
                b'S' if !value.is_empty() => record.links.push(value.to_vec()),
                b'G' if !value.is_empty() => record.tags.push(value.to_vec()),
                b'L' => record.link_priority = number(value).unwrap_or(record.link_priority),
                b'I' => record.initialized_usec = number(value).or(record.initialized_usec),
                b'E' => {
                    if let Some(at) = value.iter().position(|&b| b == b'=').filter(|&at| at > 0)
                        && let (key, [b'=', value @ ..]) = value.split_at(at)
                    {
                        record.properties.push((key.to_vec(), value.to_vec()));
                    }
                }
                _ => {}
            }
        }
        record
    }

    /// Writes the record in udev's own format, as one that outlives the change from the initramfs to the real root
    /// (the sticky bit, udev's `db_persist`). Replaced by rename: no reader sees half of it.
    pub fn write(&self, run_udev: &Path, devno: Devno) -> Result<()> {
        let directory = run_udev.join("data");
        let path = directory.join(format!("b{devno}"));
        let temporary = directory.join(format!(".#b{devno}"));
        let written = fs::create_dir_all(&directory)
            .and_then(|()| fs::write(&temporary, self.to_bytes()))
            .and_then(|()| fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1644)))
            .and_then(|()| fs::rename(&temporary, &path));
        written.map_err(|error| Error::io("write", path.as_os_str().as_bytes(), &error))
    }

    /// Removes a device's record; there may be none.
    pub fn remove(run_udev: &Path, devno: Devno) -> Result<()> {
        let path = run_udev.join(format!("data/b{devno}"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path.as_os_str().as_bytes(), &error)),
            _ => Ok(()),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut line = |kind: &[u8], value: &[u8]| {
            // Whatever a label holds, it must not become a second line.
            if !value.iter().any(|b| matches!(b, b'\n' | b'\r' | 0)) {
                out.extend([kind, b":", value, b"\n"].concat());
            }
        };
        self.links.iter().for_each(|link| line(b"S", link));
        if self.link_priority != 0 {
            line(b"L", self.link_priority.to_string().as_bytes());
        }
        if let Some(usec) = self.initialized_usec {
            line(b"I", usec.to_string().as_bytes());
        }
        self.properties.iter().for_each(|(key, value)| line(b"E", &[key, &b"="[..], value].concat()));
        self.tags.iter().for_each(|tag| line(b"G", tag));
        line(b"V", b"1");
        out
    }

    /// A property's value; the last one counts, as in udev.
    pub fn property(&self, key: &str) -> Option<&[u8]> {
        self.properties.iter().rev().find(|(found, _)| found == key.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The flags of the device's last event that a tool caused.
    pub fn flags(&self) -> Flags {
        Flags::from_properties(|name| self.property(name) == Some(b"1"))
    }
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As systemd 252 wrote it for a volume of LVM.
    const LVM: &[u8] = include_bytes!("../tests/fixtures/info/udev-lvm");

    #[test]
    fn a_recorded_record_is_read_whole() {
        let record = Record::parse(LVM);
        let links: Vec<_> = record.links.iter().map(|link| String::from_utf8_lossy(link)).collect();
        assert_eq!(
            links,
            [
                "disk/by-id/dm-uuid-LVM-WOWcbsuJMhXzlHZOlUlcWdGBfYm352SI9na9LbPYG3cX4ZaoyvbSwycQ92sxk0ud",
                "mapper/vg-my--data",
                "disk/by-id/dm-name-vg-my--data",
                "vg/my-data",
                "disk/by-uuid/01234567-89ab-cdef-0123-456789abcdef"
            ]
        );
        assert_eq!(record.property("DM_VG_NAME"), Some(&b"vg"[..]));
        assert_eq!(record.property("DM_LV_LAYER"), Some(&b""[..]));
        assert_eq!(record.property("NOTHING"), None);
        assert_eq!(record.initialized_usec, Some(8_202_980));
        assert_eq!(record.tags, [b"systemd".to_vec()]);
        assert!(record.flags().contains(Flags::PRIMARY_SOURCE));
    }

    #[test]
    fn malformed_lines_are_skipped_and_the_others_kept() {
        let record =
            Record::parse(b"S:a\n\nS:\nS\nE:\nE:=x\nE:nothing\nE:A=b=c\nE:A=\xff\nI:x\nI:-1\nL:-100\nL:99999999999\nZ:1\nI:7\n:\nS:end");
        assert_eq!(record.links, [b"a".to_vec(), b"end".to_vec()]);
        assert_eq!(record.properties, [(b"A".to_vec(), b"b=c".to_vec()), (b"A".to_vec(), b"\xff".to_vec())]);
        assert_eq!(record.property("A"), Some(&b"\xff"[..]));
        assert_eq!((record.initialized_usec, record.link_priority), (Some(7), -100));
        assert_eq!(Record::parse(b""), Record::default());
    }

    #[test]
    fn any_bytes_are_a_record_of_what_is_well_formed_in_them() {
        for end in 0..LVM.len() {
            let cut = Record::parse(LVM.get(..end).unwrap());
            assert!(cut.links.len() <= 5 && cut.properties.len() <= 64);
        }
        let every: Vec<u8> = (0..=255).cycle().take(4096).collect();
        assert!(Record::parse(&every).links.is_empty());
    }

    #[test]
    fn a_record_that_is_written_is_read_back() {
        let run = tempfile::tempdir().unwrap();
        let devno = Devno::new(253, 9).unwrap();
        let record = Record::parse(LVM);
        record.write(run.path(), devno).unwrap();
        assert_eq!(Record::read(run.path(), devno).unwrap(), Some(record));
        let mode = fs::metadata(run.path().join("data/b253:9")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o1644);
        assert_eq!(fs::read_dir(run.path().join("data")).unwrap().count(), 1, "no temporary file stays");
        Record::remove(run.path(), devno).unwrap();
        Record::remove(run.path(), devno).unwrap();
        assert_eq!(Record::read(run.path(), devno).unwrap(), None);
    }

    #[test]
    fn a_missing_record_is_none_and_an_unreadable_one_an_error() {
        let root = tempfile::tempdir().unwrap();
        let devno = Devno::new(253, 0).unwrap();
        assert_eq!(Record::read(root.path(), devno).unwrap(), None);
        fs::create_dir_all(root.path().join("data/b253:0")).unwrap();
        assert!(Record::read(root.path(), devno).is_err(), "a directory is no record");
        fs::remove_dir(root.path().join("data/b253:0")).unwrap();
        fs::write(root.path().join("data/b253:0"), "S:mapper/x\n").unwrap();
        assert_eq!(Record::read(root.path(), devno).unwrap().unwrap().links, [b"mapper/x".to_vec()]);
    }
}
