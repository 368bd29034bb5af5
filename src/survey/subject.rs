//! One device of a survey, each of whose facts is looked up when it is first asked for.

use std::cell::{Cell, OnceCell};

use super::Survey;
use crate::dm::sysfs::Sysfs;
use crate::dm::{Details, Listed, Selector, Target};
use crate::error::Cause;
use crate::info::State;
use crate::name::{DmUuid, Owner};
use crate::udevdb::Record;

/// How often facts are gathered again because the device changed its identity meanwhile.
const ATTEMPTS: usize = 4;

/// A device and what has been asked of it.
#[derive(Debug)]
pub struct Subject<'s> {
    survey: &'s Survey<'s>,
    device: &'s Listed,
    sysfs: Sysfs,
    asked_sysfs: Cell<bool>,
    gone: Cell<bool>,
    details: OnceCell<Option<Details>>,
    targets: OnceCell<Option<Vec<Target>>>,
    record: OnceCell<Option<Record>>,
}

/// What `read` makes of a device, all of it of one and the same device: a number may be another device's by the time it
/// is looked at. `None` for one that is gone.
pub fn steady<T>(survey: &Survey<'_>, device: &Listed, mut read: impl FnMut(&Subject<'_>) -> T) -> Option<T> {
    let mut device = device.clone();
    for _ in 0..ATTEMPTS {
        let subject = Subject::new(survey, &device);
        let value = read(&subject);
        if subject.gone.get() {
            return None;
        }
        if !subject.asked_sysfs.get() {
            return Some(value);
        }
        match subject.sysfs.device() {
            Ok(now) if now.name != device.name || now.uuid != device.uuid => {
                device = Listed { name: now.name, uuid: now.uuid, ..device };
            }
            // One without a table is not in sysfs.
            _ => return Some(value),
        }
    }
    None
}

impl<'s> Subject<'s> {
    /// A device of which nothing has been asked yet.
    pub fn new(survey: &'s Survey<'_>, device: &'s Listed) -> Self {
        Self {
            survey,
            device,
            sysfs: survey.sysfs(device.devno),
            asked_sysfs: Cell::new(false),
            gone: Cell::new(false),
            details: OnceCell::new(),
            targets: OnceCell::new(),
            record: OnceCell::new(),
        }
    }

    /// All devices.
    pub fn survey(&self) -> &'s Survey<'s> {
        self.survey
    }

    /// What the list tells.
    pub fn device(&self) -> &Listed {
        self.device
    }

    /// What sysfs tells.
    pub fn sysfs(&self) -> &Sysfs {
        self.asked_sysfs.set(true);
        &self.sysfs
    }

    /// What its UUID tells.
    pub fn owner(&self) -> Owner<'_> {
        self.device.uuid.as_ref().map_or(Owner::Unknown, DmUuid::owner)
    }

    /// What one query of the control node tells; `None` for those who may not ask.
    pub fn details(&self) -> Option<&Details> {
        self.details.get_or_init(|| self.ask(|control| control.device(Selector::Devno(self.device.devno)))?.details).as_ref()
    }

    /// The live table's ranges, from another query.
    pub fn targets(&self) -> Option<&[Target]> {
        self.targets.get_or_init(|| self.ask(|control| control.targets(self.device.devno))).as_deref()
    }

    fn ask<T>(&self, question: impl Fn(&crate::dm::Control) -> crate::error::Result<T>) -> Option<T> {
        match question(self.survey.control()?) {
            Ok(answer) => Some(answer),
            Err(error) if *error.cause() == Cause::NotFound => {
                self.gone.set(true);
                None
            }
            Err(error) => {
                self.survey.trouble(error);
                None
            }
        }
    }

    /// Its own record in the udev database.
    pub fn record(&self) -> Option<&Record> {
        self.record.get_or_init(|| self.survey.record(self.device.devno)).as_ref()
    }

    /// What it can be used for now: from sysfs, but for one without a size, of which only the control node tells
    /// whether it has a table.
    pub fn state(&self) -> State {
        let sysfs = self.sysfs();
        match (sysfs.suspended(), sysfs.size()) {
            (Some(true), _) => State::Suspended,
            (Some(false), Some(1..)) => State::Active,
            _ => match self.details() {
                Some(details) if details.live_table => State::Active,
                Some(_) => State::NoTable,
                None => State::Unknown,
            },
        }
    }
}
