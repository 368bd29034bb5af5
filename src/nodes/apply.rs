//! Links and nodes under a /dev: every change is atomic, nothing outside it is touched.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use arrayvec::ArrayString;
use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::devno::Devno;
use crate::error::{Error, Result};
use crate::path::Scratch;

/// The kernel's name of a device's node: `dm-3` (`DISK_NAME_LEN` in linux/blkdev.h).
pub type Node = ArrayString<32>;

/// What the name of a link begins with until it is renamed to its own. udev keeps no `~` in a link, nor does [`super::plan`]: no
/// device has a link of such a name.
const TEMPORARY: &str = "~dmhelper-";

/// A directory of device nodes, usually /dev. Paths are put together in memory that is used again and again.
#[derive(Debug, Clone)]
pub struct Dev {
    root: PathBuf,
    path: Scratch,
    /// A node's path, then a directory's.
    other: Scratch,
    temporary: Scratch,
    target: String,
}

impl Dev {
    /// The directory that links are relative to.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let [path, other, temporary] = std::array::from_fn(|_| Scratch::default());
        Dev { root: root.into(), path, other, temporary, target: String::with_capacity(64) }
    }

    /// Makes the link lead to the kernel's node of that name: a new link is renamed over whatever stands there, so
    /// that there is no moment without one. Tells whether anything changed.
    pub fn link(&mut self, link: &str, node: &str) -> Result<bool> {
        let path = self.path.below(&self.root, format_args!("{link}"));
        let target = relative(&mut self.target, link, node);
        let failed = |error: io::Error| Error::io("link", path.as_os_str().as_bytes(), &error);
        let (name, folder) = (node, link.rsplit_once('/').map_or("", |(folder, _)| folder));
        let node = self.other.below(&self.root, format_args!("{node}"));
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() && found.len() == target.len() as u64 && is_same(path, node) => return Ok(false),
            // Another link, or the block node that a tool has made in its place, is replaced; but no other thing that
            // happens to have the name.
            Ok(found) if !found.is_symlink() && !found.file_type().is_block_device() => {
                return Err(failed(io::ErrorKind::AlreadyExists.into()));
            }
            _ => {}
        }
        let temporary = self.temporary.below(&self.root, format_args!("{folder}/{TEMPORARY}{name}"));
        // Somebody else may take the directory away again in between: once more then.
        for attempt in 0.. {
            let made = match symlink(target, temporary) {
                // Whoever makes a link to this node in this folder makes the same one: another process, or one that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && leads_to(temporary, target) => Ok(()),
                other => other,
            };
            let ours = made.is_ok();
            match made.and_then(|()| fs::rename(temporary, path)) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < 3 => {
                    for (end, _) in link.match_indices('/') {
                        let directory = self.other.below(&self.root, format_args!("{}", link.get(..end).unwrap_or_default()));
                        match fs::create_dir(directory) {
                            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                            _ => {}
                        }
                    }
                }
                Err(error) => {
                    if ours {
                        let _ = fs::remove_file(temporary);
                    }
                    return Err(failed(error));
                }
            }
        }
        Ok(true)
    }

    /// Removes the link if it leads to the node, and the directories that are empty then. Tells whether it did.
    pub fn unlink(&mut self, link: &str, node: &str) -> Result<bool> {
        let path = self.path.below(&self.root, format_args!("{link}"));
        let target = relative(&mut self.target, link, node);
        // Read, though that takes memory for a moment: the node may go, or come again for another device, at any time.
        if !leads_to(path, target) {
            return Ok(false);
        }
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("unlink", path.as_os_str().as_bytes(), &error)),
        }
        for directory in path.ancestors().skip(1).take_while(|directory| *directory != self.root) {
            if fs::remove_dir(directory).is_err() {
                break; // In use: the ones above it are as well.
            }
        }
        Ok(true)
    }

    /// The node that a link leads to, by its name.
    pub fn node_of(&self, link: &str) -> Option<Node> {
        Node::from(fs::read_link(self.root.join(link)).ok()?.file_name()?.to_str()?).ok()
    }

    /// Makes the kernel's node where no devtmpfs has made it. Tells whether it did.
    pub fn node(&mut self, node: &str, devno: Devno) -> Result<bool> {
        let path = self.path.below(&self.root, format_args!("{node}"));
        let number = makedev(u64::from(devno.major()), u64::from(devno.minor()));
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_block_device() && found.rdev() == number => return Ok(false),
            Ok(found) if found.file_type().is_block_device() => drop(fs::remove_file(path)), // An earlier device's.
            _ => {}
        }
        match mknod(path, SFlag::S_IFBLK, Mode::from_bits_truncate(0o660), number) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(Error::os("create", path.as_os_str().as_bytes(), errno)),
        }
    }
}

/// The way from a link back to the root and to the node.
fn relative<'a>(target: &'a mut String, link: &str, node: &str) -> &'a str {
    target.clear();
    link.matches('/').for_each(|_| target.push_str("../"));
    target.push_str(node);
    target
}

fn leads_to(link: &Path, target: &str) -> bool {
    fs::read_link(link).is_ok_and(|found| found == Path::new(target))
}

/// Whether a link ends at this very node. With the right length it then says what it should; to read it would take
/// memory. In doubt, because the node goes at this moment, it does not.
fn is_same(link: &Path, node: &Path) -> bool {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    fs::metadata(link).map(identity).is_ok_and(|found| fs::symlink_metadata(node).map(identity).is_ok_and(|node| node == found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_relative_and_replaces_whatever_stands_there() {
        let root = tempfile::tempdir().unwrap();
        let mut dev = Dev::new(root.path());
        ["dm-3", "dm-4"].iter().for_each(|node| fs::write(root.path().join(node), "").unwrap());
        assert!(dev.link("disk/by-id/dm-name-x", "dm-3").unwrap());
        assert_eq!(fs::read_link(root.path().join("disk/by-id/dm-name-x")).unwrap(), Path::new("../../dm-3"));
        assert!(!dev.link("disk/by-id/dm-name-x", "dm-3").unwrap(), "nothing to change");
        assert!(dev.link("disk/by-id/dm-name-x", "dm-4").unwrap());
        fs::remove_file(root.path().join("disk/by-id/dm-name-x")).unwrap();
        symlink(root.path().join("dm-4"), root.path().join("disk/by-id/dm-name-x")).unwrap();
        assert!(dev.link("disk/by-id/dm-name-x", "dm-4").unwrap(), "an absolute one becomes relative");
        assert_eq!(fs::read_link(root.path().join("disk/by-id/dm-name-x")).unwrap(), Path::new("../../dm-4"));
        fs::create_dir(root.path().join("mapper")).unwrap();
        assert!(dev.link("mapper/x", "dm-3").unwrap());
        assert!(root.path().join("mapper/x").symlink_metadata().unwrap().file_type().is_symlink());
        assert_eq!(fs::read_dir(root.path().join("mapper")).unwrap().count(), 1, "no temporary file stays");
        assert!(dev.link("gpt-auto-root", "dm-3").unwrap());
        assert_eq!(fs::read_link(root.path().join("gpt-auto-root")).unwrap(), Path::new("dm-3"));
    }

    #[test]
    fn only_our_own_link_is_removed_and_empty_directories_with_it() {
        let root = tempfile::tempdir().unwrap();
        let mut dev = Dev::new(root.path());
        dev.link("vg/lv", "dm-3").unwrap();
        assert!(!dev.unlink("vg/lv", "dm-4").unwrap(), "another device has it now");
        assert!(dev.unlink("vg/lv", "dm-3").unwrap());
        assert!(!root.path().join("vg").exists() && root.path().exists());
        assert!(!dev.unlink("vg/lv", "dm-3").unwrap());
        fs::write(root.path().join("file"), "").unwrap();
        assert!(!dev.unlink("file", "dm-3").unwrap());
        assert!(root.path().join("file").exists());
    }

    #[test]
    fn what_is_neither_a_link_nor_a_block_node_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("mapper")).unwrap();
        fs::write(root.path().join("mapper/control"), "").unwrap();
        let error = Dev::new(root.path()).link("mapper/control", "dm-0").unwrap_err();
        assert!(error.to_string().contains("mapper/control"), "{error}");
        assert!(root.path().join("mapper/control").metadata().unwrap().is_file());
    }

    #[test]
    fn no_devices_link_is_in_the_way_of_another_ones_whatever_its_name() {
        let root = tempfile::tempdir().unwrap();
        let mut dev = Dev::new(root.path());
        let neighbours = ["x.tmp-dmhelper", "x.tmp-b253:1", ".x", "x~", "dmhelper-dm-1", ".dmhelper-dm-1", &"n".repeat(255)];
        neighbours.iter().for_each(|name| assert!(dev.link(&format!("mapper/{name}"), "dm-0").unwrap()));
        assert!(dev.link("mapper/x", "dm-1").unwrap());
        let leads = |name: &str| fs::read_link(root.path().join("mapper").join(name)).unwrap();
        neighbours.iter().for_each(|name| assert_eq!(leads(name), Path::new("../dm-0"), "{name}"));
        assert_eq!(leads("x"), Path::new("../dm-1"));
        assert_eq!(fs::read_dir(root.path().join("mapper")).unwrap().count(), neighbours.len() + 1, "no temporary file stays");
    }

    #[test]
    fn a_temporary_link_is_taken_over_and_what_is_none_stays() {
        let root = tempfile::tempdir().unwrap();
        let mut dev = Dev::new(root.path());
        let temporary = root.path().join("mapper/~dmhelper-dm-3");
        fs::create_dir(root.path().join("mapper")).unwrap();
        symlink("../dm-3", &temporary).unwrap();
        assert!(dev.link("mapper/x", "dm-3").unwrap());
        assert!(!temporary.is_symlink() && root.path().join("mapper/x").is_symlink());
        fs::write(&temporary, "").unwrap();
        assert!(dev.link("mapper/y", "dm-3").is_err());
        assert!(temporary.is_file() && !root.path().join("mapper/y").is_symlink());
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("mapper/x/y")).unwrap();
        let error = Dev::new(root.path()).link("mapper/x", "dm-0").unwrap_err();
        assert!(error.to_string().contains("mapper/x:"), "{error}");
        assert_eq!(fs::read_dir(root.path().join("mapper")).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_node_is_made_once() {
        let root = tempfile::tempdir().unwrap();
        let mut dev = Dev::new(root.path());
        let devno = Devno::new(253, 1).unwrap();
        match dev.node("dm-1", devno) {
            Ok(made) => {
                assert!(made && root.path().join("dm-1").metadata().unwrap().file_type().is_block_device());
                assert!(!dev.node("dm-1", devno).unwrap());
            }
            // An ordinary user may make no nodes; then that is what is said.
            Err(error) => assert_eq!(*error.cause(), crate::error::Cause::Denied),
        }
    }
}
