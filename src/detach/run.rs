//! One removal after the other, again for a while where somebody has a device open for a moment only.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::{Duration, Instant};

use super::openers::Reasons;
use crate::cookie::Flags;
use crate::cookie::transaction::{Outcome, Transaction};
use crate::deadline::Timeout;
use crate::devno::Devno;
use crate::dm::{Control, Listed, Removal, Selector};
use crate::error::{Cause, Error, Result};
use crate::info::Roots;
use crate::survey::Survey;
use crate::udevd::Udevd;

/// Between two tries: at first about as long as udevd looks at a device's content, then ever longer.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How to remove.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The kernel is to remove a device that is open when it is closed.
    pub deferred: bool,
    /// How long to try, and then how long to wait for udevd.
    pub timeout: Timeout,
}

/// What became of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Detached,
    /// It goes when it is closed.
    Deferred,
}

/// Removes the devices in their order; tells of each that went, and returns an error for each that stays.
pub fn run(roots: &Roots, devices: &[Listed], options: Options, mut tell: impl FnMut(&Listed, Fate)) -> Result<Vec<Error>> {
    let control = Control::open(&roots.dev, &roots.proc).map_err(|error| error.during("detach"))?;
    let mut synchronisation = Synchronisation::begin(roots);
    let deadline = options.timeout.deadline();
    let mut pause = PAUSE;
    let mut failures = Vec::new();
    let mut waiting: Vec<&Listed> = devices.iter().collect();
    while !waiting.is_empty() {
        let mut busy = Vec::new();
        let mut progress = false;
        for device in waiting {
            match remove(&control, device, options.deferred, &mut synchronisation) {
                Ok(Removal::Busy) => busy.push(device),
                Ok(Removal::Gone) => progress = true,
                Ok(Removal::Done { .. }) => {
                    progress = true;
                    synchronisation.clean_up(roots, device);
                    tell(device, Fate::Detached);
                }
                Ok(Removal::Deferred) => tell(device, Fate::Deferred),
                Err(error) => failures.push(error),
            }
        }
        waiting = busy;
        if waiting.is_empty() || progress {
            continue;
        }
        let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let survey = match Survey::open(roots) {
            Ok(survey) => survey,
            Err(error) => {
                failures.push(error.during("detach"));
                break;
            }
        };
        let found: Vec<(Devno, Reasons)> = waiting.iter().map(|device| (device.devno, reasons(&survey, &control, device.devno))).collect();
        // Nothing will change for a device that is mounted, nor for those under it, nor under one that is not to go.
        let mut stuck: Vec<Devno> = found.iter().filter(|(_, reasons)| reasons.last()).map(|(devno, _)| *devno).collect();
        loop {
            let is_stuck = |above: &Devno| stuck.contains(above) || !waiting.iter().any(|device| device.devno == *above);
            let more: Vec<Devno> = found
                .iter()
                .filter(|(devno, reasons)| !stuck.contains(devno) && reasons.dependants.iter().any(|(above, _)| is_stuck(above)))
                .map(|(devno, _)| *devno)
                .collect();
            if more.is_empty() {
                break;
            }
            stuck.extend(more);
        }
        for (devno, reasons) in found.iter().filter(|(devno, _)| over || stuck.contains(devno)) {
            let Some(device) = waiting.iter().find(|device| device.devno == *devno) else { continue };
            failures.push(Error::remains("detach", words(device), reasons.text()));
        }
        waiting.retain(|device| !over && !stuck.contains(&device.devno));
        if !waiting.is_empty() {
            let left = deadline.map_or(PAUSE_MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
    failures.extend(synchronisation.wait(options.timeout).err());
    Ok(failures)
}

/// How a device is called in messages: the bytes are escaped where they are printed.
pub fn words(device: &Listed) -> Vec<u8> {
    [device.name.as_bytes(), format!(" ({})", device.devno).as_bytes()].concat()
}

fn reasons(survey: &Survey<'_>, control: &Control, devno: Devno) -> Reasons {
    let open_count = control.device(Selector::Devno(devno)).ok().and_then(|device| Some(device.details?.open_count));
    Reasons::of(survey, devno, open_count)
}

/// Removes a device if its number is still its own; by its UUID, or else by its name: the number may become another's
/// between the question and the removal.
fn remove(control: &Control, device: &Listed, deferred: bool, synchronisation: &mut Synchronisation) -> Result<Removal> {
    match control.device(Selector::Devno(device.devno)) {
        Ok(now) if device.is(&now) => {}
        // One that was renamed is the same by its UUID; without one nobody can tell.
        Ok(now) if now.uuid.is_some() && now.uuid == device.uuid => {}
        Ok(_) => return Ok(Removal::Gone),
        Err(error) if *error.cause() == Cause::NotFound => return Ok(Removal::Gone),
        Err(error) => return Err(error.during("detach")),
    }
    let event_nr = synchronisation.expect()?;
    let selector = device.uuid.as_ref().map_or(Selector::Name(&device.name), Selector::Uuid);
    let removal = control.remove(selector, deferred, event_nr).map_err(|error| error.during("detach"));
    if !matches!(removal, Ok(Removal::Done { announced: true })) {
        synchronisation.retract()?;
    }
    removal
}

/// With whoever processes the events of removals, if anybody does.
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
