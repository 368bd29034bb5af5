//! Why a device cannot be removed: what lies on it, what is mounted from it in any mount namespace, who has it open.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

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
}

impl Reasons {
    /// Looks for them, now.
    pub fn of(survey: &Survey<'_>, devno: Devno, open_count: Option<i32>) -> Self {
        let name = |above: &Devno| survey.relate(*above).name.map_or_else(|| above.to_string(), |name| printable(&name));
        let mut reasons = Self {
            mounts: mount_points(survey, devno),
            swap: survey.is_swap(devno),
            dependants: survey.above(devno).iter().map(|above| (*above, name(above))).collect(),
            processes: Vec::new(),
            open_count,
        };
        if !reasons.last() && reasons.dependants.is_empty() {
            reasons.processes = openers(&survey.roots().proc, devno);
        }
        reasons
    }

    /// Whether they do not go by themselves.
    pub fn last(&self) -> bool {
        self.swap || !self.mounts.is_empty()
    }

    /// In one line, safe to print.
    pub fn text(&self) -> String {
        let names: Vec<String> = self.dependants.iter().map(|(_, name)| name.clone()).collect();
        let parts = [
            list("mounted on ", &self.mounts),
            self.swap.then(|| "swapped to: swapoff first".to_string()),
            list("used by ", &names),
            list("opened by ", &self.processes),
            self.open_count
                .filter(|count| *count > 0)
                .map(|count| if count == 1 { "open once".into() } else { format!("open {count} times") }),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "in use".to_string() } else { format!("in use: {}", parts.join("; ")) }
    }
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
    for pid in Process::numbers(proc) {
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
    Process::numbers(proc).filter(has_it_open).map(|pid| process(proc, pid)).collect()
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
            "in use: mounted on /m1, /m2, /m3, /m4 and 2 more; swapped to: swapoff first; used by vg-home; open 3 times"
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
        let points = Reasons::of(&survey, Devno::new(254, 10).unwrap(), None).mounts;
        let [own, other] = points.as_slice() else { panic!("{points:?}") };
        assert_eq!(own, "/own");
        assert!(other.contains(" in the mount namespace of we\\x1bird["), "{other}");
    }
}
