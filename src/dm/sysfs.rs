//! What sysfs tells about a device-mapper device to everybody, without the control node.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::listing::Listing;
use super::{Device, Listed};
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
            suspended: self.suspended() == Some(true),
            details: None,
        })
    }

    /// Whether the number is a device-mapper device's, even one that is going away and has lost its name.
    pub fn is_device_mapper(&self) -> bool {
        self.directory.join("dm").is_dir()
    }

    /// The kernel's own name of a block device (`sda`, `loop0`); `None` where there is no such device.
    pub fn kernel_name(&self) -> Option<Vec<u8>> {
        let target = fs::read_link(&self.directory).ok()?;
        // sysfs writes `!` where the name has a slash.
        let slash = |byte: &u8| if *byte == b'!' { b'/' } else { *byte };
        Some(target.file_name()?.as_bytes().iter().map(slash).collect())
    }

    /// Whether requests wait for a resume; `None` for what is no device-mapper device.
    pub fn suspended(&self) -> Option<bool> {
        self.number("dm/suspended").map(|value| value != 0)
    }

    /// How far the kernel reads ahead, in sectors of 512 bytes.
    pub fn read_ahead(&self) -> Option<u64> {
        self.number("queue/read_ahead_kb")?.checked_mul(2)
    }

    /// Size in sectors of 512 bytes: 0 without a live table.
    pub fn size(&self) -> Option<u64> {
        self.number("size")
    }

    /// The kernel's number of this very instance of the device (Linux 5.15 and newer).
    pub fn diskseq(&self) -> Option<u64> {
        self.number("diskseq")
    }

    /// Whether writes are refused.
    pub fn read_only(&self) -> Option<bool> {
        self.number("ro").map(|value| value != 0)
    }

    /// The devices this one uses (`slaves`).
    pub fn dependencies(&self) -> Vec<Devno> {
        self.related("slaves")
    }

    /// The devices that use this one (`holders`).
    pub fn dependants(&self) -> Vec<Devno> {
        self.related("holders")
    }

    /// The same where one that is missing would do harm.
    ///
    /// # Errors
    /// Some that could not be read, or a device that sysfs does not show: there may be others.
    pub fn all_dependants(&self) -> Result<Vec<Devno>> {
        let directory = self.directory.join("holders");
        let numbers = || -> io::Result<Vec<Devno>> {
            let paths: Vec<_> = fs::read_dir(&directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
            let numbers = paths.iter().map(|path| number_of(path)).collect::<io::Result<Vec<_>>>()?;
            Ok(numbers.into_iter().flatten().collect())
        };
        numbers().map_err(|error| Error::io("read", directory.as_os_str().as_bytes(), &error))
    }

    /// The disk that a partition lies on; `None` for what is no partition.
    pub fn disk(&self) -> Option<Devno> {
        self.attribute("partition").ok()??;
        // The link leads into the disk's own directory.
        self.parsed("../dev")
    }

    /// The partitions of a disk.
    pub fn partitions(&self) -> Vec<Devno> {
        let Ok(link) = fs::read_link(&self.directory) else { return Vec::new() };
        let Some(disk) = link.file_name() else { return Vec::new() };
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        // Folders named after the disk: `sda1`, `nvme0n1p1`.
        let named = entries.filter(|entry| entry.file_name().as_bytes().strip_prefix(disk.as_bytes()).is_some_and(|rest| !rest.is_empty()));
        let partitions = named.map(|entry| entry.path()).filter(|path| path.join("partition").exists());
        let mut numbers: Vec<_> = partitions.filter_map(|path| number_in(&path)).collect();
        numbers.sort();
        numbers
    }

    /// An attribute that is text for people, without white space at its ends: `loop/backing_file`, `device/model`.
    pub fn text(&self, name: &str) -> Option<Vec<u8>> {
        Some(self.attribute(name).ok()??.trim_ascii().to_vec()).filter(|text| !text.is_empty())
    }

    /// Everything of an attribute but its final newline; `None` where there is none.
    fn attribute(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.directory.join(name);
        match read(&path) {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(Error::io("read", path.as_os_str().as_bytes(), &error)),
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.parsed(name)
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        str::from_utf8(&self.attribute(name).ok()??).ok()?.trim().parse().ok()
    }

    fn related(&self, direction: &str) -> Vec<Devno> {
        numbers_in(&self.directory.join(direction))
    }
}

/// About how many device-mapper devices there are: the folder of all block devices without hardware counts its folders in
/// its links. 0 where it cannot be told.
pub fn virtual_devices(sys: &Path) -> usize {
    let folder = fs::metadata(sys.join("devices/virtual/block"));
    folder.ok().and_then(|folder| folder.nlink().try_into().ok()).unwrap_or(0)
}

/// Every device-mapper device that sysfs shows. Since Linux 5.16 it shows none that never had a table.
pub fn list(sys: &Path) -> Listing {
    let device = |devno| Sysfs::new(sys, devno).device().ok();
    let listed = |Device { devno, name, uuid, .. }| Listed { devno, name, uuid, event_number: None };
    numbers_in(&sys.join("class/block")).into_iter().filter_map(device).map(listed).collect()
}

/// Every block device but those whose kernel's name is one of these.
pub fn numbers_but(sys: &Path, left_out: impl Fn(&[u8]) -> bool) -> Vec<Devno> {
    let entries = fs::read_dir(sys.join("class/block")).into_iter().flatten().flatten();
    let wanted = entries.filter(|entry| !left_out(entry.file_name().as_bytes()));
    wanted.filter_map(|entry| number_in(&entry.path())).collect()
}

/// The device numbers of a directory of links to block devices; what vanishes meanwhile is left out.
fn numbers_in(directory: &Path) -> Vec<Devno> {
    let number = |entry: io::Result<fs::DirEntry>| number_in(&entry.ok()?.path());
    let mut numbers: Vec<_> = fs::read_dir(directory).into_iter().flatten().filter_map(number).collect();
    numbers.sort();
    numbers
}

fn number_in(directory: &Path) -> Option<Devno> {
    number_of(directory).ok()?
}

/// The number of a device by its directory; `None` if it has vanished.
fn number_of(directory: &Path) -> io::Result<Option<Devno>> {
    match read(&directory.join("dev")) {
        Ok(number) => {
            let number = str::from_utf8(&number).ok().and_then(|number| number.trim().parse().ok());
            number.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Everything of an attribute but its final newline. The kernel gives all of it, a page at most, to the first read: a
/// listing of thousands of devices need not ask for its length before and for more after it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    const PAGE: usize = 4096;
    let mut page = [0; PAGE];
    let length = File::open(path)?.read(&mut page)?;
    let value = page.get(..length).unwrap_or_default();
    // The newline is sysfs's; one before it would be the name's own.
    Ok(value.strip_suffix(b"\n").unwrap_or(value).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_dependant_that_cannot_be_read_is_an_error_and_one_that_has_vanished_is_none() {
        let sys = tempfile::tempdir().unwrap();
        let at = |name: &str| sys.path().join(name);
        let base = Sysfs::new(sys.path(), Devno::new(7, 0).unwrap());
        assert!(base.all_dependants().is_err() && base.dependants().is_empty(), "not in sysfs");
        let holders = at("dev/block/7:0/holders");
        fs::create_dir_all(&holders).unwrap();
        assert_eq!(base.all_dependants().unwrap(), []);
        fs::create_dir(at("dm-0")).unwrap();
        fs::write(at("dm-0/dev"), "254:0\n").unwrap();
        symlink(at("dm-0"), holders.join("dm-0")).unwrap();
        symlink(at("dm-1"), holders.join("dm-1")).unwrap();
        assert_eq!(base.all_dependants().unwrap(), [Devno::new(254, 0).unwrap()]);
        symlink("dm-2", holders.join("dm-2")).unwrap(); // ELOOP
        assert!(base.all_dependants().is_err());
        assert_eq!(base.dependants(), [Devno::new(254, 0).unwrap()]);
        fs::remove_file(holders.join("dm-2")).unwrap();
        fs::write(at("dm-0/dev"), "").unwrap();
        assert!(base.all_dependants().is_err(), "no number");
    }
}
