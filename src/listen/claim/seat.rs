//! A listening socket where udevd has its own, and what is known of the files there.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::error::{Error, Result};

/// The socket; its file is removed when this is dropped, unless another is there by then.
#[derive(Debug)]
pub(super) struct Seat {
    /// The standard library's type for a stream: what it does with a socket of packets is the same.
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// What was bound: whoever takes the path over later has another one there.
    pub(super) bound: Identity,
}

impl Seat {
    /// Listens at the path, where only root may connect; `None` where anything is.
    pub(super) fn take(path: &Path, kind: SockType) -> Result<Option<Self>> {
        let failed = |errno| Error::os("claim", path.as_os_str().as_bytes(), errno);
        let failed_file = |error| Error::io("claim", path.as_os_str().as_bytes(), &error);
        let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None).map_err(failed)?;
        // Under a name of its own first: what is at the path right after bind(2) need not be what was bound.
        let aside = aside(path);
        let _ = fs::remove_file(&aside);
        bind(socket.as_raw_fd(), &UnixAddr::new(&aside).map_err(failed)?).map_err(failed)?;
        let taken = fs::set_permissions(&aside, Permissions::from_mode(0o600)).map_err(failed_file).and_then(|()| {
            listen(&socket, Backlog::new(16).map_err(failed)?).map_err(failed)?;
            let bound = identity(&aside).ok_or_else(|| failed(Errno::ENOENT))?;
            // Fails where anything is: whoever came meanwhile was first.
            match fs::hard_link(&aside, path) {
                Ok(()) => Ok(Some(bound)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(failed_file(error)),
            }
        });
        let _ = fs::remove_file(&aside);
        Ok(taken?.map(|bound| Self { listener: UnixListener::from(socket), path: path.to_path_buf(), bound }))
    }

    /// Has a link in the place of the socket, if that is still there: there is no moment with neither.
    pub(super) fn become_link(&self, target: &Path) {
        let aside = aside(&self.path);
        let _ = fs::remove_file(&aside);
        let exchange = || renameat_with(CWD, &aside, CWD, &self.path, RenameFlags::EXCHANGE);
        if identity(&self.path) == Some(self.bound)
            && symlink(target, &aside).is_ok()
            && exchange().is_ok()
            && identity(&aside) != Some(self.bound)
        {
            // It was another's after all, who gets it back.
            let _ = exchange();
        }
        let _ = fs::remove_file(&aside);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        remove(&self.path, self.bound);
    }
}

/// What a file is known by. Where inode numbers are used again, which they are not below /run, its time tells: a socket's
/// never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen) struct Identity {
    device: u64,
    inode: u64,
    made: (i64, i64),
    is_socket: bool,
}

impl Identity {
    fn of(found: &fs::Metadata) -> Self {
        let made = (found.mtime(), found.mtime_nsec());
        Self { device: found.dev(), inode: found.ino(), made, is_socket: found.file_type().is_socket() }
    }

    pub(super) fn is_socket(self) -> bool {
        self.is_socket
    }
}

/// What is there; of a link, the link.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    fs::symlink_metadata(path).ok().as_ref().map(Identity::of)
}

/// What is at udevd's two paths, and what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::listen) struct Found {
    /// At `control`, or where that leads.
    pub(super) control: Option<Identity>,
    pub(super) varlink: Option<Identity>,
}

impl Found {
    /// Whether there is a socket that was not there before.
    pub(in crate::listen) fn is_new_since(self, before: Self) -> bool {
        let is_new = |now: Option<Identity>, before| now != before && now.is_some_and(|now| now.is_socket);
        is_new(self.control, before.control) || is_new(self.varlink, before.varlink)
    }

    pub(in crate::listen) fn is_any_socket(self) -> bool {
        [self.control, self.varlink].into_iter().flatten().any(|found| found.is_socket)
    }
}

/// udevd's paths: `control`, which makes tools synchronise, and beside it the socket that it leads to from systemd 262 on.
#[derive(Debug, Clone)]
pub(in crate::listen) struct Paths {
    pub(super) control: PathBuf,
    pub(super) varlink: PathBuf,
}

impl Paths {
    pub(in crate::listen) fn below(run_udev: &Path) -> Self {
        Self { control: run_udev.join("control"), varlink: run_udev.join("io.systemd.Udev") }
    }

    /// No memory is taken for it.
    pub(in crate::listen) fn look(&self) -> Found {
        let control = fs::metadata(&self.control).ok().as_ref().map(Identity::of);
        Found { control, varlink: identity(&self.varlink) }
    }
}

/// A name beside it that no other process uses.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".{}", std::process::id()));
    name.into()
}

/// Removes a file, if it is this one. It is looked at where nobody puts another in its place; whose it is after all gets
/// its path back.
pub(super) fn remove(path: &Path, file: Identity) {
    let aside = aside(path);
    if identity(path) != Some(file) || fs::rename(path, &aside).is_err() {
        return;
    }
    if identity(&aside) != Some(file) {
        let _ = fs::hard_link(&aside, path);
    }
    let _ = fs::remove_file(&aside);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_takes_the_place_of_our_socket_and_of_no_other() {
        let run = tempfile::tempdir().unwrap();
        let paths = Paths::below(run.path());
        let seat = Seat::take(&paths.control, SockType::SeqPacket).unwrap().unwrap();
        assert!(Seat::take(&paths.control, SockType::SeqPacket).unwrap().is_none());
        assert_eq!(fs::metadata(&paths.control).unwrap().permissions().mode() & 0o777, 0o600);
        seat.become_link(&paths.varlink);
        assert_eq!(fs::read_link(&paths.control).unwrap(), paths.varlink);
        seat.become_link(Path::new("/elsewhere"));
        assert_eq!(fs::read_link(&paths.control).unwrap(), paths.varlink, "it is not ours any more");
        drop(seat);
        assert_eq!(fs::read_link(&paths.control).unwrap(), paths.varlink);
        assert_eq!(fs::read_dir(run.path()).unwrap().count(), 1, "nothing else stays");
    }

    #[test]
    fn what_is_new_is_told_from_what_was_left() {
        let run = tempfile::tempdir().unwrap();
        let paths = Paths::below(run.path());
        let none = paths.look();
        assert!(!none.is_any_socket() && !none.is_new_since(none));
        symlink(&paths.varlink, &paths.control).unwrap();
        assert_eq!(paths.look(), none, "a link that leads nowhere");
        fs::write(&paths.varlink, "").unwrap();
        assert!(!paths.look().is_any_socket() && !paths.look().is_new_since(none), "a file");
        fs::remove_file(&paths.varlink).unwrap();
        let _udevd = UnixListener::bind(&paths.varlink).unwrap();
        let there = paths.look();
        assert!(there.is_new_since(none) && there.control == there.varlink && !there.is_new_since(there));
        fs::remove_file(&paths.control).unwrap();
        assert!(!paths.look().is_new_since(there) && paths.look().is_any_socket(), "less is not new");
    }
}
