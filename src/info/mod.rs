//! All that is known of a device, gathered once: what `dmhelper info` shows.
//!
//! Three sources: the control node (root), sysfs and the udev database (everybody). The block device is never opened.

pub mod find;
mod model;
mod roots;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::devno::Devno;
use crate::dm::listing::Listing;
use crate::dm::sysfs::{self, Sysfs};
use crate::dm::{self, Control, Device, Listed, Target};
use crate::error::{Cause, Error, Result};
use crate::name::{DmName, DmUuid, Owner};
use crate::text::printable;
use crate::udevd::Udevd;
use crate::udevdb::Record;
use find::Meaning;

pub use model::{Info, Related, State};
pub use roots::Roots;

/// How often facts are gathered again because the device changed its identity meanwhile.
pub(crate) const ATTEMPTS: usize = 4;

/// All devices as everybody may see them.
///
/// # Errors
/// No device-mapper in the kernel: root is told the same.
fn unprivileged(roots: &Roots) -> Result<Listing> {
    dm::require_driver(&roots.dev, &roots.proc)?;
    Ok(sysfs::list(&roots.sys))
}

/// The opened sources, and a list of all devices to name the neighbours of one.
#[derive(Debug)]
pub struct Sources<'a> {
    roots: &'a Roots,
    /// `None` for those who may not use it.
    control: Option<Control>,
    devices: Listing,
    /// Where in the list a number stands, by number; made when it is first asked for.
    places: OnceCell<Vec<(Devno, usize)>>,
    /// Devices that are not in the list: few, with many devices on each.
    others: RefCell<BTreeMap<Devno, Related>>,
    /// Whether a udevd processes events, or may; found out when it is first asked for, as that may read of every process.
    udevd: OnceCell<bool>,
}

impl<'a> Sources<'a> {
    /// Opens the control node and lists all devices in one ioctl; from sysfs for those who may not.
    ///
    /// # Errors
    /// No device-mapper in the kernel, or a control node that does not answer.
    pub fn open(roots: &'a Roots) -> Result<Self> {
        let expected = sysfs::virtual_devices(&roots.sys);
        let asked = Control::open(&roots.dev, &roots.proc).and_then(|control| Ok((control.list_about(expected)?, control)));
        let (mut devices, control) = match asked {
            Ok(((devices, true), control)) => (devices, Some(control)),
            // Kernels older than interface 4.45 list no UUIDs, but sysfs has them.
            Ok(((devices, false), control)) => {
                let uuid = |devno| Sysfs::new(&roots.sys, devno).device().ok().and_then(|device| device.uuid);
                (devices.iter().map(|device| Listed { uuid: uuid(device.devno), ..device }).collect(), Some(control))
            }
            Err(error) if *error.cause() == Cause::Denied => (unprivileged(roots)?, None),
            Err(error) => return Err(error),
        };
        devices.sort();
        Ok(Self { roots, control, devices, places: OnceCell::new(), others: RefCell::default(), udevd: OnceCell::new() })
    }

    /// Who may not find out is told by the records alone.
    fn udevd(&self) -> bool {
        *self.udevd.get_or_init(|| !Udevd::is_absent_from(&self.roots.run_udev, &self.roots.proc))
    }

    /// Whether the control node answers: without it some facts stay unknown.
    pub fn is_privileged(&self) -> bool {
        self.control.is_some()
    }

    /// The control node, for those who may use it.
    pub fn control(&self) -> Option<&Control> {
        self.control.as_ref()
    }

    /// All devices, by name.
    pub fn devices(&self) -> &Listing {
        &self.devices
    }

    /// One of them by its number.
    pub fn listed(&self, devno: Devno) -> Option<Listed> {
        let places = self.places.get_or_init(|| {
            let mut places: Vec<_> = self.devices.devnos().enumerate().map(|(place, devno)| (devno, place)).collect();
            places.sort();
            places
        });
        let at = places.binary_search_by_key(&devno, |place| place.0).ok()?;
        self.devices.get(places.get(at)?.1)
    }

    /// The device that a word means; one that begins with `/`, `./` or `../` is a path.
    pub fn find(&self, word: &str, meaning: Meaning) -> Result<Devno> {
        let is_path = ["/", "./", "../"].iter().any(|start| word.starts_with(start));
        if meaning == Meaning::Any && is_path {
            let devno = self.stat(word)?;
            return match self.listed(devno) {
                Some(_) => Ok(devno),
                None => Err(self.explain(Error::not_found("info", word), word, Some(devno))),
            };
        }
        find::find(&self.devices, word, meaning).map_err(|error| match error.cause() {
            Cause::NotFound => self.explain(error, word, word.parse().ok()),
            _ => error,
        })
    }

    /// Why a device that the caller knows of was not found, where that can be told.
    fn explain(&self, error: Error, word: &str, devno: Option<Devno>) -> Error {
        if let Some((devno, name)) = devno.and_then(|devno| Some((devno, self.foreign_name(devno)?))) {
            return error.advise(format!("{devno} is {}, a block device of another kind", printable(&name)));
        }
        let path = self.roots.dev.join(word);
        if path.metadata().is_ok_and(|file| file.file_type().is_block_device()) {
            return error.advise(format!("there is a {}", printable(path.as_os_str().as_encoded_bytes())));
        }
        if self.is_privileged() { error } else { error.advise("devices without a table are shown to root only") }
    }

    /// All that is known of a device, all of it of one and the same: a number may be another device's by the time it is
    /// looked at again.
    pub fn gather(&self, devno: Devno) -> Result<Info> {
        for _ in 0..ATTEMPTS {
            let (before, info) = self.look(devno)?;
            if before.is_same(&info.device) {
                return Ok(info);
            }
        }
        Err(Error::malformed("query", devno.to_string(), "another device has this number at each look").advise("try again"))
    }

    /// Whose the number was at first, and what was found after that; whose it was at last is the found device.
    fn look(&self, devno: Devno) -> Result<(Device, Info)> {
        let sysfs = Sysfs::new(&self.roots.sys, devno);
        let (before, mut dependencies) = match &self.control {
            Some(control) => control.dependencies(devno)?,
            None => (sysfs.device()?, sysfs.dependencies()),
        };
        dependencies.sort();
        let (diskseq, dependants) = (sysfs.diskseq(), sysfs.dependants());
        // The control node tells them as well.
        let (size, read_only) = if self.is_privileged() { (None, None) } else { (sysfs.size(), sysfs.read_only()) };
        let udev = Record::read(&self.roots.run_udev, devno)?;
        let (device, targets) = match &self.control {
            Some(control) => control.status(devno).map(|(device, targets)| (device, Some(targets)))?,
            None => (sysfs.device()?, None),
        };
        let info = Info {
            size: targets.as_ref().map(|targets| Target::end(targets).unwrap_or(0)).or(size),
            read_only: device.details.map(|details| details.read_only).or(read_only),
            diskseq,
            dependencies: dependencies.into_iter().map(|other| self.relate(other)).collect(),
            dependants: dependants.into_iter().map(|other| self.relate(other)).collect(),
            parent: device.uuid.as_ref().and_then(|uuid| self.parent(uuid)),
            udev,
            udevd: self.udevd(),
            device,
            targets,
        };
        Ok((before, info))
    }

    /// The number behind a path.
    fn stat(&self, path: &str) -> Result<Devno> {
        match std::fs::metadata(path) {
            Ok(file) if file.file_type().is_block_device() => Ok(Devno::from_rdev(file.rdev())),
            Ok(_) => Err(Error::usage("info", path, "not a block device")),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                let name = Path::new(path).strip_prefix(self.roots.dev.join("mapper")).ok().and_then(Path::to_str);
                let node_missing = name.is_some_and(|name| find::find(&self.devices, name, Meaning::Name).is_ok());
                Err(Error::not_found("info", path).advise(match name {
                    Some(name) if node_missing => {
                        format!("the path is missing, the device is there: dmhelper info --name {}", quoted(name))
                    }
                    _ => "there is no such path".to_string(),
                }))
            }
            Err(error) => Err(Error::io("info", path, &error)),
        }
    }

    /// The kernel's name of a block device that is not device-mapper's.
    fn foreign_name(&self, devno: Devno) -> Option<Vec<u8>> {
        Some(self.relate(devno)).filter(|other| !other.device_mapper)?.name
    }

    /// A neighbour's name: device-mapper's, or the kernel's for devices of other kinds.
    pub fn relate(&self, devno: Devno) -> Related {
        let named = |name: &DmName| Related { devno, name: Some(name.as_bytes().to_vec()), device_mapper: true };
        let other = || {
            let sysfs = Sysfs::new(&self.roots.sys, devno);
            // One that is younger than the list is still not named `dm-N`.
            sysfs.device().map(|device| named(&device.name)).unwrap_or_else(|_| {
                let device_mapper = sysfs.is_device_mapper();
                Related { devno, name: sysfs.kernel_name().filter(|_| !device_mapper), device_mapper }
            })
        };
        match self.listed(devno) {
            Some(device) => named(&device.name),
            None => self.others.borrow_mut().entry(devno).or_insert_with(other).clone(),
        }
    }

    /// The device that a partition's UUID says it lies on: by its UUID, or by its number for devices without one.
    fn parent(&self, uuid: &DmUuid) -> Option<Related> {
        let Owner::Partition { parent, .. } = uuid.owner() else { return None };
        let by_uuid = self.devices.iter().find(|device| device.uuid.as_ref().is_some_and(|uuid| uuid.as_bytes() == parent));
        let by_number = || {
            let number = str::from_utf8(parent).ok()?.strip_prefix("devnode_")?;
            number.split('_').next()?.parse().ok()
        };
        Some(self.relate(by_uuid.map(|device| device.devno).or_else(by_number)?))
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"#+-.:=@_".contains(&b)) && !word.starts_with('#');
    if plain { word.to_string() } else { format!("'{}'", printable(word.as_bytes())) }
}

#[cfg(test)]
pub(crate) mod system;
#[cfg(test)]
mod tests;
