//! Devices that are suspended, in the order in which they can be resumed: a resume of one waits for those below it.

use std::collections::BTreeSet;

use super::world::World;
use super::{Finding, holders, word_of};
use crate::devno::Devno;
use crate::dm::{Device, Selector};

impl World<'_> {
    /// A device now: one query of the control node, or some files of sysfs.
    pub(crate) fn device_now(&self, devno: Devno) -> Option<Device> {
        match self.survey.control() {
            Some(control) => control.device(Selector::Devno(devno)).ok(),
            None => self.survey.sysfs(devno).device().ok(),
        }
    }

    /// The suspended ones among these devices and all that they lie on, the lowest first.
    pub(crate) fn suspended(&self, devices: impl Iterator<Item = Devno>) -> Vec<Device> {
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        devices.for_each(|devno| self.descend(devno, &mut seen, &mut found));
        found
    }

    fn descend(&self, devno: Devno, seen: &mut BTreeSet<Devno>, found: &mut Vec<Device>) {
        if !seen.insert(devno) {
            return;
        }
        // What lies between (a software RAID, a partition) is passed through.
        self.survey.below(devno).into_iter().for_each(|below| self.descend(below, seen, found));
        found.extend(self.device_now(devno).filter(|device| device.suspended));
    }

    /// What is to be done about suspended devices, in that order.
    pub(crate) fn resume(&self, suspended: &[Device]) -> String {
        if suspended.iter().any(|device| device.details.is_none()) {
            // A second table may be loaded.
            return "Ask as root what is to be done.".to_string();
        }
        let commands: Option<Vec<String>> = suspended.iter().map(resume).collect();
        let Some(mut commands) = commands else {
            return "A second table is loaded, and a resume would put it in force; only the tool that loaded it can decide.".to_string();
        };
        commands.dedup();
        let tools = holders::of_control(&self.places.roots);
        let condition = match tools.is_empty() {
            true => "If the tool that suspended it is gone".to_string(),
            false => format!("If none of {} has suspended it", tools.join(", ")),
        };
        format!("{condition}: {}", commands.join(" && "))
    }

    /// The finding that a device is suspended, with what resumes it and all that it waits for.
    pub(crate) fn with_resume(&self, finding: Finding, devno: Devno) -> Finding {
        finding.with("remedy", self.resume(&self.suspended(std::iter::once(devno))))
    }
}

/// The command that resumes one. With a second table loaded a resume would put that in force, and so would
/// `lvchange --refresh` (seen with lvm2 2.03.16): only who loaded it can tell which is right.
fn resume(device: &Device) -> Option<String> {
    if device.details.is_none_or(|details| details.inactive_table) {
        return None;
    }
    Some(match word_of(device.name.as_bytes()) {
        Some(name) => format!("dmsetup resume {name}"),
        None => format!("dmsetup resume -j {} -m {}", device.devno.major(), device.devno.minor()),
    })
}
