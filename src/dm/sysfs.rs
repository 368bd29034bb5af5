//! What sysfs tells about a device-mapper device to everybody, without the control node.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Device;
use crate::devno::Devno;
use crate::error::{Error, Result};
use crate::name::{DmName, DmUuid};

/// One device's directory, found by its number.
#[derive(Debug, Clone)]
pub struct Sysfs {
    devno: Devno,
    directory: PathBuf,
}

impl Sysfs {
    /// The device's directory under a sysfs root (`/sys`).
    pub fn new(sys: &Path, devno: Devno) -> Self {
        Self { devno, directory: sys.join(format!("dev/block/{devno}")) }
    }

    /// Name, UUID and whether it is suspended; the rest stays unknown.
    pub fn device(&self) -> Result<Device> {
        let name = self.attribute("dm/name")?.ok_or_else(|| Error::not_found("query", self.devno.to_string()))?;
        Ok(Device {
            devno: self.devno,
            name: DmName::new(name)?,
            uuid: DmUuid::new(self.attribute("dm/uuid")?.unwrap_or_default())?,
            suspended: self.attribute("dm/suspended")?.is_some_and(|value| value == b"1"),
            details: None,
        })
    }

    /// Size in sectors of 512 bytes: 0 without a live table.
    pub fn size(&self) -> Option<u64> {
        self.number("size")
    }

    /// Whether writes are refused.
    pub fn read_only(&self) -> Option<bool> {
        self.number("ro").map(|value| value != 0)
    }

    /// Numbers and kernel names of the devices this one uses (`slaves`).
    pub fn dependencies(&self) -> Vec<(Devno, Vec<u8>)> {
        self.related("slaves")
    }

    /// Numbers and kernel names of the devices that use this one (`holders`).
    pub fn dependants(&self) -> Vec<(Devno, Vec<u8>)> {
        self.related("holders")
    }

    /// Everything of an attribute but its final newline; `None` where there is none.
    fn attribute(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.directory.join(name);
        match fs::read(&path) {
            Ok(mut value) => {
                // The newline is sysfs's; one before it would be the name's own.
                if value.last() == Some(&b'\n') {
                    value.pop();
                }
                Ok(Some(value))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(Error::io("read", path.as_os_str().as_bytes(), &error)),
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        str::from_utf8(&self.attribute(name).ok()??).ok()?.trim().parse().ok()
    }

    fn related(&self, direction: &str) -> Vec<(Devno, Vec<u8>)> {
        let directory = self.directory.join(direction);
        let mut devices: Vec<_> = fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let name = entry.ok()?.file_name();
                let number = fs::read_to_string(directory.join(&name).join("dev")).ok()?;
                Some((number.trim().parse().ok()?, name.as_bytes().to_vec()))
            })
            .collect();
        devices.sort();
        devices
    }
}
