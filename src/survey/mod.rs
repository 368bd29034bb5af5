//! Every device-mapper device with what stands below and above it: one ioctl for the list, then for what is asked of each
//! the control node, or sysfs for those who may not use it, procfs and the udev database. No block device is opened, and
//! no more than one file at a time.

pub mod graph;
pub mod status;
mod subject;
mod usage;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::devno::Devno;
use crate::dm::listing::Listing;
use crate::dm::sysfs::{self, Sysfs};
use crate::dm::{Control, Listed};
use crate::error::{Cause, Error, Result};
use crate::info::find::Meaning;
use crate::info::{Related, Roots, Sources};
use crate::name::DmUuid;
use crate::udevdb::Record;

pub use subject::{Subject, steady};
pub use usage::{Mount, mounts};

/// Who uses which device, by its number.
#[derive(Debug, Default)]
struct Usage {
    mounts: BTreeMap<Devno, Vec<Mount>>,
    swaps: Vec<Devno>,
}

/// All devices, and where to ask about each.
#[derive(Debug)]
pub struct Survey<'a> {
    roots: &'a Roots,
    sources: Sources<'a>,
    usage: OnceCell<Usage>,
    troubles: RefCell<Vec<Error>>,
}

impl<'a> Survey<'a> {
    /// Lists all devices, in one ioctl; from sysfs for those who may not use the control node.
    ///
    /// # Errors
    /// No device-mapper in the kernel, or a control node that does not answer.
    pub fn open(roots: &'a Roots) -> Result<Self> {
        Ok(Self::new(roots, Sources::open(roots)?))
    }

    /// From sources that are open.
    pub fn new(roots: &'a Roots, sources: Sources<'a>) -> Self {
        Self { roots, sources, usage: OnceCell::new(), troubles: RefCell::default() }
    }

    /// All device-mapper devices, by name.
    pub fn devices(&self) -> &Listing {
        self.sources.devices()
    }

    /// One of them by its number.
    pub fn listed(&self, devno: Devno) -> Option<Listed> {
        self.sources.listed(devno)
    }

    /// Where the system shows itself.
    pub fn roots(&self) -> &'a Roots {
        self.roots
    }

    /// The sources of what is known of one device.
    pub fn sources(&self) -> &Sources<'a> {
        &self.sources
    }

    /// The control node, for those who may use it.
    pub fn control(&self) -> Option<&Control> {
        self.sources.control()
    }

    /// A block device's directory in sysfs.
    pub fn sysfs(&self, devno: Devno) -> Sysfs {
        Sysfs::new(&self.roots.sys, devno)
    }

    /// The device that a word means: as `dmhelper info` takes it, else a kernel's name such as `dm-3` or `sda`.
    ///
    /// # Errors
    /// A usage error when it fits several; else not found.
    pub fn find(&self, word: &str) -> Result<Devno> {
        let error = match self.sources.find(word, Meaning::Any) {
            Ok(devno) => return Ok(devno),
            Err(error) if *error.cause() == Cause::NotFound => error,
            Err(error) => return Err(error),
        };
        self.number_of_kernel_name(word.as_bytes()).filter(|devno| self.listed(*devno).is_some()).ok_or(error)
    }

    /// The block device of any kind that a word means: as [`Survey::find`], else by number or path.
    ///
    /// # Errors
    /// As [`Survey::find`].
    pub fn find_block(&self, word: &str) -> Result<Devno> {
        let error = match self.find(word) {
            Ok(devno) => return Ok(devno),
            Err(error) if *error.cause() == Cause::NotFound => error,
            Err(error) => return Err(error),
        };
        let by_number = word.parse().ok().filter(|devno| self.sysfs(*devno).kernel_name().is_some());
        by_number.or_else(|| self.number_of_kernel_name(word.as_bytes())).or_else(|| self.number_of_path(word.as_bytes())).ok_or(error)
    }

    /// The name of any block device: device-mapper's, or the kernel's for devices of other kinds.
    pub fn relate(&self, devno: Devno) -> Related {
        self.sources.relate(devno)
    }

    /// A link that leads to it and stays the same: below /dev/mapper, or for devices of other kinds below
    /// /dev/disk/by-id, one that tells model and serial number if there is one.
    pub fn stable_link(&self, devno: Devno) -> Option<Vec<u8>> {
        let record = self.record(devno)?;
        let folder: &[u8] = if self.listed(devno).is_some() { b"mapper/" } else { b"disk/by-id/" };
        let is_opaque = |link: &[u8]| {
            [&b"wwn-"[..], b"nvme-eui.", b"nvme-uuid.", b"lvm-pv-uuid-", b"md-uuid-"].iter().any(|opaque| link.starts_with(opaque))
        };
        let names = record.links().filter_map(|link| link.strip_prefix(folder));
        let name = names.min_by_key(|name| (is_opaque(name), name.to_vec()))?;
        Some([b"/dev/", folder, name].concat())
    }

    /// The devices it uses: for a device-mapper device what its tables name, else sysfs's `slaves` and the disk that a
    /// partition lies on.
    pub fn below(&self, devno: Devno) -> Vec<Devno> {
        if let Some(control) = self.control().filter(|_| self.listed(devno).is_some()) {
            return match control.uses(devno) {
                Ok((_, uses)) => uses,
                Err(error) => {
                    if *error.cause() != Cause::NotFound {
                        self.trouble(error);
                    }
                    Vec::new()
                }
            };
        }
        let sysfs = self.sysfs(devno);
        let mut below = sysfs.dependencies();
        below.extend(sysfs.disk());
        below
    }

    /// The devices that use it: sysfs's `holders`, and a disk's partitions.
    pub fn above(&self, devno: Devno) -> Vec<Devno> {
        let sysfs = self.sysfs(devno);
        let mut above = sysfs.dependants();
        above.extend(sysfs.partitions());
        above
    }

    /// Devices of other kinds that lie on some (md, bcache): few, and not in device-mapper's own list.
    pub fn others_above(&self) -> Vec<Devno> {
        let others = sysfs::numbers_but(&self.roots.sys, |name| name.starts_with(b"dm-"));
        others.into_iter().filter(|devno| self.listed(*devno).is_none() && !self.sysfs(*devno).dependencies().is_empty()).collect()
    }

    /// The file systems on it that are mounted in this process's mount namespace.
    pub fn mounts(&self, devno: Devno) -> &[Mount] {
        self.usage().mounts.get(&devno).map_or(&[], Vec::as_slice)
    }

    /// The block devices whose file systems are mounted there, hidden ones included.
    pub fn mounted_at(&self, at: &[u8]) -> Vec<Devno> {
        let there = |mounts: &[Mount]| mounts.iter().any(|mount| mount.at == at);
        self.usage().mounts.iter().filter(|(_, mounts)| there(mounts)).map(|(devno, _)| *devno).collect()
    }

    /// Whether the kernel swaps to it.
    pub fn is_swap(&self, devno: Devno) -> bool {
        self.usage().swaps.contains(&devno)
    }

    /// Its record in the udev database; `None` where there is none, where it cannot be read, and where it is that of
    /// another device which had the same number before.
    pub fn record(&self, devno: Devno) -> Option<Record> {
        self.record_of(devno, self.listed(devno).and_then(|device| device.uuid).as_ref())
    }

    /// The same of a device that has this UUID: it may not be the one that was listed.
    fn record_of(&self, devno: Devno, uuid: Option<&DmUuid>) -> Option<Record> {
        match Record::read(&self.roots.run_udev, devno) {
            Ok(record) => record.filter(|record| self.is_its_own(devno, uuid, record)),
            Err(error) => {
                self.trouble(error);
                None
            }
        }
    }

    /// Whether a record is this device's own. A UUID, once set, never changes, and no two devices have one sequence
    /// number; a name may have changed since.
    fn is_its_own(&self, devno: Devno, uuid: Option<&DmUuid>, record: &Record) -> bool {
        let recorded = |key| record.property(key).filter(|value| !value.is_empty());
        let other_uuid = recorded("DM_UUID").is_some_and(|recorded| uuid.is_none_or(|uuid| uuid.as_bytes() != recorded));
        let sequence = || recorded("DISKSEQ").and_then(|text| str::from_utf8(text).ok()?.parse::<u64>().ok());
        let other_sequence = || sequence().zip(self.sysfs(devno).diskseq()).is_some_and(|(recorded, now)| recorded != now);
        !other_uuid && !other_sequence()
    }

    /// Keeps what could not be read.
    fn trouble(&self, error: Error) {
        self.troubles.borrow_mut().push(error);
    }

    /// What could not be read so far, each of which left something blank.
    pub fn take_troubles(&self) -> Vec<Error> {
        self.troubles.take()
    }

    /// The number of the block device that the kernel calls so (`dm-3`, `sda1`).
    pub fn number_of_kernel_name(&self, name: &[u8]) -> Option<Devno> {
        // One component of a path, and none that leads elsewhere.
        if name.is_empty() || name.starts_with(b".") || name.contains(&b'/') || name.contains(&0) {
            return None;
        }
        let directory = self.roots.sys.join("class/block").join(std::ffi::OsStr::from_bytes(name));
        fs::read_to_string(directory.join("dev")).ok()?.trim().parse().ok()
    }

    fn usage(&self) -> &Usage {
        self.usage.get_or_init(|| {
            let mut usage = Usage::default();
            for mount in usage::mounts(&self.read_proc("self/mountinfo")) {
                let (major, minor) = mount.major_minor;
                let devno = if major == 0 { self.number_of_path(&mount.source) } else { Devno::new(major, minor) };
                if let Some(devno) = devno {
                    usage.mounts.entry(devno).or_default().push(mount);
                }
            }
            usage.swaps = usage::swaps(&self.read_proc("swaps")).iter().filter_map(|path| self.number_of_path(path)).collect();
            usage
        })
    }

    fn read_proc(&self, name: &str) -> Vec<u8> {
        let path = self.roots.proc.join(name);
        fs::read(&path).unwrap_or_else(|error| {
            self.trouble(Error::io("read", path.as_os_str().as_bytes(), &error));
            Vec::new()
        })
    }

    /// The block device behind a path under /dev: by the node, else by the name in the path.
    fn number_of_path(&self, path: &[u8]) -> Option<Devno> {
        let inside = path.strip_prefix(b"/dev/");
        let real = inside.map_or_else(
            || Path::new(std::ffi::OsStr::from_bytes(path)).to_path_buf(),
            |inside| self.roots.dev.join(std::ffi::OsStr::from_bytes(inside)),
        );
        if let Ok(file) = fs::metadata(&real) {
            return file.file_type().is_block_device().then(|| Devno::from_rdev(file.rdev()));
        }
        let inside = inside?;
        match inside.strip_prefix(b"mapper/") {
            Some(name) => self.devices().iter().find(|device| device.name.as_bytes() == name).map(|device| device.devno),
            None => self.number_of_kernel_name(inside),
        }
    }
}

#[cfg(test)]
mod tests;
