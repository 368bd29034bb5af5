//! What is known of one device. Pure.

use crate::devno::Devno;
use crate::dm::{Device, Target};
use crate::name::{DmUuid, Owner};
use crate::udevdb::Record;

/// What a device can be used for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has a table and passes requests on.
    Active,
    /// Requests wait for a resume.
    Suspended,
    /// It never had a table: there is nothing to use.
    NoTable,
    /// Not suspended; whether it has a table, only root learns.
    Unknown,
}

/// Another device, above or below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Its number.
    pub devno: Devno,
    /// Its device-mapper name, or the kernel's name for devices of other kinds.
    pub name: Option<Vec<u8>>,
    /// Whether it is a device-mapper device.
    pub device_mapper: bool,
}

/// What is known of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its identities and state.
    pub device: Device,
    /// Size in sectors of 512 bytes.
    pub size: Option<u64>,
    /// Whether writes are refused.
    pub read_only: Option<bool>,
    /// The kernel's number of this very instance.
    pub diskseq: Option<u64>,
    /// The live table's ranges; only root learns them.
    pub targets: Option<Vec<Target>>,
    /// The devices it uses.
    pub dependencies: Vec<Related>,
    /// The devices that use it.
    pub dependants: Vec<Related>,
    /// The device a partition lies on.
    pub parent: Option<Related>,
    /// Its record in the udev database, once udevd has processed it.
    pub udev: Option<Record>,
    /// Whether a udevd processes events; `false` where provably none does.
    pub udevd: bool,
}

impl Info {
    /// Whether a table is live. Only a device that has one has a size.
    pub fn live_table(&self) -> Option<bool> {
        let sized = || self.size.is_some_and(|size| size > 0).then_some(true);
        self.device.details.map(|details| details.live_table).or_else(sized)
    }

    /// What it can be used for now.
    pub fn state(&self) -> State {
        match self.live_table() {
            _ if self.device.suspended => State::Suspended,
            Some(true) => State::Active,
            Some(false) => State::NoTable,
            None => State::Unknown,
        }
    }

    /// What its UUID tells.
    pub fn owner(&self) -> Owner<'_> {
        self.device.uuid.as_ref().map_or(Owner::Unknown, DmUuid::owner)
    }
}
