//! What udevd's rules do with a device-mapper event, done without udevd: decide, look, make links, keep a record.
//!
//! The records are kept in the format and the place of udev's own, so that whoever reads those (lsblk, `dmhelper info`,
//! a udevd that takes over) finds what it expects.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cookie::Flags;
use crate::decision::{self, Action, DISABLE_OTHER_RULES, Decision, Event};
use crate::devno::Devno;
use crate::dm::Device;
use crate::emit::event;
use crate::error::{Cause, Error, Result};
use crate::nodes::apply::Dev;
use crate::nodes::plan::{self, Probed};
use crate::nodes::probe::Prober;
use crate::udevdb::Record;
use crate::uevent::Uevent;

/// Asks for a device's identity and state.
pub type Query = Box<dyn Fn(Devno) -> Result<Device>>;

/// Where things are, and what to do beyond links.
#[derive(Debug)]
pub struct Places {
    /// Where links and nodes go (`/dev`).
    pub dev: PathBuf,
    /// Where records go (`/run/udev`).
    pub run_udev: PathBuf,
    /// Who looks at the content of usable devices, if anybody.
    pub prober: Option<Prober>,
}

/// A device that the engine knows.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The kernel's name of its node: `dm-3`.
    node: String,
    record: Record,
}

/// A device seen at a look around, not through an event.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its identity and state, from the control node.
    pub device: Device,
    /// The kernel's name of its node.
    pub node: String,
    /// The kernel's number of this instance.
    pub diskseq: Option<u64>,
}

/// Decides and acts on events, one after the other.
pub struct Engine {
    known: BTreeMap<Devno, Known>,
    places: Places,
    dev: Dev,
    query: Query,
}

impl Engine {
    /// An engine that knows nothing yet: [`Engine::look_around`] comes next, or [`Engine::remember`].
    pub fn new(places: Places, query: Query) -> Self {
        let dev = Dev::new(&places.dev);
        Self { known: BTreeMap::new(), places, dev, query }
    }

    /// Takes over the record that an earlier run, or udevd, has left of a device. Of one that is gone the node's name
    /// is not known any more: its links tell it.
    pub fn remember(&mut self, devno: Devno, node: Option<String>) -> Result<()> {
        if let Some(record) = Record::read(&self.places.run_udev, devno)? {
            let node = node.or_else(|| texts(&record.links).find_map(|link| self.dev.node_of(link))).unwrap_or_default();
            self.known.insert(devno, Known { node, record });
        }
        Ok(())
    }

    /// How many devices are known.
    pub fn devices(&self) -> usize {
        self.known.len()
    }

    /// Brings everything to the state of the devices that are there now, as a coldplug of all of them would. A live
    /// device that no recorded event has activated was activated where nobody looked, or in an event that was lost: it
    /// counts as active. `present` are all that the kernel lists, even those that could not be looked at: only what is
    /// not among them is gone. Goes on after failures and returns them.
    pub fn look_around(&mut self, present: &[Devno], seen: &[Seen]) -> Vec<Error> {
        let mut failures = Vec::new();
        let gone: Vec<Devno> = self.known.keys().copied().filter(|devno| !present.contains(devno)).collect();
        for devno in gone {
            failures.extend(self.forget(devno).err());
        }
        for Seen { device, node, diskseq } in seen {
            // A number is used again: another device's record says nothing of this one.
            let known = self.known.get(&device.devno).filter(|known| is_of(&known.record, device, *diskseq));
            let recorded =
                known.map_or(Flags::default(), |known| decision::recorded_flags(|name| known.record.property(name) == Some(b"1")));
            let live = device.details.is_some_and(|details| details.live_table) && !device.suspended;
            let missed = live && !recorded.contains(Flags::PRIMARY_SOURCE);
            let recorded = if missed { plan::flags_of_unknown(device) } else { recorded };
            let coldplug = Event { action: Action::Add, cookie: None, synthetic: true, disk_ro: false, recorded };
            let decision = Decision::of(&coldplug);
            if !decision.disabled {
                failures.extend(self.settle(&decision, device, node, *diskseq, true).err());
            }
        }
        failures
    }

    /// Acts on one event of a device-mapper device. The caller completes the cookie, whatever this returns.
    pub fn handle(&mut self, uevent: Uevent<'_>) -> Result<()> {
        let (Some(devno), Some(node)) = (uevent.devno(), uevent.kernel_name()) else { return Ok(()) };
        // The kernel's own add is a new device's: what is recorded under its number was another's.
        let new = uevent.text("ACTION") == Some("add") && uevent.get("SYNTH_UUID").is_none();
        let recorded = self.known.get(&devno).filter(|_| !new).map(|known| &known.record);
        let event = Event::from_env(|name| {
            let old = || recorded.and_then(|record| record.property(name)).and_then(|value| str::from_utf8(value).ok());
            uevent.text(name).or_else(old).map(str::to_string)
        })?;
        let decision = Decision::of(&event);
        if event.action == Action::Remove {
            return self.forget(devno);
        }
        if event.action == Action::Other {
            return Ok(());
        }
        let node = String::from_utf8_lossy(node).into_owned();
        if decision.disabled {
            return self.disable(&decision, devno, node);
        }
        let device = match (self.query)(devno) {
            // Gone since: its remove event is on its way.
            Err(error) if *error.cause() == Cause::NotFound => return Ok(()),
            other => other?,
        };
        // A path has failed, or none is left: whoever reads the map now may wait for ever.
        let pathless = uevent.text("DM_ACTION") == Some("PATH_FAILED") || uevent.number("DM_NR_VALID_PATHS") == Some(0);
        self.settle(&decision, &device, &node, uevent.number("DISKSEQ"), !pathless)
    }

    /// Gives a device the links that it should have, takes the others away, and keeps its record.
    fn settle(&mut self, decision: &Decision, device: &Device, node: &str, diskseq: Option<u64>, readable: bool) -> Result<()> {
        self.dev.node(node, device.devno)?;
        let old = self.known.get(&device.devno).cloned().unwrap_or_default();
        let (probed, complaint) = self.content(decision, device, node, &old.record, readable);
        let planned = plan::plan(decision, device, diskseq, &probed);
        let record = Record {
            links: planned.links.iter().map(|link| link.clone().into_bytes()).collect(),
            link_priority: planned.priority,
            initialized_usec: old.record.initialized_usec.or_else(since_boot),
            properties: properties(decision, Some(device), &probed),
            tags: old.record.tags,
        };
        self.known.insert(device.devno, Known { node: node.to_string(), record: record.clone() });
        let mut outcome = complaint.map_or(Ok(()), Err);
        for link in texts(&old.record.links).filter(|link| !planned.links.iter().any(|kept| kept == link)) {
            outcome = self.release(link, &old.node).and(outcome);
        }
        for link in &planned.links {
            outcome = self.claim(link, device.devno).and(outcome);
        }
        record.write(&self.places.run_udev, device.devno).and(outcome)
    }

    /// Takes a device out of use: no links, and a record that says why.
    fn disable(&mut self, decision: &Decision, devno: Devno, node: String) -> Result<()> {
        let old = self.known.remove(&devno).unwrap_or_default();
        let record = Record {
            properties: properties(decision, None, &Probed::new()),
            initialized_usec: old.record.initialized_usec.or_else(since_boot),
            ..Record::default()
        };
        let mut outcome = Ok(());
        for link in texts(&old.record.links) {
            outcome = self.release(link, &old.node).and(outcome);
        }
        let written = record.write(&self.places.run_udev, devno);
        self.known.insert(devno, Known { node, record });
        written.and(outcome)
    }

    /// Removes a device that is gone, with its links and its record.
    fn forget(&mut self, devno: Devno) -> Result<()> {
        let mut outcome = Ok(());
        if let Some(old) = self.known.remove(&devno) {
            for link in texts(&old.record.links) {
                outcome = self.release(link, &old.node).and(outcome);
            }
        }
        Record::remove(&self.places.run_udev, devno).and(outcome)
    }

    /// What is on the device: probed now if that is allowed, else what was found before. A prober that fails keeps no
    /// link from being made: its complaint comes back beside the old content.
    fn content(&self, decision: &Decision, device: &Device, node: &str, old: &Record, readable: bool) -> (Probed, Option<Error>) {
        let kept =
            || old.properties.iter().filter(|(key, _)| key.starts_with(b"ID_FS_") || key.starts_with(b"ID_PART_")).cloned().collect();
        match &self.places.prober {
            Some(prober) if readable && plan::may_be_probed(decision, device) => match prober.probe(&self.places.dev.join(node)) {
                Ok(probed) => (probed, None),
                Err(error) => (kept(), Some(error)),
            },
            _ => (kept(), None),
        }
    }

    /// Points the link to the device unless one of a higher priority claims it. Among equals the latest wins.
    fn claim(&self, link: &str, devno: Devno) -> Result<()> {
        let Some(own) = self.known.get(&devno) else { return Ok(()) };
        match self.best_claimant(link) {
            Some(best) if best.record.link_priority > own.record.link_priority => self.dev.link(link, &best.node).map(drop),
            _ => self.dev.link(link, &own.node).map(drop),
        }
    }

    /// Gives the link to the best of the devices that still claim it, or removes it.
    fn release(&self, link: &str, node: &str) -> Result<()> {
        match self.best_claimant(link) {
            Some(best) => self.dev.link(link, &best.node).map(drop),
            None => self.dev.unlink(link, node).map(drop),
        }
    }

    fn best_claimant(&self, link: &str) -> Option<&Known> {
        let claims = |known: &&Known| known.record.links.iter().any(|claimed| claimed == link.as_bytes());
        self.known.values().filter(claims).max_by_key(|known| known.record.link_priority)
    }
}

/// Whether the record is of this very device, as far as UUID and instance tell.
fn is_of(record: &Record, device: &Device, diskseq: Option<u64>) -> bool {
    let uuid = record.property("DM_UUID").unwrap_or_default();
    let instance = texts(&record.links).find_map(|link| link.strip_prefix("disk/by-diskseq/")?.parse::<u64>().ok());
    let same_uuid = !record.links.is_empty() || !uuid.is_empty();
    let own = device.uuid.as_ref().map_or(&b""[..], |uuid| uuid.as_bytes());
    (!same_uuid || uuid == own) && instance.zip(diskseq).is_none_or(|(recorded, present)| recorded == present)
}

/// The properties that the rules would have stored.
fn properties(decision: &Decision, device: Option<&Device>, probed: &Probed) -> Vec<(Vec<u8>, Vec<u8>)> {
    let imported = event::properties(decision, device);
    // A leading dot means "never stored".
    let stored = imported.pairs().filter(|(key, _)| !key.starts_with('.'));
    let mut properties: Vec<_> = stored.map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    if let Some(device) = device {
        let suspended = if device.suspended { "1" } else { "0" };
        let constant = [("DM_SUSPENDED", suspended), ("DM_UDEV_RULES", "1"), ("DM_UDEV_RULES_VSN", "3")];
        if plan::is_hidden(decision, device) {
            for key in ["DM_UDEV_DISABLE_DISK_RULES_FLAG", DISABLE_OTHER_RULES].map(str::as_bytes) {
                if !properties.iter().any(|(known, _)| known == key) {
                    properties.push((key.to_vec(), b"1".to_vec()));
                }
            }
        }
        if decision.noscan(device) {
            properties.push((b"DM_NOSCAN".to_vec(), b"1".to_vec())); // As rules of the older interface know it.
        }
        properties.extend(constant.map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())));
    }
    properties.extend(probed.iter().cloned());
    properties
}

fn texts(links: &[Vec<u8>]) -> impl Iterator<Item = &str> {
    links.iter().filter_map(|link| str::from_utf8(link).ok())
}

/// Microseconds since boot, as udev counts them.
fn since_boot() -> Option<u64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some((seconds * 1e6) as u64)
}

#[cfg(test)]
mod tests;
