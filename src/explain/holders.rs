//! Who has a device open. The device itself is not touched.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{Finding, called, reason};
use crate::devno::Devno;
use crate::info::{Info, Roots};
use crate::process::Process;
use crate::survey::{Mount, Survey, mounts};
use crate::text::printable;

/// Everybody who can be seen, by reason. A device that is open and whose opener is not seen has that said.
pub fn of(survey: &Survey<'_>, info: &Info, name: &dyn Fn(Devno) -> String) -> Vec<Finding> {
    let (devno, roots) = (info.device.devno, survey.roots());
    let mut holders: Vec<Finding> = Vec::new();
    let about = |reason, detail: String| Finding::new(reason).with("detail", detail);
    holders.extend(places(&roots.proc, devno).iter().map(|place| about(&reason::MOUNTED, place.text()).with("remedy", place.unmount())));
    if survey.is_swap(devno) {
        holders.push(Finding::new(&reason::SWAP).with("link", format!("/dev/mapper/{}", info.device.name)));
    }
    let above = info.dependants.iter().map(|other| (name(other.devno), other.devno));
    let stacked = |(called, other): (String, Devno)| about(&reason::STACKED, called).with("other", other.to_string());
    holders.extend(above.chain(loops(roots, devno)).map(stacked));
    // One that is to be removed is gone as soon as it is closed: whoever has it open must not be hurried.
    let goes = info.device.details.is_some_and(|details| details.deferred_remove);
    let remedy = |process: &String| if goes { String::new() } else { process.clone() };
    let processes = openers(&roots.proc, |path| number_of(path) == Some(devno));
    holders.extend(processes.into_iter().map(|process| about(&reason::PROCESS, process.clone()).with("remedy", remedy(&process))));
    let count = info.device.details.map_or(0, |details| details.open_count);
    if count > 0 && holders.is_empty() {
        let times = if count == 1 { "it is open once".to_string() } else { format!("it is open {count} times") };
        holders.push(about(&reason::HOLDER_UNKNOWN, times));
    }
    holders
}

/// Where a file system is mounted.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// A process of the mount namespace, where it is not our own: its number and its name.
    elsewhere: Option<(u32, String)>,
    at: Vec<u8>,
    /// Another file system is mounted over it: whoever unmounts there unmounts that one.
    covered: bool,
}

impl Place {
    fn text(&self) -> String {
        let covered = if self.covered { ", below another mount" } else { "" };
        let elsewhere = self.elsewhere.as_ref().map(|(_, name)| format!(" in the mount namespace of {name}"));
        format!("{}{covered}{}", printable(&self.at), elsewhere.unwrap_or_default())
    }

    /// The command that unmounts it, there.
    fn unmount(&self) -> String {
        let word = super::word_of(&self.at).filter(|_| !self.covered);
        match (word, &self.elsewhere) {
            (Some(word), None) => format!("umount {word}"),
            (Some(word), Some((pid, _))) => format!("nsenter -t {pid} -m umount {word}"),
            (None, _) => String::new(),
        }
    }
}

/// Where it is mounted: here, and in the mount namespaces of processes that may be looked at. See proc(5), mountinfo.
fn places(proc: &Path, devno: Devno) -> BTreeSet<Place> {
    let own = fs::read_link(proc.join("self/ns/mnt")).unwrap_or_default();
    let mut places = of_table(&fs::read(proc.join("self/mountinfo")).unwrap_or_default(), devno, None);
    let here: BTreeSet<Vec<u8>> = places.iter().map(|place| place.at.clone()).collect();
    // One process of each is enough: there may be thousands.
    let mut namespaces = BTreeSet::from([own]);
    for pid in Process::numbers(proc).unwrap_or_default() {
        let directory = proc.join(pid.to_string());
        let Ok(namespace) = fs::read_link(directory.join("ns/mnt")) else { continue };
        if namespaces.insert(namespace) {
            let table = fs::read(directory.join("mountinfo")).unwrap_or_default();
            // Other namespaces mostly have copies of our own mounts.
            places.extend(of_table(&table, devno, Some((pid, name(proc, pid)))).into_iter().filter(|place| !here.contains(&place.at)));
        }
    }
    places
}

fn of_table(table: &[u8], devno: Devno, elsewhere: Option<(u32, String)>) -> BTreeSet<Place> {
    let mounts = mounts(table);
    let of_device = mounts.iter().filter(|mount| mount.major_minor == (devno.major(), devno.minor()));
    let covered = |mount: &Mount| mounts.iter().any(|other| other.parent == mount.id && other.at == mount.at);
    of_device.map(|mount| Place { elsewhere: elsewhere.clone(), at: mount.at.clone(), covered: covered(mount) }).collect()
}

/// Loop devices that have it as their file.
fn loops(roots: &Roots, devno: Devno) -> Vec<(String, Devno)> {
    let devices = fs::read_dir(roots.sys.join("class/block")).into_iter().flatten().flatten();
    let backed = devices.filter_map(|entry| {
        let path = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
        let path = path.trim_end_matches('\n').strip_prefix("/dev/")?.to_string();
        let own = fs::read_to_string(entry.path().join("dev")).ok()?.trim().parse().ok()?;
        (number_of(&roots.dev.join(path)) == Some(devno)).then(|| (called(entry.file_name().as_encoded_bytes(), own), own))
    });
    backed.collect()
}

fn number_of(path: &Path) -> Option<Devno> {
    let file = fs::metadata(path).ok()?;
    file.file_type().is_block_device().then(|| Devno::from_rdev(file.rdev()))
}

/// Processes that have the control node open: tools at work, and the daemons that wait for events.
pub(super) fn of_control(roots: &Roots) -> Vec<String> {
    let number = |path: &Path| fs::metadata(path).ok().filter(|file| file.file_type().is_char_device()).map(|file| file.rdev());
    let Some(control) = number(&roots.dev.join("mapper/control")) else { return Vec::new() };
    let own = std::process::id().to_string();
    let others = openers(&roots.proc, |path| number(path) == Some(control));
    others.into_iter().filter(|process| !process.ends_with(&format!("[{own}]"))).collect()
}

/// Processes with a device open, where this user may see that. Only paths in /dev are followed: a file on a server that
/// has gone would make us wait.
fn openers(proc: &Path, is_it: impl Fn(&Path) -> bool) -> Vec<String> {
    let holds = |pid: &u32| {
        let files = fs::read_dir(proc.join(pid.to_string()).join("fd")).into_iter().flatten().flatten();
        files.map(|file| file.path()).any(|file| fs::read_link(&file).is_ok_and(|target| target.starts_with("/dev")) && is_it(&file))
    };
    Process::numbers(proc).unwrap_or_default().into_iter().filter(holds).map(|pid| name(proc, pid)).collect()
}

/// `NAME[PID]`, as logs write it.
fn name(proc: &Path, pid: u32) -> String {
    let name = fs::read(proc.join(pid.to_string()).join("comm")).unwrap_or_default();
    format!("{}[{pid}]", printable(name.trim_ascii_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_mount_in_another_namespace_is_unmounted_there_and_none_that_another_covers() {
        let proc = tempfile::tempdir().unwrap();
        let own = "24 1 253:3 / /my\\040home rw - ext4 x rw\n25 1 253:30 / /x rw - ext4 x rw\n26 1 253:4 / /c rw - ext4 x rw\n\
            27 26 253:5 / /c rw - ext4 x rw\n28 1 253:3\nrubbish\n";
        let other = "44 1 253:3 / /my\\040home rw - ext4 x rw\n45 1 253:4 / /its rw - ext4 x rw\n";
        for (pid, namespace, table) in [("self", "mnt:[1]", own), ("1", "mnt:[1]", own), ("7", "mnt:[2]", other), ("8", "mnt:[2]", other)] {
            fs::create_dir_all(proc.path().join(pid).join("ns")).unwrap();
            symlink(namespace, proc.path().join(pid).join("ns/mnt")).unwrap();
            fs::write(proc.path().join(pid).join("mountinfo"), table).unwrap();
            fs::write(proc.path().join(pid).join("comm"), "a b\n").unwrap();
        }
        let of = |minor| {
            let found = places(proc.path(), Devno::new(253, minor).unwrap());
            found.iter().map(|place| (place.text(), place.unmount())).collect::<Vec<_>>()
        };
        assert_eq!(of(3), [("/my home".to_string(), "umount '/my home'".to_string())], "a copy is no second place");
        let [covered, elsewhere] = <[_; 2]>::try_from(of(4)).unwrap();
        assert_eq!(covered, ("/c, below another mount".to_string(), String::new()));
        assert!(elsewhere.0.starts_with("/its in the mount namespace of a b["), "{elsewhere:?}");
        assert!(elsewhere.1.starts_with("nsenter -t ") && elsewhere.1.ends_with(" -m umount /its"), "{elsewhere:?}");
        assert_eq!(of(5), [("/c".to_string(), "umount /c".to_string())]);
        assert_eq!(of(6), []);
    }
}
