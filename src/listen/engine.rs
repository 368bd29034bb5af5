//! What udevd's rules do with a device-mapper event, done without udevd: decide, look, make links, keep a record.
//!
//! The records are kept in the format and the place of udev's own, so that whoever reads those (lsblk, `dmhelper info`,
//! a udevd that takes over) finds what it expects.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use super::devices::{Devices, LARGE, texts};
use crate::cookie::Flags;
use crate::decision::{self, Action, DISABLE_OTHER_RULES, Decision, Event};
use crate::devno::Devno;
use crate::dm::Device;
use crate::emit::env::Properties;
use crate::emit::event;
use crate::error::{Cause, Error, Result};
use crate::nodes::apply::Node;
use crate::nodes::plan;
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

/// A device seen at a look around, not through an event.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its identity and state, from the control node.
    pub device: Device,
    /// The kernel's name of its node.
    pub node: Node,
    /// The kernel's number of this instance.
    pub diskseq: Option<u64>,
}

/// Decides and acts on events, one after the other. A new device takes memory for its record, a link that goes takes
/// some for a moment; no other event that is handled does.
pub struct Engine {
    places: Places,
    query: Query,
    devices: Devices,
    /// Those about which the prober did not answer in time.
    silent: BTreeSet<Devno>,
    /// What the rules would import, and the record that comes of it: memory that is used again.
    imported: Properties,
    record: Record,
}

impl Engine {
    /// An engine that knows nothing yet: [`Engine::look_around`] comes next, or [`Engine::remember`].
    pub fn new(places: Places, query: Query) -> Self {
        let devices = Devices::new(&places.dev, &places.run_udev);
        let (imported, record) = (Properties::new(String::with_capacity(LARGE)), Record::with_capacity(LARGE));
        Self { places, query, devices, silent: BTreeSet::new(), imported, record }
    }

    /// Takes over the record that an earlier run, or udevd, has left of a device; its node, unless the device is gone.
    pub fn remember(&mut self, devno: Devno, node: Option<Node>) -> Result<()> {
        if let Some(record) = Record::read(&self.places.run_udev, devno)? {
            self.devices.remember(devno, node, &record);
        }
        Ok(())
    }

    /// How many devices are known.
    pub fn devices(&self) -> usize {
        self.devices.devnos().count()
    }

    /// Brings everything to the state of the devices that are there now, as a coldplug of all of them would. A live
    /// device that no recorded event has activated was activated where nobody looked, or in an event that was lost: it
    /// counts as active. `present` are all that the kernel lists, even those that could not be looked at: only what is
    /// not among them is gone. Goes on after failures and returns them.
    pub fn look_around(&mut self, present: &[Devno], seen: &[Seen]) -> Vec<Error> {
        let mut failures = Vec::new();
        let gone: Vec<Devno> = self.devices.devnos().filter(|devno| !present.contains(devno)).collect();
        // A number is used again: what is recorded is another device's, which is gone.
        let is_other =
            |seen: &&Seen| self.devices.record(seen.device.devno).is_some_and(|record| !is_of(record, &seen.device, seen.diskseq));
        let replaced: Vec<Devno> = seen.iter().filter(is_other).map(|seen| seen.device.devno).collect();
        for devno in gone.into_iter().chain(replaced) {
            self.silent.remove(&devno);
            failures.extend(self.devices.remove(devno).err());
        }
        for Seen { device, node, diskseq } in seen {
            let record = self.devices.record(device.devno);
            let recorded = record.map_or(Flags::default(), |record| decision::recorded_flags(|name| record.property(name) == Some(b"1")));
            let missed = is_live(device) && !recorded.contains(Flags::PRIMARY_SOURCE);
            let recorded = if missed { plan::flags_of_unknown(device) } else { recorded };
            let coldplug = Event { action: Action::Add, cookie: None, synthetic: true, refresh: false, disk_ro: false, recorded };
            let decision = Decision::of(&coldplug);
            if !decision.disabled {
                let readable = !self.silent.contains(&device.devno);
                failures.extend(self.settle(&decision, device, *node, *diskseq, readable).err());
            }
        }
        failures
    }

    /// Acts on one event of a device-mapper device. The caller completes the cookie, whatever this returns.
    pub fn handle(&mut self, uevent: Uevent<'_>) -> Result<()> {
        let node = uevent.kernel_name().and_then(|name| Node::from(str::from_utf8(name).ok()?).ok());
        let (Some(devno), Some(node)) = (uevent.devno(), node) else { return Ok(()) };
        // The kernel's own add is a new device's: what is recorded under its number was another's.
        let new = uevent.text("ACTION") == Some("add") && uevent.get("SYNTH_UUID").is_none();
        let recorded = self.devices.record(devno).filter(|_| !new);
        let mut event = Event::from_env(|name| {
            let old = || recorded.and_then(|record| record.property(name)).and_then(|value| str::from_utf8(value).ok());
            uevent.text(name).or_else(old)
        })?;
        if event.action == Action::Add && event.synthetic && recorded.is_none() {
            // Whoever activated it, nobody was there to record it.
            event.recorded = (self.query)(devno).ok().filter(is_live).map_or(event.recorded, |device| plan::flags_of_unknown(&device));
        }
        if event.refresh {
            event = match (self.query)(devno) {
                Ok(device) => event.of_device(&device, plan::flags_of_unknown),
                Err(_) => Event { refresh: false, ..event },
            };
        }
        let decision = Decision::of(&event);
        if event.action == Action::Remove {
            self.silent.remove(&devno);
            return self.devices.remove(devno);
        }
        if event.action == Action::Other {
            return Ok(());
        }
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
        // The prober that did not answer is asked again when the device has changed, not when somebody asks for an event.
        let changed = event.cookie.is_some() || uevent.get("DM_ACTION").is_some();
        let readable = !pathless && (changed || !self.silent.contains(&devno));
        self.settle(&decision, &device, node, uevent.number("DISKSEQ"), readable)
    }

    /// Gives a device the links and the record that it should have.
    fn settle(&mut self, decision: &Decision, device: &Device, node: Node, diskseq: Option<u64>, readable: bool) -> Result<()> {
        self.devices.make_node(node, device.devno)?;
        // A prober that fails keeps no link from being made: what was found before still holds.
        let (probed, probing) = match self.probe(decision, device, node, readable).transpose() {
            Ok(probed) => (probed, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let unknown = Record::default();
        let old = self.devices.record(device.devno).unwrap_or(&unknown);
        let content = probed.as_ref().unwrap_or(old);
        self.record.clear();
        plan::links(decision, device, diskseq, content, |link| self.record.push_link(link));
        self.record.push_link_priority(plan::priority(decision, device));
        if let Some(usec) = old.initialized_usec().or_else(since_boot) {
            self.record.push_initialized_usec(usec);
        }
        import(decision, Some(device), &mut self.imported, &mut self.record);
        add_derived(decision, device, &mut self.record);
        let kept = |key: &[u8]| key.starts_with(b"ID_FS_") || key.starts_with(b"ID_PART_");
        content.properties().filter(|(key, _)| kept(key)).for_each(|(key, value)| self.record.push_property(key, value));
        old.tags().for_each(|tag| self.record.push_tag(tag));
        self.devices.update(device.devno, node, &self.record).and(probing)
    }

    /// Takes a device out of use: no links, and a record that says why.
    fn disable(&mut self, decision: &Decision, devno: Devno, node: Node) -> Result<()> {
        let initialized = self.devices.record(devno).and_then(Record::initialized_usec);
        self.record.clear();
        if let Some(usec) = initialized.or_else(since_boot) {
            self.record.push_initialized_usec(usec);
        }
        import(decision, None, &mut self.imported, &mut self.record);
        self.devices.update(devno, node, &self.record)
    }

    /// What is on the device now; `None` if it may not be looked at, or nobody is there to look.
    fn probe(&mut self, decision: &Decision, device: &Device, node: Node, readable: bool) -> Option<Result<Record>> {
        let prober = self.places.prober.as_ref().filter(|_| readable && plan::may_be_probed(decision, device))?;
        let probed = prober.probe(&self.places.dev.join(&*node));
        match &probed {
            Err(error) if matches!(error.cause(), Cause::TimedOut(_)) => self.silent.insert(device.devno),
            _ => self.silent.remove(&device.devno),
        };
        Some(probed)
    }
}

/// Whether it is in use, or could be.
fn is_live(device: &Device) -> bool {
    device.details.is_some_and(|details| details.live_table) && !device.suspended
}

/// Whether the record is of this very device, as far as UUID and instance tell.
fn is_of(record: &Record, device: &Device, diskseq: Option<u64>) -> bool {
    let uuid = record.property("DM_UUID").unwrap_or_default();
    let instance = texts(record.links()).find_map(|link| link.strip_prefix("disk/by-diskseq/")?.parse::<u64>().ok());
    let same_uuid = record.links().next().is_some() || !uuid.is_empty();
    let own = device.uuid.as_ref().map_or(&b""[..], |uuid| uuid.as_bytes());
    (!same_uuid || uuid == own) && instance.zip(diskseq).is_none_or(|(recorded, present)| recorded == present)
}

/// Adds what udevd would have stored of what the rules import.
fn import(decision: &Decision, device: Option<&Device>, imported: &mut Properties, record: &mut Record) {
    imported.clear(String::clear);
    event::add_properties(decision, device, imported);
    // A leading dot means "never stored".
    let stored = imported.pairs().filter(|(key, _)| !key.starts_with('.'));
    stored.for_each(|(key, value)| record.push_property(key.as_bytes(), value.as_bytes()));
}

/// Adds what the rules set themselves.
fn add_derived(decision: &Decision, device: &Device, record: &mut Record) {
    if plan::is_hidden(decision, device) {
        for key in ["DM_UDEV_DISABLE_DISK_RULES_FLAG", DISABLE_OTHER_RULES] {
            if record.property(key).is_none() {
                record.push_property(key.as_bytes(), b"1");
            }
        }
    }
    if decision.noscan(device) {
        record.push_property(b"DM_NOSCAN", b"1"); // As rules of the older interface know it.
    }
    record.push_property(b"DM_SUSPENDED", if device.suspended { b"1" } else { b"0" });
    record.push_property(b"DM_UDEV_RULES", b"1");
    record.push_property(b"DM_UDEV_RULES_VSN", b"3");
}

/// Microseconds since boot, as udev counts them.
fn since_boot() -> Option<u64> {
    let mut uptime = [0; 64];
    let length = File::open("/proc/uptime").and_then(|mut file| file.read(&mut uptime)).ok()?;
    let seconds: f64 = str::from_utf8(uptime.get(..length)?).ok()?.split_whitespace().next()?.parse().ok()?;
    Some((seconds * 1e6) as u64)
}

#[cfg(test)]
mod tests;
