//! What is not there, and what that may be for: what a person in an emergency shell wants to know.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::links::Found;
use super::world::{TRIGGER_ALL, World};
use super::{Finding, Report, called, reason, word_of};
use crate::devno::Devno;
use crate::dm::sysfs::Sysfs;
use crate::info::Roots;
use crate::name::DmName;
use crate::rulefiles::Job;
use crate::text::printable;
use crate::udevdb::Record;

/// Names shown at most.
const SHOWN: usize = 8;

/// A name that nothing bears.
pub(super) fn explain(world: &World<'_>, word: &str) -> Report {
    explain_name(world, word, word)
}

/// The same, of the word that was asked.
fn explain_name(world: &World<'_>, word: &str, asked: &str) -> Report {
    let volume = DmName::new(word).ok().map(|name| name.lvm_parts()).filter(|parts| !parts.lv.is_empty());
    let volume = volume.map(|parts| (printable(&parts.vg), printable(&parts.lv)));
    report(world, volume, false, asked)
}

/// A link that leads nowhere and that no device claims.
pub(super) fn explain_link(world: &World<'_>, path: &str, found: &Found) -> Report {
    let asked = format!("/dev/{path}");
    let link = printable(asked.as_bytes());
    let mut report = match path.split_once('/') {
        Some(("mapper", name)) => explain_name(world, name, &asked),
        Some(("disk", rest)) => report(world, None, rest.starts_with("by-uuid/") || rest.starts_with("by-label/"), &asked),
        Some((vg, lv)) if !lv.contains('/') => report(world, Some((printable(vg.as_bytes()), printable(lv.as_bytes()))), false, &asked),
        _ => report(world, None, false, &asked),
    };
    if path.starts_with("disk/") {
        report.findings.splice(0..0, world.faults_of(Job::Disk)).for_each(drop);
    }
    let about = |reason| Finding::new(reason).with("link", &link).with("trigger", TRIGGER_ALL);
    match found {
        Found::Dangling(target) => {
            report.findings.insert(0, about(&reason::DANGLING).with("detail", printable(target.as_os_str().as_encoded_bytes())));
            report.exists = true;
        }
        // No device claims its place: it is in nobody's way, and may be full of links.
        Found::Other(what) => {
            report.findings = vec![about(&reason::NOT_DEVICE_MAPPER).with("other", *what)];
            report.exists = true;
        }
        _ => {}
    }
    report
}

fn report(world: &World<'_>, volume: Option<(String, String)>, by_content: bool, asked: &str) -> Report {
    let disks = Disks::find(&world.places.roots);
    let groups = Groups::find(&world.places.root.join("run/lvm"));
    let finding = by_content
        .then(|| unread(world))
        .flatten()
        .or_else(|| volume.as_ref().and_then(|(vg, lv)| groups.finding(vg, lv)))
        .or_else(|| {
            disks
                .all
                .is_empty()
                .then(|| Finding::new(&reason::NO_DISKS).with("other", volume.map_or("it".to_string(), |(vg, _)| format!("group {vg}"))))
        })
        .or_else(|| closed(&disks));
    let mut facts = vec![("Devices", there(world)), ("Disks", disks.words())];
    if !groups.complete.is_empty() || !groups.incomplete.is_empty() {
        facts.push(("LVM", groups.words()));
    }
    if disks.all.iter().any(|disk| disk.record.is_none()) {
        let count = disks.all.iter().filter(|disk| disk.record.is_none()).count();
        facts.push(("Unread", vec![format!("of {count} disks udev has no record: what is on them is not known")]));
    }
    let unknown = (!world.survey.sources().is_privileged()).then_some("devices without a table");
    let nothing = || Finding::new(&reason::NO_SUCH_DEVICE).with("other", printable(asked.as_bytes()));
    let findings = vec![finding.unwrap_or_else(nothing)];
    Report { exists: false, findings, facts, unknown, ..world.report() }
}

/// The devices that are there, by name.
fn there(world: &World<'_>) -> Vec<String> {
    let devices = world.survey.devices();
    let names: Vec<String> = devices.iter().take(SHOWN).map(|device| called(device.name.as_bytes(), device.devno)).collect();
    match devices.len() {
        0 => vec!["no device-mapper device at all".to_string()],
        n if n > SHOWN => vec![format!("{} and {} more", names.join(", "), n - SHOWN)],
        _ => vec![names.join(", ")],
    }
}

/// A device whose content udev has not been allowed to read: what is looked for may be there.
fn unread(world: &World<'_>) -> Option<Finding> {
    let devices = world.survey.devices().iter().filter(|device| {
        let record = Record::read(&world.places.roots.run_udev, device.devno).ok().flatten().unwrap_or_default();
        let private = record.property("DM_UDEV_DISABLE_DISK_RULES_FLAG") == Some(b"1") && record.property("DM_NAME").is_some();
        !private && record.property("ID_FS_USAGE").is_none() && record.property("ID_PART_TABLE_TYPE").is_none() && {
            let suspended = Sysfs::new(&world.places.roots.sys, device.devno).device().is_ok_and(|device| device.suspended);
            // A record without any link there was written without the rules that read the content.
            let without_rules = !record.links().any(|link| link.starts_with(b"disk/"));
            suspended || record.property("DM_NOSCAN") == Some(b"1") || without_rules
        }
    });
    let all: Vec<_> = devices.collect();
    let first = all.first()?;
    let names: Vec<String> = all.iter().take(SHOWN).map(|device| called(device.name.as_bytes(), device.devno)).collect();
    let word = super::word_of(first.name.as_bytes()).unwrap_or_else(|| first.devno.to_string());
    Some(Finding::new(&reason::NOT_READ).with("detail", names.join(", ")).with("other", word))
}

/// A LUKS container that nothing has opened.
fn closed(disks: &Disks) -> Option<Finding> {
    let luks: Vec<&Disk> = disks.all.iter().filter(|disk| disk.holds("crypto_LUKS") && !disk.used).collect();
    let names: Vec<String> = luks.iter().map(|disk| disk.words()).collect();
    let remedy = match luks.as_slice() {
        [] => return None,
        // Its name in crypttab is not known; systemd's own for one without.
        [disk] => disk.open().unwrap_or_default(),
        _ => "Open the right one of them with cryptsetup open.".to_string(),
    };
    Some(Finding::new(&reason::LUKS_CLOSED).with("detail", names.join(", ")).with("remedy", remedy))
}

/// A block device that is not device-mapper's, with what udev knows of it.
struct Disk {
    name: String,
    record: Option<Record>,
    used: bool,
}

struct Disks {
    all: Vec<Disk>,
}

impl Disks {
    /// Disks and partitions that have a size; memory's own (ram, zram) hold nobody's volumes.
    fn find(roots: &Roots) -> Self {
        let entries = fs::read_dir(roots.sys.join("class/block")).into_iter().flatten().flatten();
        let mut all: Vec<Disk> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with("ram") && !name.starts_with("zram"))?;
                let devno: Devno = fs::read_to_string(entry.path().join("dev")).ok()?.trim().parse().ok()?;
                let sysfs = Sysfs::new(&roots.sys, devno);
                let counts = !sysfs.is_device_mapper() && sysfs.size().is_some_and(|size| size > 0);
                counts.then(|| Disk {
                    name: printable(name.replace('!', "/").as_bytes()),
                    record: Record::read(&roots.run_udev, devno).ok().flatten(),
                    used: !sysfs.dependants().is_empty(),
                })
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Self { all }
    }

    fn words(&self) -> Vec<String> {
        if self.all.is_empty() {
            return vec!["none".to_string()];
        }
        let mut words: Vec<String> = self.all.iter().take(SHOWN).map(Disk::words).collect();
        if self.all.len() > SHOWN {
            words.push(format!("and {} more", self.all.len() - SHOWN));
        }
        words
    }
}

impl Disk {
    fn holds(&self, kind: &str) -> bool {
        self.record.as_ref().is_some_and(|record| record.property("ID_FS_TYPE") == Some(kind.as_bytes()))
    }

    /// The step that opens it.
    fn open(&self) -> Option<String> {
        let device = word_of(format!("/dev/{}", self.name).as_bytes())?;
        let uuid = word_of(self.record.as_ref()?.property("ID_FS_UUID")?)?;
        Some(format!("If it is the right one: cryptsetup open {device} luks-{uuid}"))
    }

    fn words(&self) -> String {
        let property = |key: &str| self.record.as_ref().and_then(|record| record.property(key)).map(printable);
        let content = match property("ID_FS_TYPE").as_deref() {
            Some("crypto_LUKS") => "LUKS".to_string(),
            Some("LVM2_member") => "a disk of LVM".to_string(),
            Some(other) => other.to_string(),
            None => return self.name.clone(),
        };
        let uuid = property("ID_FS_UUID").filter(|_| self.holds("crypto_LUKS")).map(|uuid| format!(", UUID {uuid}")).unwrap_or_default();
        format!("{} ({content}{uuid})", self.name)
    }
}

/// What `pvscan --cache` noted under /run/lvm as disks appeared: groups that are complete, and the disks that each has
/// (lvm2, lib/device/online.c).
struct Groups {
    complete: BTreeSet<String>,
    /// Group, disks that it has, disks that are there.
    incomplete: Vec<(String, usize, usize)>,
    /// Groups of which disks were seen; they may have been complete, active, and taken down since.
    seen: BTreeSet<String>,
}

impl Groups {
    fn find(run_lvm: &Path) -> Self {
        let names = |directory: &str| {
            let entries = fs::read_dir(run_lvm.join(directory)).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<BTreeSet<String>>()
        };
        let online = names("pvs_online");
        let complete = names("vgs_online");
        let group = |name: &String| {
            let text = fs::read_to_string(run_lvm.join("pvs_lookup").join(name)).ok()?;
            let disks: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let present = disks.iter().filter(|disk| online.contains(**disk)).count();
            (present < disks.len()).then(|| (name.clone(), disks.len(), present))
        };
        let incomplete = names("pvs_lookup").iter().filter(|name| !complete.contains(*name)).filter_map(group).collect();
        let seen = online.iter().filter_map(|disk| {
            let text = fs::read_to_string(run_lvm.join("pvs_online").join(disk)).ok()?;
            text.lines().find_map(|line| line.strip_prefix("vg:")).map(str::to_string)
        });
        Self { complete, incomplete, seen: seen.collect() }
    }

    fn finding(&self, vg: &str, lv: &str) -> Option<Finding> {
        if let Some((_, disks, present)) = self.incomplete.iter().find(|(name, ..)| name == vg) {
            let missing = disks - present;
            let detail = format!("{missing} of its {disks} disks {} missing", if missing == 1 { "is" } else { "are" });
            let remedy = word_of(vg.as_bytes()).unwrap_or_default();
            return Some(Finding::new(&reason::VG_INCOMPLETE).with("other", vg).with("detail", detail).with("remedy", remedy));
        }
        let reason = match (self.complete.contains(vg), self.seen.contains(vg)) {
            (true, _) => &reason::NOT_ACTIVATED,
            (false, true) => &reason::GROUP_SEEN,
            (false, false) => return None,
        };
        let volume = format!("{vg}/{lv}");
        let volume = word_of(volume.as_bytes()).unwrap_or_default();
        let group = word_of(vg.as_bytes()).unwrap_or_default();
        Some(Finding::new(reason).with("other", vg).with("detail", format!("volume {lv}")).with("name", volume).with("remedy", group))
    }

    fn words(&self) -> Vec<String> {
        let complete = self.complete.iter().map(|name| format!("group {}: complete", printable(name.as_bytes())));
        let incomplete = self.incomplete.iter();
        let incomplete =
            incomplete.map(|(name, disks, present)| format!("group {}: {present} of {disks} disks", printable(name.as_bytes())));
        complete.chain(incomplete).collect()
    }
}
