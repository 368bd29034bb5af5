//! One device-mapper device, and the kernel's words about it.

pub mod abi;
pub mod reply;
pub mod request;

use crate::devno::Devno;
use crate::name::{DmName, DmUuid};

/// A device as one query tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number: constant while it lives.
    pub devno: Devno,
    /// Its name: may change at any time.
    pub name: DmName,
    /// Its UUID: constant, optional.
    pub uuid: Option<DmUuid>,
    /// Whether it is suspended now.
    pub suspended: bool,
    /// What only the control node tells, and so only root learns.
    pub details: Option<Details>,
}

impl Device {
    /// Whether both tell of one device, by one name. A number is another device's as soon as the first one is gone.
    pub fn is_same(&self, other: &Self) -> bool {
        self.devno == other.devno && self.name == other.name && self.uuid == other.uuid
    }
}

/// The part of a device's state that sysfs does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Details {
    /// A table is live: the device can be used.
    pub live_table: bool,
    /// A table is loaded and waits for a resume.
    pub inactive_table: bool,
    /// Writes are refused.
    pub read_only: bool,
    /// It will be removed when its last opener closes it.
    pub deferred_remove: bool,
    /// Suspended by the kernel itself, for another target's sake.
    pub internal_suspend: bool,
    /// How often it is open.
    pub open_count: i32,
    /// The number of its last event.
    pub event_number: u32,
    /// How many ranges its live table has: 0 without one.
    pub segments: u32,
}
