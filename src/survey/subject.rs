//! One device of a survey, each of whose facts is looked up when it is first asked for.

use std::cell::{Cell, OnceCell, RefCell};

use super::Survey;
use crate::devno::Devno;
use crate::dm::sysfs::Sysfs;
use crate::dm::{Control, Details, Device, Listed, Selector, Target};
use crate::error::{Cause, Result};
use crate::info::{ATTEMPTS, State};
use crate::name::{DmUuid, Owner};
use crate::udevdb::Record;

/// A device and what has been asked of it.
#[derive(Debug)]
pub struct Subject<'s> {
    survey: &'s Survey<'s>,
    device: &'s Listed,
    sysfs: OnceCell<Sysfs>,
    /// Whether something was read by the number since the control node last said whose it is.
    unproven: Cell<bool>,
    /// What the control node found under the number instead.
    now: RefCell<Identity>,
    status: OnceCell<Option<Device>>,
    uses: OnceCell<Option<Vec<Devno>>>,
    targets: OnceCell<Option<Vec<Target>>>,
    record: OnceCell<Option<Record>>,
}

/// What a number turned out to be.
#[derive(Debug, Clone, Default)]
enum Identity {
    /// The device that was listed.
    #[default]
    Listed,
    /// One of another name, or another one.
    Other(Box<Listed>),
    /// None any more.
    Gone,
}

/// What `read` makes of a device, all of it of one and the same device: a number may be another device's by the time it
/// is looked at. `None` for one that is gone.
pub fn steady<T>(survey: &Survey<'_>, device: &Listed, mut read: impl FnMut(&Subject<'_>) -> T) -> Option<T> {
    let mut attempt = |device: &Listed| {
        let subject = Subject::new(survey, device);
        let value = read(&subject);
        (subject.identity(), value)
    };
    let (mut identity, mut value) = attempt(device);
    for _ in 1..ATTEMPTS {
        match identity {
            Identity::Listed => return Some(value),
            Identity::Gone => return None,
            Identity::Other(other) => (identity, value) = attempt(&other),
        }
    }
    matches!(identity, Identity::Listed).then_some(value)
}

impl<'s> Subject<'s> {
    /// A device of which nothing has been asked yet.
    pub fn new(survey: &'s Survey<'_>, device: &'s Listed) -> Self {
        Self {
            survey,
            device,
            sysfs: OnceCell::new(),
            unproven: Cell::new(false),
            now: RefCell::default(),
            status: OnceCell::new(),
            uses: OnceCell::new(),
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
        self.unproven.set(true);
        self.files()
    }

    fn files(&self) -> &Sysfs {
        self.sysfs.get_or_init(|| self.survey.sysfs(self.device.devno))
    }

    /// What its UUID tells.
    pub fn owner(&self) -> Owner<'_> {
        self.device.uuid.as_ref().map_or(Owner::Unknown, DmUuid::owner)
    }

    /// What the control node tells; `None` for those who may not ask.
    pub fn details(&self) -> Option<&Details> {
        self.status()?.details.as_ref()
    }

    /// The live table's ranges.
    pub fn targets(&self) -> Option<&[Target]> {
        self.targets.get_or_init(|| self.ask(|control| control.status(self.device.devno))).as_deref()
    }

    /// The devices that it uses, as far as is known; `None` for one without a table.
    pub fn uses(&self) -> Option<Vec<Devno>> {
        match self.survey.control() {
            Some(_) => {
                let uses = self.asked_uses().cloned();
                uses.filter(|_| self.has_table() == Some(true))
            }
            None => {
                let uses = self.sysfs().dependencies();
                (!uses.is_empty() || self.sysfs().kernel_name().is_some()).then_some(uses)
            }
        }
    }

    fn has_table(&self) -> Option<bool> {
        self.details().map(|details| details.live_table || details.inactive_table)
    }

    fn asked_uses(&self) -> Option<&Vec<Devno>> {
        self.uses.get_or_init(|| self.ask(|control| control.uses(self.device.devno))).as_ref()
    }

    /// Whether writes are refused; `None` for one without a table.
    pub fn read_only(&self) -> Option<bool> {
        match self.survey.control() {
            Some(_) => self.has_table()?.then(|| self.details().is_some_and(|details| details.read_only)),
            None => self.sysfs().read_only(),
        }
    }

    /// Size in sectors of 512 bytes: by the ranges if these are known, else by sysfs.
    pub fn size(&self) -> Option<u64> {
        match self.targets.get() {
            Some(Some(targets)) => Target::end(targets),
            _ => self.sysfs().size(),
        }
    }

    /// What it can be used for now. Of one without a size, only the control node tells whether it has a table.
    pub fn state(&self) -> State {
        if let Some(device) = self.status() {
            return match device.details {
                _ if device.suspended => State::Suspended,
                Some(details) if !details.live_table => State::NoTable,
                _ => State::Active,
            };
        }
        match (self.sysfs().suspended(), self.sysfs().size()) {
            (Some(true), _) => State::Suspended,
            (Some(false), Some(1..)) => State::Active,
            _ => State::Unknown,
        }
    }

    /// Its own record in the udev database.
    pub fn record(&self) -> Option<&Record> {
        self.unproven.set(true);
        self.record.get_or_init(|| self.survey.record_of(self.device.devno, self.device.uuid.as_ref())).as_ref()
    }

    /// The head of whatever answer came first: every query has it.
    fn status(&self) -> Option<&Device> {
        if self.status.get().is_none() {
            self.asked_uses();
        }
        self.status.get()?.as_ref()
    }

    fn ask<T>(&self, question: impl Fn(&Control) -> Result<(Device, T)>) -> Option<T> {
        let (device, answer) = match question(self.survey.control()?) {
            Ok((device, answer)) => (Some(device), Some(answer)),
            Err(error) if *error.cause() == Cause::NotFound => {
                self.now.replace(Identity::Gone);
                (None, None)
            }
            Err(error) => {
                self.survey.trouble(error);
                (None, None)
            }
        };
        if let Some(device) = &device {
            self.unproven.set(false);
            self.compare(device);
        }
        // The first one stays.
        let _ = self.status.set(device);
        answer
    }

    fn compare(&self, now: &Device) {
        if !self.device.is(now) {
            // The event's number in the list was the other one's.
            let other = Listed { devno: now.devno, name: now.name.clone(), uuid: now.uuid.clone(), event_number: None };
            self.now.replace(Identity::Other(Box::new(other)));
        }
    }

    /// What the number is, at the end.
    fn identity(&self) -> Identity {
        if self.unproven.get() {
            match self.survey.control() {
                Some(_) => drop(self.ask(|control| Ok((control.device(Selector::Devno(self.device.devno))?, ())))),
                // One without a table is not in sysfs.
                None => drop(self.files().device().map(|device| self.compare(&device))),
            }
        }
        self.now.take()
    }
}
