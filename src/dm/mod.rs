//! Queries to device-mapper through its control node. The block device itself is never opened.
#![allow(unsafe_code)]

pub mod listing;
mod node;
pub mod reply;
pub mod sysfs;

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use crate::devno::Devno;
use crate::error::{Error, Result};
use crate::name::{DmName, DmUuid};
use listing::Listing;
use reply::Reply;

use dmhelper_core::dm::request::{self, put};
pub use dmhelper_core::dm::{Details, Device, abi};
pub use node::require_driver;

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

impl Target {
    /// Where the last of a table's ranges ends, which is the device's size, in sectors of 512 bytes; `None` for no table.
    pub fn end(targets: &[Self]) -> Option<u64> {
        targets.iter().map(|target| target.start.saturating_add(target.length)).max()
    }
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

impl Listed {
    /// Whether an answer about its number is still about it, by the same name.
    pub fn is(&self, device: &Device) -> bool {
        self.devno == device.devno && self.name == device.name && self.uuid == device.uuid
    }
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
    fn put(&self, buffer: &mut [u8]) {
        match self {
            Selector::Devno(devno) => request::select(buffer, *devno),
            Selector::Name(name) => put(buffer, offset_of!(dm_ioctl, name), name.as_bytes()),
            Selector::Uuid(uuid) => put(buffer, offset_of!(dm_ioctl, uuid), uuid.as_bytes()),
        }
    }

    fn text(&self) -> Vec<u8> {
        match self {
            Selector::Devno(devno) => devno.to_string().into_bytes(),
            Selector::Name(name) => name.as_bytes().to_vec(),
            Selector::Uuid(uuid) => uuid.as_bytes().to_vec(),
        }
    }
}

/// What most replies fit into (bytes). The kernel reads all of it, and it is asked for once or twice for each of
/// thousands of devices.
const REPLY: usize = 4 << 10;
/// What most volumes of LVM take in a listing (bytes).
const LISTED: usize = 128;
/// A few hundred devices (bytes).
const LISTING: usize = 16 << 10;
/// A reply larger than this is not believed (bytes).
const REPLY_MAX: usize = 256 << 20;

/// A question whose answer's length only the kernel knows.
#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    command: u8,
    of: Option<Selector<'a>>,
    flags: u32,
}

/// Kernels that can list UUIDs do so only when asked; older ones ignore the flag here.
const LIST: Request<'static> = Request { command: DM_LIST_DEVICES_CMD, of: None, flags: DM_UUID_FLAG };

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
                node::make(&path, proc)?;
                open()
            }
            other => other,
        };
        opened.map(Control).map_err(|error| {
            let failed = Error::io("open", path.as_os_str().as_encoded_bytes(), &error);
            match error.raw_os_error() {
                Some(libc::ENODEV | libc::ENXIO) => failed.advise(node::NO_DRIVER),
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

    /// A device, and its live table's targets with their status lines, in one ioctl; nothing is flushed for it.
    pub fn status(&self, devno: Devno) -> Result<(Device, Vec<Target>)> {
        let request = Request { command: DM_TABLE_STATUS_CMD, of: Some(Selector::Devno(devno)), flags: DM_NOFLUSH_FLAG };
        self.ask_growing(REPLY, request, |reply| Ok((reply.device()?, reply::targets(reply)?)))
    }

    /// A device, and its live table's targets with their lines of the table in place of their status, in one ioctl. Some
    /// targets' lines hold keys (crypt): ask only for those that do not.
    pub fn table(&self, devno: Devno) -> Result<(Device, Vec<Target>)> {
        let flags = DM_NOFLUSH_FLAG | DM_STATUS_TABLE_FLAG;
        let request = Request { command: DM_TABLE_STATUS_CMD, of: Some(Selector::Devno(devno)), flags };
        self.ask_growing(REPLY, request, |reply| Ok((reply.device()?, reply::targets(reply)?)))
    }

    /// A device, and the devices that its live table uses: none, one or many.
    pub fn dependencies(&self, devno: Devno) -> Result<(Device, Vec<Devno>)> {
        self.uses_of(devno, 0)
    }

    /// A device, and all that it uses, in one ioctl or two: what its live table is made of, and what a table is made of
    /// that is loaded and waits for a resume. Sysfs's `slaves` are the same. By number, each once. The device is as the
    /// last answer has it: another one, if the number has become its in between.
    pub fn uses(&self, devno: Devno) -> Result<(Device, Vec<Devno>)> {
        let (mut device, mut uses) = self.uses_of(devno, 0)?;
        if device.details.is_some_and(|details| details.inactive_table) {
            let (now, waiting) = self.uses_of(devno, DM_QUERY_INACTIVE_TABLE_FLAG)?;
            device = now;
            uses.extend(waiting);
        }
        uses.sort();
        uses.dedup();
        Ok((device, uses))
    }

    fn uses_of(&self, devno: Devno, flags: u32) -> Result<(Device, Vec<Devno>)> {
        let request = Request { command: DM_TABLE_DEPS_CMD, of: Some(Selector::Devno(devno)), flags };
        self.ask_growing(REPLY, request, |reply| Ok((reply.device()?, reply::dependencies(reply)?)))
    }

    /// Removes a device that nobody has open; one that is open is removed later if `deferred`. `event_nr` is what a
    /// [transaction](crate::cookie::transaction) announced, or 0.
    ///
    /// It may have to wait for requests on their way to the disk.
    pub fn remove(&self, device: Selector<'_>, deferred: bool, event_nr: u32) -> Result<Removal> {
        let mut buffer = [0; size_of::<dm_ioctl>()];
        device.put(&mut buffer);
        put(&mut buffer, offset_of!(dm_ioctl, event_nr), &event_nr.to_ne_bytes());
        match self.call(DM_DEV_REMOVE_CMD, if deferred { DM_DEFERRED_REMOVE } else { 0 }, &mut buffer) {
            Ok(()) => reply::removal(Reply::new(&buffer)?),
            Err(Errno::EBUSY) => Ok(Removal::Busy),
            Err(Errno::ENXIO) => Ok(Removal::Gone),
            Err(errno) => Err(Error::os("remove", device.text(), errno)),
        }
    }

    /// All devices, in one ioctl.
    pub fn list(&self) -> Result<Listing> {
        self.ask_growing(LISTING, LIST, reply::list)
    }

    /// The same in one ioctl for about so many as are expected. Also tells whether the kernel lists UUIDs at all.
    pub fn list_about(&self, expected: usize) -> Result<(Listing, bool)> {
        self.ask_growing(LISTING.saturating_add(expected.saturating_mul(LISTED)), LIST, |reply| {
            Ok((reply::list(reply)?, reply::lists_uuids(reply)?))
        })
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
    fn ask_growing<T>(&self, mut size: usize, request: Request<'_>, read: impl Fn(Reply<'_>) -> Result<T>) -> Result<T> {
        let Request { command, of, flags } = request;
        while size <= REPLY_MAX {
            let mut buffer = vec![0; size];
            match of {
                Some(selector) => self.ask(command, selector, flags, &mut buffer)?,
                None => self.call(command, flags, &mut buffer).map_err(|e| Error::os("list", "devices", e))?,
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
        selector.put(buffer);
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
