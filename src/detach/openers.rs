//! Why a device is not removed: what lies on it, what is mounted from it in any mount namespace, who has it open, and what
//! would be lost.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::targets::{Ties, Writers};
use crate::devno::Devno;
use crate::process::Process;
use crate::survey::{Survey, mounts};
use crate::text::printable;

/// More of a kind than this are counted.
const NAMED_MAX: usize = 4;

/// What keeps a device in use.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// Where its file systems are mounted.
    pub mounts: Vec<String>,
    /// The kernel swaps to it.
    pub swap: bool,
    /// Devices that lie on it.
    pub dependants: Vec<(Devno, String)>,
    /// Processes that have its node open; found only where nothing else explains it.
    pub processes: Vec<String>,
    /// How often it is open.
    pub open_count: Option<i32>,
    /// Devices that still write to what it must see the writes of.
    pub writers: Vec<(Devno, String, &'static Writers)>,
    /// It is not known whether there are any.
    pub unknown: Option<&'static Writers>,
    /// What of it is only in memory, and was not asked to be lost.
    pub memory: Option<&'static str>,
}

impl Reasons {
    /// Looks for what keeps it in use, now; among the devices that lie on it are those that are `here`.
    pub fn of(survey: &Survey<'_>, devno: Devno, open_count: Option<i32>, here: impl Fn(Devno) -> bool) -> Self {
        let above = survey.above(devno).into_iter().filter(|above| here(*above));
        let mut reasons = Self {
            mounts: mount_points(survey, devno),
            swap: survey.is_swap(devno),
            dependants: above.map(|above| (above, name(survey, above))).collect(),
            open_count,
            ..Self::default()
        };
        if !reasons.last() && reasons.dependants.is_empty() && open_count != Some(0) {
            reasons.processes = openers(&survey.roots().proc, devno);
        }
        reasons
    }

    /// Adds what would be lost with it.
    pub fn bind(&mut self, survey: &Survey<'_>, ties: Ties, may_lose: bool, here: impl Fn(Devno) -> bool) {
        let writers = ties.writers.into_iter().filter(|(writer, _)| here(*writer));
        self.writers = writers.map(|(writer, what)| (writer, name(survey, writer), what)).collect();
        self.unknown = ties.unknown;
        self.memory = ties.memory.filter(|_| !may_lose);
    }

    /// Whether they do not go by themselves.
    pub fn last(&self) -> bool {
        self.swap || !self.mounts.is_empty() || self.unknown.is_some() || self.memory.is_some()
    }

    /// The devices that it waits for.
    pub fn others(&self) -> impl Iterator<Item = Devno> {
        self.dependants.iter().map(|(above, _)| *above).chain(self.writers.iter().map(|(writer, ..)| *writer))
    }

    /// In one line, safe to print.
    pub fn text(&self) -> String {
        let names: Vec<String> = self.dependants.iter().map(|(_, name)| name.clone()).collect();
        let uses = [
            list("mounted on ", &self.mounts),
            self.swap.then(|| "as swap".to_string()),
            list("used by ", &names),
            list("opened by ", &self.processes),
            self.open_count
                .filter(|count| *count > 0)
                .map(|count| if count == 1 { "open once".into() } else { format!("open {count} times") }),
        ];
        let uses: Vec<String> = uses.into_iter().flatten().collect();
        let writers = self.writers.iter().map(|(_, name, what)| format!("{} {name} stays: {}", what.role, what.why));
        let unknown = self.unknown.map(|what| format!("{} is not known: {}", what.role, what.why));
        let memory = self.memory.map(|what| format!("{what} would be lost, being only in memory; name it to remove it"));
        let mut parts: Vec<String> = writers.chain(unknown).chain(memory).collect();
        if !uses.is_empty() {
            parts.push(format!("in use: {}", uses.join("; ")));
        }
        if self.swap {
            parts.push("run swapoff first".to_string());
        }
        if parts.is_empty() { "in use".to_string() } else { parts.join("; ") }
    }
}

/// A device's name, safe to print.
fn name(survey: &Survey<'_>, devno: Devno) -> String {
    survey.relate(devno).name.map_or_else(|| devno.to_string(), |name| printable(&name))
}

fn list(words: &str, items: &[String]) -> Option<String> {
    let named: Vec<&str> = items.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = items.len().checked_sub(NAMED_MAX).filter(|more| *more > 0).map_or(String::new(), |more| format!(" and {more} more"));
    (!named.is_empty()).then(|| format!("{words}{}{more}", named.join(", ")))
}

/// Mount points in our own mount namespace, then those of others, with a process that is there.
fn mount_points(survey: &Survey<'_>, devno: Devno) -> Vec<String> {
    let mut points: Vec<String> = survey.mounts(devno).iter().map(|mount| printable(&mount.at)).collect();
    let proc = &survey.roots().proc;
    // One process of each namespace is enough: mountinfo may be long, and there may be thousands.
    let mut namespaces = BTreeMap::new();
    let own = fs::read_link(proc.join("self/ns/mnt")).ok();
    for pid in Process::numbers(proc).unwrap_or_default() {
        if let Ok(namespace) = fs::read_link(proc.join(pid.to_string()).join("ns/mnt")) {
            namespaces.entry(namespace).or_insert(pid);
        }
    }
    for (_, pid) in namespaces.iter().filter(|(namespace, _)| Some(*namespace) != own.as_ref()) {
        let text = fs::read(proc.join(pid.to_string()).join("mountinfo")).unwrap_or_default();
        let here = mounts(&text).into_iter().filter(|mount| mount.major_minor == (devno.major(), devno.minor()));
        points.extend(here.map(|mount| format!("{} in the mount namespace of {}", printable(&mount.at), process(proc, *pid))));
    }
    points
}

/// Processes that have the device's node open.
fn openers(proc: &Path, devno: Devno) -> Vec<String> {
    let has_it_open = |pid: &u32| {
        let files = fs::read_dir(proc.join(pid.to_string()).join("fd")).into_iter().flatten().flatten();
        files.map(|entry| entry.path()).any(|file| {
            // Only what may be a node is looked at: a file of a dead server would never answer.
            fs::read_link(&file).is_ok_and(|target| target.starts_with("/dev"))
                && fs::metadata(&file).is_ok_and(|file| file.file_type().is_block_device() && Devno::from_rdev(file.rdev()) == devno)
        })
    };
    Process::numbers(proc).unwrap_or_default().into_iter().filter(has_it_open).map(|pid| process(proc, pid)).collect()
}

/// `name[number]`, as logs write it.
fn process(proc: &Path, pid: u32) -> String {
    let name = fs::read(proc.join(pid.to_string()).join("comm")).unwrap_or_default();
    format!("{}[{pid}]", printable(name.trim_ascii_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::system::System;

    #[test]
    fn reasons_are_one_line() {
        let number = Devno::new(254, 0).unwrap();
        let mut reasons = Reasons { open_count: Some(1), ..Reasons::default() };
        assert_eq!(reasons.text(), "in use: open once");
        reasons.mounts = (1..7).map(|number| format!("/m{number}")).collect();
        reasons.dependants = vec![(number, "vg-home".to_string())];
        reasons.swap = true;
        reasons.open_count = Some(3);
        assert_eq!(
            reasons.text(),
            "in use: mounted on /m1, /m2, /m3, /m4 and 2 more; as swap; used by vg-home; open 3 times; run swapoff first"
        );
        assert_eq!(Reasons::default().text(), "in use");
    }

    #[test]
    fn mounts_of_other_namespaces_and_openers_are_found() {
        let system = System::new();
        let proc = system.roots.proc.clone();
        for (pid, namespace, text) in [
            ("self", "mnt:[1]", "22 1 254:10 / /own rw - ext4 x rw\n"),
            ("7", "mnt:[1]", "22 1 254:10 / /own rw - ext4 x rw\n"),
            ("8", "mnt:[2]", "22 1 254:10 / /a\\012b rw - ext4 x rw\n23 1 254:0 / /other rw - ext4 x rw\n"),
            ("9", "mnt:[2]", "22 1 254:10 / /c rw - ext4 x rw\n"),
        ] {
            fs::create_dir_all(proc.join(pid).join("ns")).unwrap();
            fs::write(proc.join(pid).join("mountinfo"), text).unwrap();
            fs::write(proc.join(pid).join("comm"), "we\x1bird\n").unwrap();
            std::os::unix::fs::symlink(namespace, proc.join(pid).join("ns/mnt")).unwrap();
        }
        let survey = system.survey();
        let points = Reasons::of(&survey, Devno::new(254, 10).unwrap(), None, |_| true).mounts;
        let [own, other] = points.as_slice() else { panic!("{points:?}") };
        assert_eq!(own, "/own");
        assert!(other.contains(" in the mount namespace of we\\x1bird["), "{other}");
    }
}
