//! Who has a device open. The device itself is not touched.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{Finding, called, reason};
use crate::devno::Devno;
use crate::info::{Info, Roots};
use crate::survey::Survey;
use crate::text::printable;

const ELSEWHERE: &str = " (in another mount namespace)";

/// Everybody who can be seen, by reason. A device that is open and whose opener is not seen has that said.
pub fn of(survey: &Survey<'_>, info: &Info, name: &dyn Fn(Devno) -> String) -> Vec<Finding> {
    let (devno, roots) = (info.device.devno, survey.roots());
    let mut holders: Vec<Finding> = Vec::new();
    let about = |reason, detail: String| Finding::new(reason).with("detail", detail);
    let here = survey.mounts(devno).iter().map(|mount| printable(&mount.at)).collect();
    for place in mounts(&roots.proc, devno, here) {
        let path = place.trim_end_matches(ELSEWHERE);
        let word = super::word_of(path.as_bytes()).unwrap_or_else(|| path.to_string());
        holders.push(about(&reason::MOUNTED, place.clone()).with("other", word));
    }
    if survey.is_swap(devno) {
        holders.push(Finding::new(&reason::SWAP).with("link", format!("/dev/mapper/{}", info.device.name)));
    }
    holders.extend(info.dependants.iter().map(|other| about(&reason::STACKED, name(other.devno))));
    holders.extend(loops(roots, devno).into_iter().map(|name| about(&reason::STACKED, name)));
    holders.extend(processes(&roots.proc, devno).into_iter().map(|process| about(&reason::PROCESS, process)));
    let count = info.device.details.map_or(0, |details| details.open_count);
    if count > 0 && holders.is_empty() {
        let times = if count == 1 { "it is open once".to_string() } else { format!("it is open {count} times") };
        holders.push(about(&reason::HOLDER_UNKNOWN, times));
    }
    holders
}

/// Where it is mounted: here, and in the mount namespaces of processes that may be looked at. See proc(5), mountinfo.
fn mounts(proc: &Path, devno: Devno, here: BTreeSet<String>) -> BTreeSet<String> {
    let number = devno.to_string();
    let mut namespaces = BTreeSet::from([fs::read_link(proc.join("self/ns/mnt")).unwrap_or_default()]);
    let mut places = here.clone();
    for directory in pids(proc).map(|pid| proc.join(pid)) {
        let Ok(namespace) = fs::read_link(directory.join("ns/mnt")) else { continue };
        if !namespaces.insert(namespace) {
            continue;
        }
        for line in fs::read(directory.join("mountinfo")).unwrap_or_default().split(|&b| b == b'\n') {
            let mut fields = line.split(|&b| b == b' ');
            if fields.nth(2) == Some(number.as_bytes())
                && let Some(place) = fields.nth(1).map(|place| printable(&octal(place)))
                // Other namespaces mostly have copies of our own mounts.
                && !here.contains(&place)
            {
                places.insert(place + ELSEWHERE);
            }
        }
    }
    places
}

/// `\040` and its like, as the kernel's tables write white space in paths.
fn octal(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let number = tail.get(..3).and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        (rest, _) = match (first, number) {
            (b'\\', Some(byte)) => (tail.get(3..).unwrap_or_default(), out.push(byte)),
            _ => (tail, out.push(*first)),
        };
    }
    out
}

/// Loop devices that have it as their file.
fn loops(roots: &Roots, devno: Devno) -> Vec<String> {
    let devices = fs::read_dir(roots.sys.join("class/block")).into_iter().flatten().flatten();
    let backed = devices.filter_map(|entry| {
        let path = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
        let path = path.trim_end_matches('\n').strip_prefix("/dev/")?.to_string();
        let own = fs::read_to_string(entry.path().join("dev")).ok()?.trim().parse().ok()?;
        (number_of(&roots.dev.join(path)) == Some(devno)).then(|| called(entry.file_name().as_encoded_bytes(), own))
    });
    backed.collect()
}

fn number_of(path: &Path) -> Option<Devno> {
    let file = fs::metadata(path).ok()?;
    file.file_type().is_block_device().then(|| Devno::from_rdev(file.rdev()))
}

fn pids(proc: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
}

/// Processes with the device open, where this user may see that. Only paths in /dev are followed: a file on a server
/// that has gone would make us wait.
fn processes(proc: &Path, devno: Devno) -> Vec<String> {
    let holds = |pid: &String| {
        let files = fs::read_dir(proc.join(pid).join("fd")).into_iter().flatten().flatten();
        files
            .map(|file| file.path())
            .any(|file| fs::read_link(&file).is_ok_and(|target| target.starts_with("/dev")) && number_of(&file) == Some(devno))
    };
    let name = |pid: String| {
        let name = fs::read(proc.join(&pid).join("comm")).unwrap_or_default();
        format!("{}[{pid}]", printable(name.trim_ascii_end()))
    };
    pids(proc).filter(holds).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_mount_in_another_namespace_is_found_by_its_number_and_told_apart() {
        let proc = tempfile::tempdir().unwrap();
        let table = "24 1 253:3 / /my\\040home rw - ext4 /dev/dm-3 rw\n25 1 253:30 / /x rw - ext4 x rw\n26 1 253:3\nrubbish\n";
        for (name, namespace) in [("self", "mnt:[1]"), ("1", "mnt:[1]"), ("7", "mnt:[2]")] {
            fs::create_dir_all(proc.path().join(name).join("ns")).unwrap();
            symlink(namespace, proc.path().join(name).join("ns/mnt")).unwrap();
            fs::write(proc.path().join(name).join("mountinfo"), table).unwrap();
        }
        let of = |minor, here: &[&str]| {
            let here = here.iter().map(|place| place.to_string()).collect();
            mounts(proc.path(), Devno::new(253, minor).unwrap(), here).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of(3, &["/my home"]), ["/my home"], "a copy is no second place");
        assert_eq!(of(3, &[]), ["/my home (in another mount namespace)"]);
        assert_eq!(of(4, &[]), Vec::<String>::new());
        assert_eq!(octal(b"a\\134b\\04\\999"), b"a\\b\\04\\999");
    }
}
