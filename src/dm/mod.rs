//! Queries to device-mapper through its control node. The block device itself is never opened.
#![allow(unsafe_code)]

pub mod reply;
pub mod sysfs;

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::devno::Devno;
use crate::error::{Error, Result};
use crate::name::{DmName, DmUuid};
use reply::Reply;

use dmhelper_core::dm::request::{self, put};
pub use dmhelper_core::dm::{Details, Device, abi};

use abi::*;

/// One range of a device's live table. Sectors are of 512 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// First sector.
    pub start: u64,
    /// Number of sectors.
    pub length: u64,
    /// The target's type: `linear`, `crypt`, `thin-pool`, …
    pub kind: Vec<u8>,
    /// Its status line; may be empty, never holds a key.
    pub status: Vec<u8>,
}

/// One device of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub devno: Devno,
    /// Its name.
    pub name: DmName,
    /// The number of its last event, where the kernel's interface is at least 4.37.
    pub event_number: Option<u32>,
    /// Its UUID, where it has one and the kernel's interface is at least 4.45.
    pub uuid: Option<DmUuid>,
}

/// What came of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The device is gone.
    Done {
        /// Whether the kernel has sent an event, with the caller's cookie.
        announced: bool,
    },
    /// It is open: the kernel removes it when it is closed, and sends an event without a cookie then.
    Deferred,
    /// It is open, and nothing was done.
    Busy,
    /// There was no such device any more.
    Gone,
}

/// Any of a device's three identities.
#[derive(Debug, Clone, Copy)]
pub enum Selector<'a> {
    /// By number.
    Devno(Devno),
    /// By name, as the kernel holds it.
    Name(&'a DmName),
    /// By UUID, as the kernel holds it.
    Uuid(&'a DmUuid),
}

impl Selector<'_> {
    fn text(&self) -> Vec<u8> {
        match self {
            Selector::Devno(devno) => devno.to_string().into_bytes(),
            Selector::Name(name) => name.as_bytes().to_vec(),
            Selector::Uuid(uuid) => uuid.as_bytes().to_vec(),
        }
    }
}

/// What most replies fit into (bytes).
const REPLY: usize = 16 << 10;
/// A reply larger than this is not believed (bytes).
const REPLY_MAX: usize = 256 << 20;

/// The open control node.
#[derive(Debug)]
pub struct Control(File);

impl Control {
    /// Opens `DEV/mapper/control`; makes the node first where it is missing and the caller may.
    pub fn open(dev: &Path, proc: &Path) -> Result<Self> {
        let path = dev.join("mapper/control");
        let open = || OpenOptions::new().read(true).write(true).open(&path);
        let opened = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_control_node(&path, proc)?;
                open()
            }
            other => other,
        };
        opened.map(Control).map_err(|error| {
            let failed = Error::io("open", path.as_os_str().as_encoded_bytes(), &error);
            match error.raw_os_error() {
                Some(libc::ENODEV | libc::ENXIO) => failed.advise("is device-mapper in the kernel? try `modprobe dm-mod`"),
                _ => failed,
            }
        })
    }

    /// Name, UUID, number and state of a device, in one ioctl.
    pub fn device(&self, selector: Selector<'_>) -> Result<Device> {
        let mut buffer = [0; size_of::<dm_ioctl>()];
        self.ask(DM_DEV_STATUS_CMD, selector, 0, &mut buffer)?;
        Ok(Reply::new(&buffer)?.device()?)
    }

    /// The live table's targets with their status lines; nothing is flushed for it.
    pub fn targets(&self, devno: Devno) -> Result<Vec<Target>> {
        self.ask_growing(REPLY, DM_TABLE_STATUS_CMD, Some(Selector::Devno(devno)), reply::targets)
    }

    /// The devices that the live table uses: none, one or many.
    pub fn dependencies(&self, devno: Devno) -> Result<Vec<Devno>> {
        self.ask_growing(REPLY, DM_TABLE_DEPS_CMD, Some(Selector::Devno(devno)), reply::dependencies)
    }

    /// Removes a device that nobody has open; one that is open is removed later if `deferred`. `event_nr` is what a
    /// [transaction](crate::cookie::transaction) announced, or 0.
    ///
    /// It may have to wait for requests on their way to the disk.
    pub fn remove(&self, devno: Devno, deferred: bool, event_nr: u32) -> Result<Removal> {
        let mut buffer = [0; size_of::<dm_ioctl>()];
        request::select(&mut buffer, devno);
        put(&mut buffer, offset_of!(dm_ioctl, event_nr), &event_nr.to_ne_bytes());
        match self.call(DM_DEV_REMOVE_CMD, if deferred { DM_DEFERRED_REMOVE } else { 0 }, &mut buffer) {
            Ok(()) => reply::removal(Reply::new(&buffer)?),
            Err(Errno::EBUSY) => Ok(Removal::Busy),
            Err(Errno::ENXIO) => Ok(Removal::Gone),
            Err(errno) => Err(Error::os("remove", devno.to_string(), errno)),
        }
    }

    /// All devices, in one ioctl.
    pub fn list(&self) -> Result<Vec<Listed>> {
        self.ask_growing(REPLY, DM_LIST_DEVICES_CMD, None, reply::list)
    }

    /// The same for those who have a megabyte to spare: one ioctl for ten thousand devices with short names, or for five
    /// thousand volumes of LVM. Also tells whether the kernel lists UUIDs at all.
    pub fn list_many(&self) -> Result<(Vec<Listed>, bool)> {
        self.ask_growing(1 << 20, DM_LIST_DEVICES_CMD, None, |reply| Ok((reply::list(reply)?, reply::lists_uuids(reply)?)))
    }

    /// Arms poll(2) on the control node: it becomes readable with the next creation, removal, rename or target's event
    /// of any device. Arm first, then look. `false` before interface 4.37, where polling would return at once for ever.
    pub fn arm_poll(&self) -> Result<bool> {
        match self.call(DM_DEV_ARM_POLL_CMD, 0, &mut [0; size_of::<dm_ioctl>()]) {
            Ok(()) => Ok(true),
            Err(Errno::ENOTTY) => Ok(false),
            Err(errno) => Err(Error::os("listen", "device-mapper events", errno)),
        }
    }

    /// Sleeps until the device's event number is another one than this; the way of kernels that cannot poll. There is
    /// no deadline: for a thread that may be left behind.
    pub fn wait_for_event(&self, devno: Devno, event_number: u32) -> Result<()> {
        let mut buffer = [0; size_of::<dm_ioctl>()];
        put(&mut buffer, offset_of!(dm_ioctl, event_nr), &event_number.to_ne_bytes());
        self.ask(DM_DEV_WAIT_CMD, Selector::Devno(devno), DM_NOFLUSH_FLAG, &mut buffer)
    }

    /// Asks with ever larger buffers until the reply fits.
    fn ask_growing<T>(&self, mut size: usize, command: u8, of: Option<Selector<'_>>, read: impl Fn(Reply<'_>) -> Result<T>) -> Result<T> {
        while size <= REPLY_MAX {
            let mut buffer = vec![0; size];
            match of {
                Some(selector) => self.ask(command, selector, DM_NOFLUSH_FLAG, &mut buffer)?,
                // Kernels that can list UUIDs do so only when asked; older ones ignore the flag here.
                None => self.call(command, DM_UUID_FLAG, &mut buffer).map_err(|e| Error::os("list", "devices", e))?,
            }
            let reply = Reply::new(&buffer)?;
            if !reply.is_truncated()? {
                return read(reply);
            }
            size *= 4;
        }
        Err(Error::malformed("device-mapper", "reply", "larger than 256 MiB"))
    }

    fn ask(&self, command: u8, selector: Selector<'_>, flags: u32, buffer: &mut [u8]) -> Result<()> {
        match selector {
            Selector::Devno(devno) => request::select(buffer, devno),
            Selector::Name(name) => put(buffer, offset_of!(dm_ioctl, name), name.as_bytes()),
            Selector::Uuid(uuid) => put(buffer, offset_of!(dm_ioctl, uuid), uuid.as_bytes()),
        }
        self.call(command, flags, buffer).map_err(|errno| match errno {
            Errno::ENXIO => Error::not_found("query", selector.text()),
            other => Error::os("query", selector.text(), other),
        })
    }

    fn call(&self, command: u8, flags: u32, buffer: &mut [u8]) -> nix::Result<()> {
        request::begin(buffer, flags);
        let number = nix::request_code_readwrite!(DM_IOCTL, command, size_of::<dm_ioctl>());
        loop {
            // SAFETY: `#define DM_…  _IOWR(0xfd, …, struct dm_ioctl)`: the kernel reads the head and then reads and
            // writes at most `data_size` bytes from the pointer, which is this buffer's own length.
            match Errno::result(unsafe { libc::ioctl(self.0.as_raw_fd(), number, buffer.as_mut_ptr()) }) {
                Err(Errno::EINTR) => {}
                other => return other.map(drop),
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes the control node from the misc device number that /proc/misc shows.
fn make_control_node(path: &Path, proc: &Path) -> Result<()> {
    let misc = proc.join("misc");
    let table = std::fs::read_to_string(&misc).map_err(|e| Error::io("read", misc.as_os_str().as_encoded_bytes(), &e))?;
    let number = table.lines().filter_map(|line| line.trim().split_once(' ')).find(|(_, name)| *name == "device-mapper");
    let minor = number.and_then(|(minor, _)| minor.parse().ok()).ok_or_else(|| {
        Error::os("open", path.as_os_str().as_encoded_bytes(), Errno::ENOENT)
            .advise("device-mapper is not in this kernel: try `modprobe dm-mod`")
    })?;
    let failed = |e: io::Error| Error::io("create", path.as_os_str().as_encoded_bytes(), &e);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    const MISC_MAJOR: u64 = 10;
    match mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), makedev(MISC_MAJOR, minor)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(failed(errno.into())),
    }
}
