//! Events that could not be acted on because memory or another limit was short: they are acted on again, so that no link
//! is missing until something else happens to the device.

use super::engine::Engine;
use super::handover::Held;
use crate::error::{Error, Result};
use crate::retry::Retry;
use crate::uevent::Uevent;

/// Events that are kept at most; beyond them, all devices are looked at.
const EVENTS_MAX: usize = 512;

/// What is left to do.
#[derive(Debug, Default)]
pub struct Unsettled {
    /// In the order in which they came.
    events: Vec<Held>,
    /// Whether all devices are to be looked at.
    pub(super) all: bool,
    pub(super) retry: Retry,
}

impl Unsettled {
    /// Acts on an event, after those of its device that are left. What fails is kept; what succeeds makes older ones void.
    pub(super) fn handle(&mut self, engine: &mut Engine, event: Uevent<'_>) -> Result<()> {
        let devno = event.devno();
        let is_its = |held: &Held| held.devno == devno;
        if self.events.iter().any(is_its) {
            self.redo(engine, is_its);
        }
        let handled = handle(engine, event);
        if handled.as_ref().is_err_and(Error::may_pass) {
            match self.events.len() < EVENTS_MAX {
                true => self.events.push(Held::new(event, false)),
                false => self.all = true,
            }
            self.retry.begin();
        } else {
            self.events.retain(|held| !is_its(held));
        }
        handled
    }

    /// All devices have to be looked at.
    pub(super) fn look_again(&mut self) {
        self.all = true;
        self.retry.begin();
    }

    /// Acts again on all events.
    pub(super) fn redo_all(&mut self, engine: &mut Engine) {
        self.redo(engine, |_| true);
    }

    /// Notes that an attempt was made.
    pub(super) fn attempted(&mut self) {
        self.retry.done(self.all || !self.events.is_empty());
    }

    fn redo(&mut self, engine: &mut Engine, which: impl Fn(&Held) -> bool) {
        self.events.retain(|held| {
            let Some(event) = held.event().filter(|_| which(held)) else { return !which(held) };
            match engine.handle(event) {
                Err(error) if error.may_pass() => return true,
                Err(error) => log::error!("{error}"),
                Ok(()) => held.devno.iter().for_each(|devno| log::warn!("listen: {devno}: an event that failed is done")),
            }
            false
        });
    }
}

/// Acts on an event; once more at once if it fails for want of something that may be there by now: the tool that waits
/// finds its link then.
pub(super) fn handle(engine: &mut Engine, event: Uevent<'_>) -> Result<()> {
    match engine.handle(event) {
        Err(error) if error.may_pass() => engine.handle(event),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::rc::Rc;

    use nix::errno::Errno;

    use super::super::engine::Places;
    use super::*;
    use crate::dm::Device;
    use crate::name::DmName;

    #[test]
    fn an_event_that_failed_is_done_later_as_it_was_unless_another_one_made_it_void() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places { dev: directory.path().join("dev"), run_udev: directory.path().join("run"), prober: None };
        fs::create_dir(&places.dev).unwrap();
        (0..2).for_each(|minor| fs::write(places.dev.join(format!("dm-{minor}")), "").unwrap());
        let failures = Rc::new(Cell::new(0));
        let left = Rc::clone(&failures);
        let query = move |devno| match left.get() {
            0 => Ok(Device { devno, name: DmName::new("one").unwrap(), uuid: None, suspended: false, details: None }),
            n => {
                left.set(n - 1);
                Err(Error::os("query", "253:0", Errno::ENOMEM))
            }
        };
        let mut engine = Engine::new(places, Box::new(query));
        let mut unsettled = Unsettled::default();
        let link = directory.path().join("dev/mapper/one");
        let event = |action: &str, more: &str| {
            format!(
                "{action}@/devices/virtual/block/dm-0\0ACTION={action}\0DEVPATH=/devices/virtual/block/dm-0\0SUBSYSTEM=block\0\
                 MAJOR=253\0MINOR=0\0{more}"
            )
        };
        let activated = event("change", "DM_COOKIE=4194311\0"); // PRIMARY_SOURCE
        let mut handle =
            |unsettled: &mut Unsettled, text: &str| unsettled.handle(&mut engine, Uevent::from_kernel(text.as_bytes()).unwrap());
        failures.set(1);
        assert!(handle(&mut unsettled, &activated).is_ok() && link.is_symlink(), "tried again at once");
        handle(&mut unsettled, &event("remove", "")).unwrap();
        failures.set(2);
        assert!(handle(&mut unsettled, &activated).is_err() && !link.is_symlink());
        assert!(unsettled.retry.next().is_some());
        handle(&mut unsettled, &event("remove", "")).unwrap();
        assert!(unsettled.events.is_empty() && !link.is_symlink(), "the device is gone");
        failures.set(2);
        assert!(handle(&mut unsettled, &activated).is_err());
        failures.set(1);
        unsettled.redo_all(&mut engine);
        unsettled.attempted();
        assert!(unsettled.retry.next().is_some() && !link.is_symlink());
        unsettled.redo_all(&mut engine);
        unsettled.attempted();
        assert!(unsettled.retry.next().is_none() && link.is_symlink());
        let record = fs::read_to_string(directory.path().join("run/data/b253:0")).unwrap();
        assert!(record.contains("E:DM_UDEV_PRIMARY_SOURCE_FLAG=1\n") && record.contains("E:DM_ACTIVATION=1\n"), "{record}");
    }
}
