//! Links and nodes under a /dev: every change is atomic, nothing outside it is touched.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::devno::Devno;
use crate::error::{Error, Result};

/// A directory of device nodes, usually /dev.
#[derive(Debug, Clone)]
pub struct Dev(PathBuf);

impl Dev {
    /// The directory that links are relative to.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Dev(root.into())
    }

    /// Makes the link lead to the kernel's node of that name: a new link is renamed over whatever stands there, so
    /// that there is no moment without one. Tells whether anything changed.
    pub fn link(&self, link: &str, node: &str) -> Result<bool> {
        let path = self.0.join(link);
        let target = relative(link, node);
        if fs::read_link(&path).is_ok_and(|found| found == Path::new(&target)) {
            return Ok(false);
        }
        let failed = |error: io::Error| Error::io("link", path.as_os_str().as_bytes(), &error);
        // A link, or the block node that a tool has made in its place; but no other thing that happens to have the name.
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_symlink() && !found.file_type().is_block_device()) {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let temporary = self.0.join(format!("{link}.tmp-dmhelper"));
        // Somebody else may take the directory away again in between: once more then.
        for attempt in 0.. {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory).map_err(failed)?;
            }
            let made = match symlink(&target, &temporary) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    fs::remove_file(&temporary).and_then(|()| symlink(&target, &temporary))
                }
                other => other,
            };
            match made.and_then(|()| fs::rename(&temporary, &path)) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < 3 => {}
                Err(error) => {
                    let _ = fs::remove_file(&temporary);
                    return Err(failed(error));
                }
            }
        }
        Ok(true)
    }

    /// Removes the link if it leads to the node, and the directories that are empty then. Tells whether it did.
    pub fn unlink(&self, link: &str, node: &str) -> Result<bool> {
        let path = self.0.join(link);
        if !fs::read_link(&path).is_ok_and(|found| found == Path::new(&relative(link, node))) {
            return Ok(false);
        }
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("unlink", path.as_os_str().as_bytes(), &error)),
        }
        for directory in path.ancestors().skip(1).take_while(|directory| *directory != self.0) {
            if fs::remove_dir(directory).is_err() {
                break; // In use: the ones above it are as well.
            }
        }
        Ok(true)
    }

    /// The node that a link leads to, by its name.
    pub fn node_of(&self, link: &str) -> Option<String> {
        fs::read_link(self.0.join(link)).ok()?.file_name()?.to_str().map(str::to_string)
    }

    /// Makes the kernel's node where no devtmpfs has made it.
    pub fn node(&self, node: &str, devno: Devno) -> Result<()> {
        let path = self.0.join(node);
        let number = makedev(u64::from(devno.major()), u64::from(devno.minor()));
        match fs::symlink_metadata(&path) {
            Ok(found) if found.file_type().is_block_device() && found.rdev() == number => return Ok(()),
            Ok(found) if found.file_type().is_block_device() => drop(fs::remove_file(&path)), // An earlier device's.
            _ => {}
        }
        match mknod(&path, SFlag::S_IFBLK, Mode::from_bits_truncate(0o660), number) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(Error::os("create", path.as_os_str().as_bytes(), errno)),
        }
    }
}

/// The way from a link back to the root and to the node.
fn relative(link: &str, node: &str) -> String {
    "../".repeat(link.matches('/').count()) + node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_relative_and_replaces_whatever_stands_there() {
        let root = tempfile::tempdir().unwrap();
        let dev = Dev::new(root.path());
        assert!(dev.link("disk/by-id/dm-name-x", "dm-3").unwrap());
        assert_eq!(fs::read_link(root.path().join("disk/by-id/dm-name-x")).unwrap(), Path::new("../../dm-3"));
        assert!(!dev.link("disk/by-id/dm-name-x", "dm-3").unwrap(), "nothing to change");
        assert!(dev.link("disk/by-id/dm-name-x", "dm-4").unwrap());
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
        let dev = Dev::new(root.path());
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
        let dev = Dev::new(root.path());
        let devno = Devno::new(253, 1).unwrap();
        match dev.node("dm-1", devno) {
            Ok(()) => {
                assert!(root.path().join("dm-1").metadata().unwrap().file_type().is_block_device());
                dev.node("dm-1", devno).unwrap();
            }
            // An ordinary user may make no nodes; then that is what is said.
            Err(error) => assert_eq!(*error.cause(), crate::error::Cause::Denied),
        }
    }
}
