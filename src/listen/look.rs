//! A look at one device for those who wait for it: no more is asked than the condition needs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::condition::{Facts, Link, Recorded, Work};
use super::subject::block_device;
use crate::cookie::{Flags, Key, census};
use crate::devno::Devno;
use crate::dm::sysfs::Sysfs;
use crate::dm::{Control, Device, Selector};
use crate::error::{Cause, Result};
use crate::info::Roots;
use crate::name::mangle;
use crate::udevdb::Record;

/// How much to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Its state.
    State,
    /// Its state and its link.
    LinkAlone,
    /// Its state, udev's record of it and its link.
    Everything,
}

/// What is known of a device; `None` when it is gone by now.
pub(super) fn facts(roots: &Roots, control: Option<&Control>, devno: Devno, asked: Asked) -> Result<Option<Facts>> {
    let sysfs = Sysfs::new(&roots.sys, devno);
    let device = match control.map_or_else(|| sysfs.device(), |control| control.device(Selector::Devno(devno))) {
        Ok(device) => device,
        Err(error) if *error.cause() == Cause::NotFound => return Ok(None),
        Err(error) => return Err(error.during("wait for")),
    };
    let record = if asked == Asked::Everything { Record::read(&roots.run_udev, devno)? } else { None };
    Ok(Some(Facts {
        devno,
        // Only a device with a table has a size.
        live_table: device.details.map_or_else(|| sysfs.size().is_some_and(|size| size > 0), |details| details.live_table),
        suspended: device.suspended,
        open_count: device.details.map(|details| details.open_count),
        event_number: device.details.map(|details| details.event_number),
        queued: 0,
        work: Work::Done,
        recorded: match asked {
            Asked::Everything => recorded(record.as_ref(), sysfs.diskseq()),
            Asked::State | Asked::LinkAlone => Recorded::Unasked,
        },
        link: if asked == Asked::State { Link::Right } else { link(roots, &device, record.as_ref()) },
        cookie: None,
    }))
}

/// Whether the record is of this device, and of a time when it had a table: before that, the rules keep its name back.
fn recorded(record: Option<&Record>, diskseq: Option<u64>) -> Recorded {
    let Some(record) = record else { return Recorded::No };
    let number = |link: &[u8]| str::from_utf8(link.strip_prefix(b"disk/by-diskseq/")?).ok()?.parse::<u64>().ok();
    let recorded_seq = record.links().find_map(number);
    match (recorded_seq, diskseq) {
        (Some(recorded), Some(now)) if recorded != now => Recorded::Former,
        _ if record.property("DM_NAME").is_some_and(|name| !name.is_empty()) => Recorded::Yes,
        _ => Recorded::No,
    }
}

/// The link of its name, as libdevmapper, this program's rules or udev's own escaping write it.
fn link(roots: &Roots, device: &Device, record: Option<&Record>) -> Link {
    if record.is_some_and(|record| record.flags().contains(Flags::DISABLE_DM_RULES)) {
        return Link::Right;
    }
    let mapper = roots.dev.join("mapper");
    let mangled = mapper.join(&*mangle(device.name.as_bytes()));
    let raw = mapper.join(OsStr::from_bytes(device.name.as_bytes()));
    let recorded = record.into_iter().flat_map(Record::links).filter(|link| link.starts_with(b"mapper/"));
    let all: Vec<PathBuf> =
        [mangled.clone(), raw].into_iter().chain(recorded.map(|link| roots.dev.join(OsStr::from_bytes(link)))).collect();
    let found: Vec<_> = all.into_iter().filter_map(|path| Some((block_device(&path).ok()??, path))).collect();
    match found.into_iter().partition::<Vec<_>, _>(|(devno, _)| *devno == device.devno) {
        (right, _) if !right.is_empty() => Link::Right,
        (_, wrong) => wrong.into_iter().next().map_or(Link::Missing(mangled), |(devno, path)| Link::Wrong(path, devno)),
    }
}

/// A cookie of root's that misses notifications, or may.
pub(super) fn incomplete_cookie(roots: &Roots) -> Option<(Key, u32)> {
    // Without System V IPC no tool waits.
    let (entries, _) = census::take(&roots.proc).ok()?;
    let mut missing = entries.iter().filter(|entry| entry.row.is_of_root()).map(|entry| (entry.row.key, entry.missing().unwrap_or(1)));
    missing.find(|(_, missing)| *missing > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::DmName;
    use std::path::Path;

    fn record(text: &str) -> Record {
        Record::parse(text.as_bytes())
    }

    #[test]
    fn a_record_counts_when_it_names_the_device_and_is_its_own() {
        let current = record("S:disk/by-diskseq/7\nE:DM_NAME=x\n");
        assert_eq!(recorded(None, Some(7)), Recorded::No);
        assert_eq!(recorded(Some(&current), Some(7)), Recorded::Yes);
        assert_eq!(recorded(Some(&current), None), Recorded::Yes);
        assert_eq!(recorded(Some(&current), Some(8)), Recorded::Former);
        assert_eq!(recorded(Some(&record("I:1\nE:DM_UDEV_DISABLE_OTHER_RULES_FLAG=1\n")), Some(7)), Recorded::No);
    }

    #[test]
    fn a_link_that_is_to_be_none_is_right_and_a_missing_one_is_named() {
        let roots = Roots { dev: tempfile::tempdir().unwrap().keep(), ..Roots::default() };
        let device = Device {
            devno: Devno::new(253, 0).unwrap(),
            name: DmName::new("my disk").unwrap(),
            uuid: None,
            suspended: false,
            details: None,
        };
        assert_eq!(link(&roots, &device, None), Link::Missing(roots.dev.join("mapper/my\\x20disk")));
        assert_eq!(link(&roots, &device, Some(&record("E:DM_UDEV_DISABLE_DM_RULES_FLAG=1\n"))), Link::Right);
        std::fs::remove_dir_all(&roots.dev).unwrap();
        assert!(!Path::new(&roots.dev).exists());
    }
}
