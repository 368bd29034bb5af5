//! An image's tree of files: every path is taken as the booted image would, never as this system would.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use crate::error::{Error, Result};

/// The kernel follows so many symbolic links for one path (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// The tree.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The tree under a directory.
    ///
    /// # Errors
    /// No directory, one that cannot be read, or one that holds no image.
    pub fn open(root: &Path) -> Result<Self> {
        let name = root.as_os_str().as_encoded_bytes();
        let failed = |error: io::Error| Error::io("check-initramfs", name, &error);
        let has = |entry: &str| root.join(entry).symlink_metadata().is_ok();
        if !fs::metadata(root).map_err(failed)?.is_dir() {
            let error = Error::os("check-initramfs", name, Errno::ENOTDIR);
            return Err(error.advise("unpack the image first: dmhelper-initramfs(8) shows how"));
        }
        fs::read_dir(root).map_err(failed)?;
        if !["usr", "bin", "sbin", "lib"].into_iter().any(has) {
            let advice = match has("main") {
                // unmkinitramfs(8) does so where microcode comes first.
                true => "the image was unpacked in parts: check its part `main`",
                false => "unpack the image there first: dmhelper-initramfs(8) shows how",
            };
            return Err(Error::usage("check-initramfs", name, "no image: neither usr, bin, sbin nor lib in it").advise(advice));
        }
        Ok(Self { root: root.to_path_buf() })
    }

    /// Where a path of the image lies here, with every symbolic link on the way resolved inside the tree; `None` where
    /// there is nothing.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        // What is still to be walked, the next component last.
        let mut ahead: Vec<OsString> = Vec::new();
        let push = |ahead: &mut Vec<OsString>, path: &Path| {
            let components = path.components().rev().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
            ahead.extend(components.map(|part| part.as_os_str().to_os_string()));
        };
        push(&mut ahead, path.as_ref());
        let mut place = PathBuf::new();
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            if part == ".." {
                place.pop();
                continue;
            }
            let next = place.join(&part);
            let here = self.root.join(&next);
            if here.symlink_metadata().ok()?.is_symlink() {
                links += 1;
                let target = fs::read_link(&here).ok().filter(|_| links <= LINKS_MAX)?;
                if target.is_absolute() {
                    place.clear();
                }
                push(&mut ahead, &target);
            } else {
                place = next;
            }
        }
        Some(self.root.join(place))
    }

    /// The directory that it lies under.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path as the booted image would call it.
    pub fn name_of(&self, here: &Path) -> Vec<u8> {
        let inside = here.strip_prefix(&self.root).unwrap_or(here);
        [b"/", inside.as_os_str().as_encoded_bytes()].concat()
    }

    /// The content of a file of the image.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let here = self.resolve(path)?;
        // Neither a device nor a pipe, which might never end.
        fs::metadata(&here).ok().filter(fs::Metadata::is_file)?;
        fs::read(here).ok()
    }

    /// Whether there is a program at this path that can be run.
    pub fn program(&self, path: impl AsRef<Path>) -> Program {
        match self.resolve(path).and_then(|here| fs::metadata(here).ok()) {
            Some(file) if file.is_file() && file.mode() & 0o111 != 0 => Program::Present,
            Some(_) => Program::NotExecutable,
            None => Program::Missing,
        }
    }

    /// Names in a directory of the image, sorted; none where there is no such directory.
    pub fn list(&self, path: impl AsRef<Path>) -> Vec<OsString> {
        let entries = self.resolve(path).and_then(|here| fs::read_dir(here).ok());
        let mut names: Vec<_> = entries.into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names
    }

    /// Every file below a directory of the image, as paths here; no link to a directory is followed.
    pub fn files(&self, path: impl AsRef<Path>) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open: Vec<PathBuf> = self.resolve(path).into_iter().collect();
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => open.push(entry.path()),
                    Ok(_) => found.push(entry.path()),
                    Err(_) => {}
                }
            }
        }
        found.sort();
        found
    }
}

/// What is found where a program is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// A file that can be run.
    Present,
    /// Something else.
    NotExecutable,
    /// Nothing, or a link that leads nowhere.
    Missing,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(links: &[(&str, &str)], files: &[&str]) -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        for (link, target) in links {
            fs::create_dir_all(folder.path().join(link).parent().unwrap()).unwrap();
            symlink(target, folder.path().join(link)).unwrap();
        }
        for file in files {
            fs::create_dir_all(folder.path().join(file).parent().unwrap()).unwrap();
            fs::write(folder.path().join(file), file).unwrap();
        }
        let tree = Tree { root: folder.path().to_path_buf() };
        (folder, tree)
    }

    #[test]
    fn links_are_resolved_inside_the_tree() {
        let links = [("lib", "usr/lib"), ("sbin", "/usr/sbin"), ("usr/sbin", "bin"), ("up", "../../../../usr/bin/x")];
        let (_folder, tree) = tree(&links, &["usr/bin/x", "usr/lib/y"]);
        assert_eq!(tree.read("/sbin/x").unwrap(), b"usr/bin/x");
        assert_eq!(tree.read("lib/y").unwrap(), b"usr/lib/y");
        assert_eq!(tree.read("up").unwrap(), b"usr/bin/x");
        assert_eq!(tree.name_of(&tree.resolve("/sbin/x").unwrap()), b"/usr/bin/x");
    }

    #[test]
    fn no_link_leads_out_of_the_tree_or_for_ever_on() {
        let links = [("passwd", "/etc/passwd"), ("host", "../../../../../../../../etc"), ("a", "b"), ("b", "a"), ("etc/x", "/proc/self")];
        let (_folder, tree) = tree(&links, &[]);
        for path in ["passwd", "host/passwd", "a", "etc/x/status"] {
            assert_eq!(tree.read(path), None, "{path}");
        }
        assert_eq!(tree.program("/bin/sh"), Program::Missing, "there is one on the host");
    }

    #[test]
    fn what_is_no_image_is_refused_with_advice() {
        let message = |root: &Path| Tree::open(root).unwrap_err().to_string();
        let (folder, _) = tree(&[], &["main/usr/x", "file"]);
        assert!(message(folder.path()).contains("`main`"));
        assert!(message(&folder.path().join("main/usr")).contains("unpack the image"));
        assert!(message(&folder.path().join("file")).contains("Not a directory"));
        assert!(message(&folder.path().join("nothing")).ends_with("nothing: No such file or directory"));
    }
}
