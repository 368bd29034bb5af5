//! Events as they come: the kernel's own, and those that udevd sends on when it has processed them.

pub mod monitor;
pub mod parse;
pub mod queued;
pub mod socket;

pub use parse::Uevent;

/// Who sent an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The kernel: it has happened.
    Kernel,
    /// udevd: its rules have run, links are made.
    Udev,
}
