//! One removal: done, or only rehearsed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::Planned;
use super::targets::Ties;
use crate::cookie::Flags;
use crate::cookie::transaction::{Outcome, Transaction};
use crate::deadline::Timeout;
use crate::devno::Devno;
use crate::dm::{Control, Device, Listed, Removal, Selector};
use crate::error::{Cause, Error, Result};
use crate::info::Roots;
use crate::survey::Survey;
use crate::udevd::Udevd;

/// How to remove.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The kernel is to remove a device that is open when it is closed.
    pub deferred: bool,
    /// Also what is included only, and loses what is in memory alone.
    pub volatile: bool,
    /// How long to try, and then how long to wait for udevd.
    pub timeout: Timeout,
    /// Change nothing, and find out what would become of each.
    pub rehearse: bool,
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It was gone before.
    Vanished,
    Detached,
    Deferred,
    /// Something keeps it.
    Kept,
}

/// What is known of a device before the try.
enum Look {
    Vanished,
    /// Something would be lost.
    Kept,
    /// Nothing would be lost now, nor `later`.
    Free {
        now: Box<Device>,
        later: bool,
    },
}

/// Who removes.
pub(super) struct Remover<'a> {
    pub(super) control: Control,
    survey: &'a Survey<'a>,
    options: Options,
    synchronisation: Synchronisation,
    rehearsed: Rehearsed,
}

/// What is gone in a rehearsal.
#[derive(Debug, Default)]
pub(super) struct Rehearsed {
    gone: BTreeSet<Devno>,
    /// How often those have the others open.
    closed: BTreeMap<Devno, i32>,
}

impl Rehearsed {
    pub(super) fn is_gone(&self, devno: Devno) -> bool {
        self.gone.contains(&devno)
    }

    /// How often a device is still open.
    pub(super) fn open_count(&self, device: &Device) -> Option<i32> {
        Some(device.details?.open_count - self.closed.get(&device.devno).copied().unwrap_or_default())
    }
}

impl<'a> Remover<'a> {
    pub(super) fn new(survey: &'a Survey<'a>, options: Options) -> Result<Self> {
        let roots = survey.roots();
        let control = Control::open(&roots.dev, &roots.proc).map_err(|error| error.during("detach"))?;
        let synchronisation = if options.rehearse { Synchronisation::default() } else { Synchronisation::begin(roots) };
        Ok(Self { control, survey, options, synchronisation, rehearsed: Rehearsed::default() })
    }

    pub(super) fn rehearsed(&self) -> &Rehearsed {
        &self.rehearsed
    }

    /// Whether what is only in memory may be lost with this one.
    pub(super) fn may_lose(&self, planned: &Planned) -> bool {
        self.options.volatile || planned.named
    }

    /// Removes a device if its number is still its own, and if nothing is lost by it.
    pub(super) fn attempt(&mut self, planned: &Planned) -> Result<Attempt> {
        let (now, deferred) = match self.look(planned).map_err(|error| error.during("detach"))? {
            Look::Vanished => return Ok(Attempt::Vanished),
            Look::Kept => return Ok(Attempt::Kept),
            Look::Free { now, later } => (now, self.options.deferred && later),
        };
        if self.options.rehearse {
            return self.rehearse(&now, deferred);
        }
        let device = &planned.device;
        Ok(match remove(&self.control, device, deferred, &mut self.synchronisation)? {
            Removal::Busy => Attempt::Kept,
            Removal::Gone => Attempt::Vanished,
            Removal::Deferred => Attempt::Deferred,
            Removal::Done { .. } => {
                self.synchronisation.clean_up(self.survey.roots(), device);
                Attempt::Detached
            }
        })
    }

    fn look(&self, planned: &Planned) -> Result<Look> {
        let device = &planned.device;
        let Some((_, targets)) = its_own(device, self.control.status(device.devno), |(now, _)| now)? else { return Ok(Look::Vanished) };
        let ties = match Ties::of(self.survey, &self.control, device.devno, &targets) {
            Err(error) if *error.cause() == Cause::NotFound => return Ok(Look::Vanished),
            ties => ties?,
        };
        let written = ties.unknown.is_some() || ties.writers.iter().any(|(writer, _)| !self.rehearsed.is_gone(*writer));
        if written || (ties.memory.is_some() && !self.may_lose(planned)) {
            return Ok(Look::Kept);
        }
        // The number may have become another's while others were asked.
        let now = its_own(device, self.control.device(Selector::Devno(device.devno)), |now| now)?;
        Ok(now.map_or(Look::Vanished, |now| Look::Free { now: Box::new(now), later: !Ties::only_now(&targets) }))
    }

    fn rehearse(&mut self, now: &Device, deferred: bool) -> Result<Attempt> {
        if self.rehearsed.open_count(now).is_some_and(|count| count > 0) {
            return Ok(if deferred { Attempt::Deferred } else { Attempt::Kept });
        }
        self.rehearsed.gone.insert(now.devno);
        for lower in self.control.uses(now.devno).map_err(|error| error.during("detach"))?.1 {
            *self.rehearsed.closed.entry(lower).or_default() += 1;
        }
        Ok(Attempt::Detached)
    }

    /// Waits until udevd is done with the removals.
    pub(super) fn finish(self) -> Result<()> {
        self.synchronisation.wait(self.options.timeout)
    }
}

/// An answer about the number of a device, if the number is still its own; `None` if it is gone.
fn its_own<T>(device: &Listed, answer: Result<T>, now: impl Fn(&T) -> &Device) -> Result<Option<T>> {
    match answer {
        Ok(answer) if device.is(now(&answer)) => Ok(Some(answer)),
        // One that was renamed is the same by its UUID; without one nobody can tell.
        Ok(answer) if now(&answer).uuid.is_some() && now(&answer).uuid == device.uuid => Ok(Some(answer)),
        Ok(_) => Ok(None),
        Err(error) if *error.cause() == Cause::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a device by its UUID, or else by its name: the number may become another's between the question and the
/// removal.
fn remove(control: &Control, device: &Listed, deferred: bool, synchronisation: &mut Synchronisation) -> Result<Removal> {
    let event_nr = synchronisation.expect()?;
    let selector = device.uuid.as_ref().map_or(Selector::Name(&device.name), Selector::Uuid);
    let removal = control.remove(selector, deferred, event_nr).map_err(|error| error.during("detach"));
    if !matches!(removal, Ok(Removal::Done { announced: true })) {
        synchronisation.retract()?;
    }
    removal
}

/// With whoever processes the events of removals, if anybody does.
#[derive(Default)]
struct Synchronisation {
    /// `None` where no udevd runs.
    transaction: Option<Transaction>,
}

impl Synchronisation {
    fn begin(roots: &Roots) -> Self {
        let udevd = !Udevd::is_absent_from(&roots.run_udev, &roots.proc);
        let begun = udevd.then(Transaction::begin).transpose();
        let transaction = begun.unwrap_or_else(|error| {
            // Removing is what was asked for; that udevd is done with it, is not known then.
            log::warn!("{error}");
            None
        });
        Self { transaction }
    }

    fn expect(&mut self) -> Result<u32> {
        self.transaction.as_mut().map_or(Ok(0), |transaction| transaction.expect_event(Flags::default()))
    }

    fn retract(&mut self) -> Result<()> {
        self.transaction.as_mut().map_or(Ok(()), Transaction::retract_event)
    }

    /// Where nobody manages /dev the node that a tool made there is in the way of the next device of this name.
    fn clean_up(&self, roots: &Roots, device: &Listed) {
        let node = str::from_utf8(device.name.as_bytes()).ok().filter(|name| !matches!(*name, "." | ".." | "control"));
        let Some(path) = node.filter(|_| self.transaction.is_none()).map(|name| roots.dev.join("mapper").join(name)) else { return };
        let its_own = |file: fs::Metadata| file.file_type().is_block_device() && Devno::from_rdev(file.rdev()) == device.devno;
        if path.symlink_metadata().is_ok_and(its_own) {
            let _ = fs::remove_file(path);
        }
    }

    fn wait(self, timeout: Timeout) -> Result<()> {
        let Some(transaction) = self.transaction else { return Ok(()) };
        let cookie = transaction.cookie().to_string();
        match transaction.wait(timeout.deadline())? {
            Outcome::Complete | Outcome::Removed => Ok(()),
            Outcome::TimedOut(transaction) => {
                let missing = transaction.missing()?;
                // Dropped, it is removed: whoever completes it later finds nothing, which is no error.
                Err(Error::timed_out(
                    "wait for cookie",
                    cookie,
                    format!("udevd has not processed {missing} removal{} after {timeout}", if missing == 1 { "" } else { "s" }),
                ))
            }
        }
    }
}
