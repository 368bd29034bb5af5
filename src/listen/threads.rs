//! The way of kernels before interface 4.37 to wait for a device-mapper event.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::devno::Devno;
use crate::dm::Control;
use crate::error::{Error, Result};
use crate::info::Roots;

/// Threads that sleep in DM_DEV_WAIT, for kernels whose control node cannot be polled. The ioctl has no deadline: they
/// are left behind when the program ends.
pub(super) struct EventThreads {
    /// The control node cannot be polled.
    pub(super) needed: bool,
    /// Readable when an event came.
    pub(super) awake: UnixStream,
    waker: UnixStream,
    started: BTreeSet<(Devno, u32)>,
}

impl EventThreads {
    pub(super) fn new() -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("wait for", "events", &error);
        let (awake, waker) = UnixStream::pair().map_err(failed)?;
        awake.set_nonblocking(true).map_err(failed)?;
        Ok(Self { needed: false, awake, waker, started: BTreeSet::new() })
    }

    /// Sees to it that a thread waits for the event after this one.
    pub(super) fn expect(&mut self, roots: &Roots, devno: Devno, event_number: u32) -> Result<()> {
        if !self.needed || !self.started.insert((devno, event_number)) {
            return Ok(());
        }
        let (dev, proc) = (roots.dev.clone(), roots.proc.clone());
        let failed = |error: std::io::Error| Error::spawn("start", "a thread", &error);
        let mut waker = self.waker.try_clone().map_err(failed)?;
        let wait = move || {
            // A failure wakes as well: what it means, the next look tells.
            let _ = Control::open(&dev, &proc).and_then(|control| control.wait_for_event(devno, event_number));
            let _ = waker.write_all(b".");
        };
        std::thread::Builder::new().spawn(wait).map(drop).map_err(failed)
    }

    /// Takes note of all wake-ups.
    pub(super) fn drain(&mut self) {
        let mut bytes = [0; 64];
        while self.awake.read(&mut bytes).is_ok_and(|read| read > 0) {}
    }
}
