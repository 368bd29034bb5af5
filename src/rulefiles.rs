//! The udev rule files that give device-mapper devices their links: which stand where, whose they are, which of them
//! udevd reads.

pub mod programs;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::decision::REFRESH_PROPERTY;

/// What a rule file does. Each stands under one of two names: upstream's, or that of Debian and its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// Identity, flags and the link of the name.
    Identity,
    /// Links of LVM's volumes.
    Volume,
    /// Links in /dev/disk.
    Disk,
    /// Telling the tool that waits.
    Notify,
}

/// Each job, its file's name upstream and on Debian, and what is not done without it: the one table of them.
pub const FILES: [(Job, &str, &str, &str); 4] = [
    (Job::Identity, "10-dm.rules", "55-dm.rules", "no device gets any link"),
    (Job::Volume, "11-dm-lvm.rules", "56-lvm.rules", "LVM volumes get no /dev/VG/LV link"),
    (Job::Disk, "13-dm-disk.rules", "60-persistent-storage-dm.rules", "no device gets a link in /dev/disk"),
    (Job::Notify, "95-dm-notify.rules", "95-dm-notify.rules", "tools that change devices wait for ever"),
];

/// The files' names: upstream's, and those of Debian and its children.
pub const LAYOUTS: [[&str; 4]; 2] = [[FILES[0].1, FILES[1].1, FILES[2].1, FILES[3].1], [FILES[0].2, FILES[1].2, FILES[2].2, FILES[3].2]];

/// Where udevd reads rules, the first directory first: of files of one name it reads the first. See udev(7).
pub const DIRECTORIES: [&str; 5] =
    ["/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"];

const OURS: &[u8] = b"dmhelper(8)";

/// Whose rules a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This program's.
    Ours,
    /// Of lvm2, the distribution or the administrator.
    Other,
    /// Nobody's: an empty file, or a link to /dev/null, turns off what stands behind it.
    Masked,
    /// It may not be read.
    Unreadable,
}

/// One rule file that udevd reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// What it does.
    pub job: Job,
    /// Whether its name is upstream's; that of the notifying file is Debian's as well.
    pub upstream: bool,
    /// Its path.
    pub path: PathBuf,
    /// Whose it is.
    pub origin: Origin,
    /// The version of the interface that it states (`DM_UDEV_RULES_VSN`).
    pub generation: Option<u32>,
    /// Whether it knows the event that `dmhelper refresh` asks for.
    pub refreshes: bool,
    /// Programs that it names and that are not there.
    pub lost_programs: Vec<PathBuf>,
    /// Files of the same name that it hides.
    pub hides: Vec<(PathBuf, Origin)>,
}

/// A file's path, maker and text.
type File = (PathBuf, Origin, Vec<u8>);

/// All rule files of device-mapper.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleFiles(pub Vec<RuleFile>);

/// What is wrong with the rule files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault<'a> {
    /// There are none at all.
    None,
    /// Nothing does this job.
    Missing(Job),
    /// It is turned off.
    Masked(&'a RuleFile),
    /// It names a program that is not there.
    LostProgram(&'a RuleFile, &'a Path),
    /// Two files do the same job.
    Twice(&'a RuleFile, &'a RuleFile),
    /// Two files of one rule set are of different makers.
    Mixed(&'a RuleFile, &'a RuleFile),
}

impl Fault<'_> {
    /// Whether a job is not done because of it.
    pub fn stops(&self, job: Job) -> bool {
        match self {
            Self::None => true,
            Self::Missing(other) => *other == job,
            Self::Masked(file) | Self::LostProgram(file, _) => file.job == job,
            Self::Twice(..) | Self::Mixed(..) => false,
        }
    }
}

impl RuleFiles {
    /// Looks at the directories, the one that counts most first, under a root (`/`).
    pub fn find(root: &Path) -> Self {
        let mut found: BTreeMap<(Job, bool), Vec<File>> = BTreeMap::new();
        let mut seen = Vec::new();
        for directory in DIRECTORIES {
            let directory = root.join(directory.trim_start_matches('/'));
            // /lib is mostly a link to /usr/lib: not a second set.
            let Ok(real) = fs::canonicalize(&directory) else { continue };
            if seen.contains(&real) {
                continue;
            }
            seen.push(real);
            for (job, upstream, debian, _) in FILES {
                let names = [(true, upstream), (false, debian)];
                for (is_upstream, name) in names.into_iter().take(if upstream == debian { 1 } else { 2 }) {
                    let path = directory.join(name);
                    if fs::symlink_metadata(&path).is_ok() {
                        let (origin, text) = read(&path);
                        found.entry((job, is_upstream)).or_default().push((path, origin, text));
                    }
                }
            }
        }
        Self(found.into_iter().filter_map(|((job, upstream), files)| rule_file(root, job, upstream, files)).collect())
    }

    /// The file that does the job; of two, the one that works.
    pub fn of(&self, job: Job) -> Option<&RuleFile> {
        let mut files = self.0.iter().filter(|file| file.job == job);
        files.clone().find(|file| file.origin != Origin::Masked).or_else(|| files.next())
    }

    /// Whether the rules take a device for activated when `dmhelper refresh` asks for it.
    pub fn can_refresh(&self) -> bool {
        self.of(Job::Identity).is_some_and(|file| file.refreshes)
    }

    /// The name that a missing file would have beside those that are there.
    pub fn name_of(&self, job: Job) -> &'static str {
        // The notifying file has one name everywhere.
        let upstream = self.0.iter().any(|file| file.upstream && file.job != Job::Notify);
        let row = FILES.iter().find(|(other, ..)| *other == job);
        row.map_or("", |(_, name, debian, _)| if upstream { name } else { debian })
    }

    /// Everything that is wrong, the worst first.
    pub fn faults(&self) -> Vec<Fault<'_>> {
        if self.0.is_empty() {
            return vec![Fault::None];
        }
        let mut faults = Vec::new();
        for (job, ..) in FILES {
            let mut files = self.0.iter().filter(|file| file.job == job);
            match (self.of(job), files.find(|file| file.origin == Origin::Masked)) {
                (None, _) => faults.push(Fault::Missing(job)),
                (Some(file), Some(_)) if file.origin == Origin::Masked => faults.push(Fault::Masked(file)),
                _ => {}
            }
        }
        for file in &self.0 {
            faults.extend(file.lost_programs.iter().map(|program| Fault::LostProgram(file, program)));
        }
        let working = || self.0.iter().filter(|file| !matches!(file.origin, Origin::Masked | Origin::Unreadable));
        for file in working() {
            if let Some(other) = working().find(|other| other.job == file.job && other.path > file.path) {
                faults.push(Fault::Twice(file, other));
            }
        }
        let first = working().next();
        if let Some((first, other)) = first.and_then(|first| Some((first, working().find(|other| other.origin != first.origin)?)))
            && !faults.iter().any(|fault| matches!(fault, Fault::Twice(..)))
        {
            faults.push(Fault::Mixed(first, other));
        }
        faults
    }
}

/// Whether the text is that of a rule file of ours: the first line says where it is documented.
pub fn is_ours(text: &[u8]) -> bool {
    let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    first.windows(OURS.len()).any(|window| window == OURS)
}

/// What is not done without a file of this job.
pub fn effect(job: Job) -> &'static str {
    FILES.iter().find(|(other, ..)| *other == job).map_or("", |(_, _, _, effect)| effect)
}

fn rule_file(root: &Path, job: Job, upstream: bool, files: Vec<File>) -> Option<RuleFile> {
    let mut files = files.into_iter();
    let (path, origin, text) = files.next()?;
    Some(RuleFile {
        job,
        upstream,
        path,
        origin,
        generation: generation(&text),
        refreshes: rules(&text).any(|line| line.contains(REFRESH_PROPERTY)),
        lost_programs: programs::called(&text)
            .into_iter()
            // One without a path is looked for where a neighbour may have it.
            .filter(|program| program.starts_with(b"/"))
            .map(|program| PathBuf::from(OsString::from_vec(program)))
            .filter(|program| !root.join(program.strip_prefix("/").unwrap_or(program)).exists())
            .collect(),
        hides: files.map(|(path, origin, _)| (path, origin)).collect(),
    })
}

fn read(path: &Path) -> (Origin, Vec<u8>) {
    // Larger than any rule file: not one.
    const SIZE_MAX: u64 = 1 << 20;
    match fs::metadata(path) {
        Ok(file) if file.len() == 0 || file.file_type().is_char_device() => return (Origin::Masked, Vec::new()),
        Ok(file) if !file.is_file() || file.len() > SIZE_MAX => return (Origin::Unreadable, Vec::new()),
        _ => {}
    }
    match fs::read(path) {
        Ok(text) if is_ours(&text) => (Origin::Ours, text),
        Ok(text) => (Origin::Other, text),
        Err(_) => (Origin::Unreadable, Vec::new()),
    }
}

/// The lines that are no comments.
fn rules(text: &[u8]) -> impl Iterator<Item = &str> {
    text.split(|&b| b == b'\n').filter_map(|line| str::from_utf8(line).ok()).filter(|line| !line.trim_start().starts_with('#'))
}

fn generation(text: &[u8]) -> Option<u32> {
    let stated = |line: &str| line.split_once("ENV{DM_UDEV_RULES_VSN}=\"")?.1.split('"').next()?.parse().ok();
    rules(text).find_map(stated)
}

#[cfg(test)]
mod tests;
