//! Links in /dev: what stands there, and which devices claim it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::devno::Devno;
use crate::dm::sysfs::Sysfs;
use crate::info::Roots;
use crate::nodes::component::FILE_NAME_MAX;
use crate::udevdb::Record;

/// What stands at a path where a link should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A link to this block device.
    Link(Devno),
    /// A link that leads to no block device.
    Dangling(PathBuf),
    /// A link to the node of a device that is there, where this /dev lacks the node: that of a container which has only
    /// parts of the host's. The link itself is right.
    NoNode(Devno),
    /// A block node.
    Node(Devno),
    /// Something else: what it is.
    Other(&'static str),
}

impl Found {
    /// The block device that it leads to, or is a node of.
    pub fn leads_to(&self) -> Option<Devno> {
        match self {
            Found::Link(devno) | Found::Node(devno) => Some(*devno),
            Found::Missing | Found::Dangling(_) | Found::NoNode(_) | Found::Other(_) => None,
        }
    }
}

/// A device that has a claim to a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its number.
    pub devno: Devno,
    /// Its name and number.
    pub called: String,
    /// Of several claimants the one with the highest gets the link.
    pub priority: i32,
}

/// One link of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its path, relative to /dev.
    pub path: String,
    /// Whether the rules would make it now.
    pub expected: bool,
    /// Whether udev's record of the device names it.
    pub recorded: bool,
    /// What stands there.
    pub found: Found,
    /// The other device that it leads to, by name and number.
    pub elsewhere: Option<String>,
    /// Who claims it, the device itself among them; the winner first.
    pub claims: Vec<Claim>,
}

impl Link {
    /// Whether it leads to the device, and does so as udev makes links.
    pub fn leads_to(&self, devno: Devno) -> bool {
        self.found == Found::Link(devno)
    }
}

/// Looks at a path under /dev. Nothing is opened.
pub fn look(roots: &Roots, link: &str) -> Found {
    let path = roots.dev.join(link);
    let Ok(file) = fs::symlink_metadata(&path) else { return Found::Missing };
    let kind = file.file_type();
    if kind.is_block_device() {
        return Found::Node(Devno::from_rdev(file.rdev()));
    }
    if !kind.is_symlink() {
        return Found::Other(if kind.is_dir() { "a directory" } else { "neither a link nor a block node" });
    }
    match fs::metadata(&path) {
        Ok(target) if target.file_type().is_block_device() => Found::Link(Devno::from_rdev(target.rdev())),
        _ => {
            let target = fs::read_link(&path).unwrap_or_default();
            node_of_device(&roots.sys, &target).map_or(Found::Dangling(target), Found::NoNode)
        }
    }
}

/// The links that a record names. udev notes those as well that no file system can hold, because a name is too long.
pub fn recorded(record: &Record) -> impl Iterator<Item = String> {
    let links = record.links().filter_map(|link| str::from_utf8(link).ok());
    links.filter(|link| link.split('/').all(|name| name.len() <= FILE_NAME_MAX)).map(str::to_string)
}

/// The number of the device-mapper device whose node the link names, if the kernel has one of that name.
fn node_of_device(sys: &Path, target: &Path) -> Option<Devno> {
    let name = target.file_name().filter(|name| name.as_bytes().starts_with(b"dm-"))?;
    fs::read_to_string(sys.join("class/block").join(name).join("dev")).ok()?.trim().parse().ok()
}

/// Who claims which link.
#[derive(Debug)]
pub enum Claims {
    /// udevd keeps a list for each link.
    Listed,
    /// By the records of all devices, read once.
    Recorded(BTreeMap<Vec<u8>, Vec<Devno>>),
}

impl Claims {
    /// Finds out where claims are told: in `RUN/links` (a directory for each link, an entry for each claimant), else in
    /// the records of the devices that are given.
    pub fn find(roots: &Roots, devices: impl Iterator<Item = Devno>) -> Self {
        if roots.run_udev.join("links").is_dir() {
            return Self::Listed;
        }
        let mut claims: BTreeMap<Vec<u8>, Vec<Devno>> = BTreeMap::new();
        for devno in devices {
            let record = Record::read(&roots.run_udev, devno).ok().flatten().unwrap_or_default();
            record.links().for_each(|link| claims.entry(link.to_vec()).or_default().push(devno));
        }
        Self::Recorded(claims)
    }

    /// Whoever claims the link, the winner first.
    pub fn of(&self, roots: &Roots, link: &str, name: &dyn Fn(Devno) -> String) -> Vec<Claim> {
        let mut claimants = match self {
            Self::Listed => claimants(&roots.run_udev, link),
            Self::Recorded(claims) => claims.get(link.as_bytes()).cloned().unwrap_or_default(),
        };
        claimants.sort();
        let mut claims: Vec<Claim> = claimants.into_iter().filter_map(|devno| claim(roots, link, devno, name)).collect();
        claims.sort_by_key(|claim| std::cmp::Reverse(claim.priority));
        claims
    }
}

fn claim(roots: &Roots, link: &str, devno: Devno, name: &dyn Fn(Devno) -> String) -> Option<Claim> {
    let record = Record::read(&roots.run_udev, devno).ok()??;
    // A device that is gone, or another one of that number, claims nothing.
    let claims = record.links().any(|claimed| claimed == link.as_bytes()) && Sysfs::new(&roots.sys, devno).kernel_name().is_some();
    claims.then(|| Claim { devno, called: name(devno), priority: record.link_priority() })
}

/// As udevd lists them.
fn claimants(run_udev: &Path, link: &str) -> Vec<Devno> {
    let lists = run_udev.join("links");
    // systemd, udev-node.c: the path with `/` and `\` escaped; versions differ in whether it begins with one.
    let escaped = link.replace('\\', "\\x5c").replace('/', "\\x2f");
    let entries = [escaped.clone(), format!("\\x2f{escaped}")].iter().find_map(|name| fs::read_dir(lists.join(name)).ok());
    let device = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix('b')?.parse().ok();
    entries.into_iter().flatten().flatten().filter_map(device).collect()
}

/// `disk` has folders of its own; udev links every block device in `block` and every character device in `char`.
const OTHERS: [&str; 3] = ["disk", "block", "char"];

/// Links in the usual directories that lead to the node, whoever made them; paths relative to /dev.
pub fn leading_to(dev: &Path, node: &str) -> Vec<String> {
    let subdirectories = |directory: &str| {
        let entries = fs::read_dir(dev.join(directory)).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    let mut directories = vec![String::new()];
    directories.extend(subdirectories("").into_iter().filter(|name| !OTHERS.contains(&name.as_str())));
    directories.extend(subdirectories("disk").into_iter().map(|name| format!("disk/{name}")));
    let mut links = Vec::new();
    for directory in directories {
        for entry in fs::read_dir(dev.join(&directory)).into_iter().flatten().flatten() {
            let target = entry.file_type().is_ok_and(|kind| kind.is_symlink()).then(|| fs::read_link(entry.path()).ok()).flatten();
            let Some(name) = entry.file_name().to_str().map(str::to_string) else { continue };
            if target.is_some_and(|target| target.file_name().is_some_and(|last| last.as_bytes() == node.as_bytes())) {
                links.push(if directory.is_empty() { name } else { format!("{directory}/{name}") });
            }
        }
    }
    links.sort();
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_stands_at_a_path_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let roots = Roots { dev: at("dev"), sys: at("sys"), ..Roots::default() };
        let dev = &roots.dev;
        fs::create_dir_all(dev.join("mapper")).unwrap();
        fs::create_dir_all(at("sys/class/block/dm-8")).unwrap();
        fs::write(at("sys/class/block/dm-8/dev"), "253:8\n").unwrap();
        fs::write(dev.join("file"), "").unwrap();
        symlink("dm-9", dev.join("gone")).unwrap();
        symlink("../dm-8", dev.join("mapper/hosts")).unwrap();
        symlink("../file", dev.join("mapper/odd")).unwrap();
        assert_eq!(look(&roots, "nothing"), Found::Missing);
        assert_eq!(look(&roots, "file/x"), Found::Missing);
        assert_eq!(look(&roots, "mapper"), Found::Other("a directory"));
        assert_eq!(look(&roots, "gone"), Found::Dangling("dm-9".into()));
        assert_eq!(look(&roots, "mapper/odd"), Found::Dangling("../file".into()));
        assert_eq!(look(&roots, "mapper/hosts"), Found::NoNode(Devno::new(253, 8).unwrap()), "a container's /dev");
        assert_eq!(leading_to(dev, "dm-9"), ["gone"]);
    }

    #[test]
    fn claims_come_from_udevs_list_or_from_the_records_and_the_winner_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let roots = Roots { dev: at("dev"), sys: at("sys"), proc: at("proc"), run_udev: at("udev"), run_dmhelper: at("dmhelper") };
        fs::create_dir_all(at("udev/data")).unwrap();
        fs::create_dir_all(at("sys/dev/block")).unwrap();
        let [low, high, other] = [0, 1, 2].map(|minor| Devno::new(253, minor).unwrap());
        for (devno, text) in [(low, "S:disk/by-uuid/1\nL:-100\n"), (high, "S:disk/by-uuid/1\n"), (other, "S:vg/lv\n")] {
            fs::write(at(&format!("udev/data/b{devno}")), text).unwrap();
            symlink(format!("../../dm-{}", devno.minor()), at(&format!("sys/dev/block/{devno}"))).unwrap();
        }
        let name = |devno: Devno| devno.to_string();
        let claim = |devno: Devno, priority| Claim { devno, called: devno.to_string(), priority };
        let expected = [claim(high, 0), claim(low, -100)];
        let claims = || Claims::find(&roots, [low, high, other].into_iter()).of(&roots, "disk/by-uuid/1", &name);
        assert_eq!(claims(), expected);
        let list = at("udev/links/\\x2fdisk\\x2fby-uuid\\x2f1");
        fs::create_dir_all(&list).unwrap();
        for name in ["b253:0", "b253:1", "b253:2", ".lock", "b9:9", "c1:3"] {
            fs::write(list.join(name), "").unwrap();
        }
        assert_eq!(claims(), expected, "the record of the third does not bear its entry out");
    }
}
