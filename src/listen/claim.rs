//! Being taken for udevd: libdevmapper synchronises with udev exactly when `/run/udev/control` exists.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, listen, socket};

use crate::error::{Error, Result};
use crate::udevd::Udevd;

/// The claim, given up when dropped. A SIGKILL leaves the file behind; nobody listens on it then, which is what
/// [`Udevd::find`] and the next claim see.
#[derive(Debug)]
pub struct Claim {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and inode of what was bound: whoever takes the path over later has another one there.
    bound: Option<(u64, u64)>,
}

impl Claim {
    /// Claims `RUN/control`; refuses where a udevd, or another claim, is alive.
    pub fn new(run_udev: &Path, proc: &Path) -> Result<Self> {
        let path = run_udev.join("control");
        let failed = |errno| Error::os("claim", path.as_os_str().as_bytes(), errno);
        if Udevd::find(run_udev, proc)? != Udevd::Absent {
            return Err(failed(Errno::EADDRINUSE).advise("a udevd is running: stop it first, or leave the events to it"));
        }
        fs::create_dir_all(run_udev).map_err(|error| Error::io("create", run_udev.as_os_str().as_bytes(), &error))?;
        let _ = fs::remove_file(&path); // What a killed one has left; bind says if it could not be removed.
        let socket =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None).map_err(failed)?;
        bind(socket.as_raw_fd(), &UnixAddr::new(&path).map_err(failed)?).map_err(failed)?;
        listen(&socket, Backlog::new(16).map_err(failed)?).map_err(failed)?;
        Ok(Self { socket, bound: identity(&path), path: path.clone() })
    }

    /// Whether the path still leads to us. A udevd that starts takes it.
    pub fn is_ours(&self) -> bool {
        self.bound.is_some() && identity(&self.path) == self.bound
    }

    /// Answers whoever connects by hanging up: `udevadm settle` and `udevadm control --ping` take that for the answer
    /// that all is done, and it is, because events are handled before this is called.
    pub fn answer(&self) {
        while let Ok(connection) = accept4(self.socket.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            let _ = nix::unistd::close(connection);
        }
    }
}

impl AsFd for Claim {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_seen_refuses_a_second_one_and_is_given_up() {
        let run = tempfile::tempdir().unwrap();
        let proc = Path::new("/proc");
        let claim = Claim::new(run.path(), proc).unwrap();
        assert_eq!(Udevd::find(run.path(), proc).unwrap(), Udevd::Running);
        assert!(Claim::new(run.path(), proc).unwrap_err().to_string().contains("a udevd is running"));
        claim.answer();
        drop(claim);
        assert_eq!(Udevd::find(run.path(), proc).unwrap(), Udevd::Absent);
        assert!(!run.path().join("control").exists());
    }

    #[test]
    fn a_udevd_that_takes_the_path_over_keeps_it() {
        let run = tempfile::tempdir().unwrap();
        let claim = Claim::new(run.path(), Path::new("/proc")).unwrap();
        assert!(claim.is_ours());
        fs::remove_file(run.path().join("control")).unwrap();
        let _udevd = std::os::unix::net::UnixListener::bind(run.path().join("control")).unwrap();
        assert!(!claim.is_ours());
        drop(claim);
        assert!(run.path().join("control").exists());
    }

    #[test]
    fn what_a_killed_one_has_left_is_no_obstacle() {
        let run = tempfile::tempdir().unwrap();
        let proc = Path::new("/proc");
        std::mem::drop(std::os::unix::net::UnixListener::bind(run.path().join("control")).unwrap());
        assert!(run.path().join("control").exists());
        Claim::new(run.path(), proc).unwrap();
    }
}
