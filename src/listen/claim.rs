//! Being taken for udevd: libdevmapper synchronises with udev exactly when `/run/udev/control` exists.

use std::collections::VecDeque;
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};

use crate::error::{Error, Result};
use crate::udevd::Udevd;

/// The claim, given up when dropped. A SIGKILL leaves the file behind; nobody listens on it then, which is what
/// [`Udevd::find`] and the next claim see.
#[derive(Debug)]
pub struct Claim {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of what was bound: whoever takes the path over later has another one there.
    bound: Option<Identity>,
    /// Who was answered and may still have something to say.
    answered: VecDeque<UnixStream>,
}

/// More of them than this are not waited for.
const ANSWERED_MAX: usize = 64;

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
        // The standard library's type for a stream: what it does with a socket is the same for both.
        let listener = UnixListener::from(socket);
        Ok(Self { listener, bound: identity(&path), path: path.clone(), answered: VecDeque::with_capacity(ANSWERED_MAX) })
    }

    /// Whether the path still leads to us. A udevd that starts takes it.
    pub fn is_ours(&self) -> bool {
        self.bound.is_some() && identity(&self.path) == self.bound
    }

    /// Whoever has connected by now: to be taken before the events that are queued are handled, and answered after.
    pub fn callers(&mut self) -> Vec<UnixStream> {
        self.answered.retain_mut(|caller| !has_hung_up(caller));
        std::iter::from_fn(|| self.listener.accept().ok()).map(|(caller, _)| caller).collect()
    }

    /// `udevadm settle` and `udevadm control` ask several things and wait for the end of the connection, which tells them
    /// that all is done. They get that end, but the connection stays until they close it: a question sent into a closed
    /// one would kill them with SIGPIPE.
    pub fn answer(&mut self, callers: Vec<UnixStream>) {
        for caller in callers {
            if caller.set_nonblocking(true).and_then(|()| caller.shutdown(Shutdown::Write)).is_err() {
                continue; // It has gone already.
            }
            if self.answered.len() == ANSWERED_MAX {
                self.answered.pop_front();
            }
            self.answered.push_back(caller);
        }
    }
}

/// Reads away what a caller has sent.
fn has_hung_up(caller: &mut UnixStream) -> bool {
    let mut buffer = [0; 512];
    loop {
        match caller.read(&mut buffer) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Ok(0) | Err(_) => return true,
        }
    }
}

impl AsFd for Claim {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device and inode.
pub(super) type Identity = (u64, u64);

/// Which socket is there.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    fs::symlink_metadata(path).ok().filter(|found| found.file_type().is_socket()).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::connect;
    use std::io::Write;

    #[test]
    fn a_claim_is_seen_refuses_a_second_one_and_is_given_up() {
        let run = tempfile::tempdir().unwrap();
        let proc = Path::new("/proc");
        let mut claim = Claim::new(run.path(), proc).unwrap();
        assert_eq!(Udevd::find(run.path(), proc).unwrap(), Udevd::Running);
        assert!(Claim::new(run.path(), proc).unwrap_err().to_string().contains("a udevd is running"));
        let callers = claim.callers();
        claim.answer(callers);
        drop(claim);
        assert_eq!(Udevd::find(run.path(), proc).unwrap(), Udevd::Absent);
        assert!(!run.path().join("control").exists());
    }

    #[test]
    fn a_caller_may_go_on_talking_after_the_answer() {
        let run = tempfile::tempdir().unwrap();
        let mut claim = Claim::new(run.path(), Path::new("/proc")).unwrap();
        let call = || {
            let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
            connect(socket.as_raw_fd(), &UnixAddr::new(&run.path().join("control")).unwrap()).unwrap();
            UnixStream::from(socket)
        };
        let mut caller = call();
        let callers = claim.callers();
        assert_eq!(callers.len(), 1);
        claim.answer(callers);
        for _ in 0..3 {
            caller.write_all(b"a question").unwrap();
        }
        assert_eq!(caller.read(&mut [0; 8]).unwrap(), 0, "no end of the connection");
        assert!(claim.callers().is_empty());
        assert_eq!(claim.answered.len(), 1);
        // Dropping is not enough: a child of another test has a copy until its program runs.
        caller.shutdown(Shutdown::Both).unwrap();
        claim.callers();
        assert_eq!(claim.answered.len(), 0, "who has hung up is forgotten");
        let mut many = Vec::new();
        for _ in 0..ANSWERED_MAX + 6 {
            many.push(call());
            let callers = claim.callers();
            claim.answer(callers);
        }
        assert_eq!(claim.answered.len(), ANSWERED_MAX);
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
        // Nobody ever listens on it: had somebody, a child of another test would for him until its program runs.
        let killed = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(killed.as_raw_fd(), &UnixAddr::new(&run.path().join("control")).unwrap()).unwrap();
        drop(killed);
        assert!(run.path().join("control").exists());
        Claim::new(run.path(), proc).unwrap();
    }
}
