//! The whole machine: every fault that [`explain`](crate::explain) would find, looked for everywhere.
//!
//! Linear in devices: one ioctl for the list, then one or two for each (for everybody else some files of sysfs), a file of
//! sysfs, its record, its links; one directory of /dev after the other. At most one file is open at a time.

pub mod repair;
mod stale;

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::cookie::census;
use crate::cookie::reap::{self, Treatment};
use crate::devno::Devno;
use crate::dm::{Device, Listed};
use crate::error::Result;
use crate::explain::facts::Facts;
use crate::explain::links::{self, Claims, Link};
use crate::explain::world::{COLDPLUG, World};
use crate::explain::{Finding, Places, cookie, reason};
use crate::info::Info;
use crate::rulefiles::Fault;
use crate::text::printable;
use crate::udevd::Udevd;
use crate::udevdb::Record;
use repair::Repair;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What, and what to do.
    pub finding: Finding,
    /// The device that it is about, by name and number.
    pub device: Option<String>,
    /// What `--fix` does about it.
    pub repair: Option<Repair>,
}

/// All that was found.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// What is wrong, the machine's faults before those of devices.
    pub troubles: Vec<Trouble>,
    /// How many devices were looked at.
    pub devices: usize,
    /// What only root would have learnt.
    pub unknown: Option<&'static str>,
}

/// Semaphore sets in use, in percent of the limit, from which on it is a trouble.
const SEMAPHORES_MAX: usize = 90;

/// Looks at everything. A device that is suspended still after `patience` has been so for long.
///
/// # Errors
/// A control node that does not answer.
pub fn examine(places: &Places, patience: Duration) -> Result<Diagnosis> {
    let world = match World::open(places) {
        Ok(world) => world,
        Err(fatal) => {
            let finding = fatal.finding().map_err(|error| error.during("examine"))?;
            return Ok(Diagnosis { troubles: vec![Trouble { finding, device: None, repair: None }], devices: 0, unknown: None });
        }
    };
    let suspended = suspended(&world, patience);
    Ok(diagnose(&world, suspended))
}

/// The devices that are suspended, and still are a while later; the lowest first.
fn suspended(world: &World<'_>, patience: Duration) -> Vec<Device> {
    let is_suspended = |devno: &Devno| world.device_now(*devno).is_some_and(|device| device.suspended);
    let devices: Vec<Devno> = world.survey.devices().devnos().filter(is_suspended).collect();
    if devices.is_empty() {
        return Vec::new();
    }
    std::thread::sleep(patience);
    let mut still = world.suspended(devices.iter().copied());
    still.retain(|device| devices.contains(&device.devno));
    still
}

fn diagnose(world: &World<'_>, suspended: Vec<Device>) -> Diagnosis {
    let mut troubles = Vec::new();
    let mut add = |finding, device, repair| troubles.push(Trouble { finding, device, repair });
    machine(world).into_iter().for_each(|finding| add(finding, None, None));
    // In the order in which they can be resumed.
    for device in suspended {
        let called = world.name(device.devno);
        let finding = Finding::new(&reason::SUSPENDED).with("device", &called).with("remedy", world.resume(&[device]));
        add(finding, Some(called), None);
    }
    // Whoever claims links that lead elsewhere: mostly there are none.
    let claims = LazyCell::new(|| Claims::find(&world.places.roots, world.survey.devices().devnos()));
    for listed in world.survey.devices().iter() {
        let called = Some(world.name(listed.devno));
        let Some(facts) = facts(world, &listed) else { continue };
        let replay = facts.replay();
        let mut paths = replay.expected.clone();
        paths.extend(facts.info.udev.iter().flat_map(links::recorded));
        paths.sort();
        paths.dedup();
        let general = facts.general();
        // One reason for all of its links is told once, with the repair of any.
        let (mut told, mut repair) = (false, None);
        for path in paths {
            let Some(link) = look(world, &claims, &facts, &path, &replay.expected) else { continue };
            let finding = facts.of_link(&link, replay.possible.contains(&path));
            // What another device has by right is no fault; what is suspended for long has been told.
            if [&reason::CLAIMED, &reason::SUSPENDED].contains(&finding.reason) || is_enough(world, &link, listed.devno) {
                continue;
            }
            let own_repair = repair::of(world, &facts, &link);
            if general.as_ref().is_some_and(|general| general.reason == finding.reason) {
                told = true;
                repair = own_repair.or(repair);
            } else {
                add(finding, called.clone(), own_repair);
            }
        }
        if let Some(general) = general.filter(|_| told || !world.serves_alone(&facts)) {
            add(general, called, repair);
        }
    }
    stale::find(world).into_iter().for_each(|(finding, repair)| add(finding, None, repair));
    // Last: a tool that goes on must find the links of its device.
    cookies(world).into_iter().for_each(|finding| add(finding, None, None));
    let unknown = (!world.survey.sources().is_privileged()).then_some("devices without a table, cookies of others");
    Diagnosis { troubles, devices: world.survey.devices().len(), unknown }
}

/// A link that is not as it should be.
fn look(world: &World<'_>, claims: &Claims, facts: &Facts, path: &str, expected: &[String]) -> Option<Link> {
    let devno = facts.info.device.devno;
    let found = links::look(&world.places.roots, path);
    if found == links::Found::Link(devno) {
        return None;
    }
    let name = |devno| world.name(devno);
    let other = found.leads_to().filter(|other| *other != devno);
    Some(Link {
        path: path.to_string(),
        expected: expected.iter().any(|known| known == path),
        recorded: facts.info.udev.as_ref().is_some_and(|record| record.links().any(|link| link == path.as_bytes())),
        elsewhere: other.map(name),
        // Only whoever has it can have a better claim.
        claims: other.map(|_| claims.of(&world.places.roots, path, &name)).unwrap_or_default(),
        found,
    })
}

/// Where there is no udevd, its own node in /dev/mapper is all that a device gets.
fn is_enough(world: &World<'_>, link: &Link, devno: Devno) -> bool {
    world.service.udevd.is_absent() && (link.found == links::Found::Node(devno) || !link.path.starts_with("mapper/"))
}

/// What can be known of a device without asking for more than its files.
fn facts(world: &World<'_>, listed: &Listed) -> Option<Facts> {
    let sysfs = world.survey.sysfs(listed.devno);
    let (size, read_only) = if world.survey.control().is_some() { (None, None) } else { (sysfs.size(), sysfs.read_only()) };
    let diskseq = sysfs.diskseq();
    let udev = Record::read(&world.places.roots.run_udev, listed.devno).ok().flatten();
    // Last, which proves that the files were its own. One that is gone or another's by now is no fault.
    let device = world.device_now(listed.devno).filter(|device| listed.is(device))?;
    let info = Info {
        size,
        read_only: device.details.map(|details| details.read_only).or(read_only),
        diskseq,
        device,
        targets: None,
        dependencies: Vec::new(),
        dependants: Vec::new(),
        parent: None,
        udev,
        udevd: !world.service.udevd.is_absent(),
    };
    // Nothing but the control node tells a device without a table from one of no size: neither is to be linked.
    let live = info.live_table() == Some(true);
    live.then(|| Facts { info, service: world.service, rules: world.rules.clone() })
}

/// Faults of the machine itself.
fn machine(world: &World<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let roots = &world.places.roots;
    let all = |reason| Finding::new(reason).with("device", "device-mapper devices").with("trigger", COLDPLUG).with("name", "NAME");
    let control = roots.run_udev.join("control");
    let about_control = |reason| all(reason).with("other", printable(control.as_os_str().as_encoded_bytes()));
    match world.service.udevd {
        // As libdevmapper asks: a link that leads nowhere is none.
        Udevd::Absent | Udevd::Ending if control.exists() => findings.push(about_control(&reason::CONTROL_LEFT)),
        Udevd::Absent | Udevd::Ending if !world.survey.devices().is_empty() => findings.push(all(&reason::NO_UDEVD)),
        Udevd::Running | Udevd::Stopped if !control.exists() => findings.push(about_control(&reason::CONTROL_MISSING)),
        Udevd::Stopped => findings.push(all(&reason::UDEVD_STOPPED).with("remedy", world.service.stopped_pid())),
        Udevd::Unknown(doubt) => findings.push(all(&reason::UDEVD_UNKNOWN).with("detail", doubt.to_string())),
        Udevd::Absent | Udevd::Ending | Udevd::Running | Udevd::OnDemand | Udevd::StandIn => {}
    }
    findings.extend(cookie::completer(world.service.completer, &roots.proc));
    // Where there is no udevd at all, nobody reads rules either.
    if !world.service.is_stand_in() && !world.service.udevd.is_absent() {
        let finding = |fault: &Fault<'_>| crate::explain::device::rule_finding(&world.rules, fault, &all);
        findings.extend(world.rules.faults().iter().map(finding));
    }
    findings
}

/// What the semaphores tell: cookies that are provably stuck, and how many sets there are.
fn cookies(world: &World<'_>) -> Vec<Finding> {
    let roots = &world.places.roots;
    let mut findings = Vec::new();
    let Ok((entries, sets)) = census::take(&roots.proc) else { return findings };
    let circumstances = world.service.circumstances();
    for entry in &entries {
        // Only what is provably stuck: `dmhelper cookie reap` would treat it.
        if !matches!(reap::reap(entry, &circumstances, || Some(false)), Treatment::Keep(_)) {
            findings.push(cookie::finding(entry, &circumstances));
        }
    }
    if let Some(limit) = census::limit(&roots.proc).filter(|limit| sets * 100 >= limit * SEMAPHORES_MAX) {
        findings.push(Finding::new(&reason::SEMAPHORES).with("detail", format!("{sets} of {limit}")));
    }
    findings
}

impl Diagnosis {
    /// The troubles by reason, in the order in which they were found: ten thousand devices may have one and the same.
    pub fn groups(&self) -> Vec<(&'static str, Vec<&Trouble>)> {
        let mut order: Vec<&'static str> = Vec::new();
        let mut groups: BTreeMap<&'static str, Vec<&Trouble>> = BTreeMap::new();
        for trouble in &self.troubles {
            let id = trouble.finding.reason.id;
            if !groups.contains_key(id) {
                order.push(id);
            }
            groups.entry(id).or_default().push(trouble);
        }
        order.into_iter().filter_map(|id| Some((id, groups.remove(id)?))).collect()
    }
}

#[cfg(test)]
mod tests;
