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
use std::thread;
use std::time::Duration;

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
    /// What was bound: whoever takes the path over later has another one there.
    bound: Option<Identity>,
    /// Who was answered and may still have something to say.
    answered: VecDeque<UnixStream>,
}

/// More of them than this are not waited for.
const ANSWERED_MAX: usize = 64;
/// From bind(2) to listen(2), and plenty.
const ABOUT_TO_LISTEN: Duration = Duration::from_millis(20);

impl Claim {
    /// Claims `RUN/control`; refuses where a udevd, or another claim, is alive.
    pub fn new(run_udev: &Path, proc: &Path) -> Result<Self> {
        let path = run_udev.join("control");
        let failed = |errno| Error::os("claim", path.as_os_str().as_bytes(), errno);
        let taken = || failed(Errno::EADDRINUSE).advise("a udevd is running: stop it first, or leave the events to it");
        let is_absent = || Udevd::find(run_udev, proc).is_absent();
        let left = identity(&path); // before the look, which takes long enough for a udevd to start
        if !is_absent() {
            return Err(taken());
        }
        fs::create_dir_all(run_udev).map_err(|error| Error::io("create", run_udev.as_os_str().as_bytes(), &error))?;
        if let Some(left) = left {
            // What a killed one has left, or one that has bound it and is about to listen.
            thread::sleep(ABOUT_TO_LISTEN);
            if !is_absent() {
                return Err(taken());
            }
            remove(&path, left);
        }
        let socket =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None).map_err(failed)?;
        // Under a name of its own first: what is at the path right after bind(2) need not be what was bound.
        let aside = aside(&path);
        let _ = fs::remove_file(&aside);
        bind(socket.as_raw_fd(), &UnixAddr::new(&aside).map_err(failed)?).map_err(failed)?;
        let bound = identity(&aside);
        let linked = listen(&socket, Backlog::new(16).map_err(failed)?).map_err(failed).and_then(|()| {
            // Fails where anything is: whoever came meanwhile was first.
            fs::hard_link(&aside, &path).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => taken(),
                _ => Error::io("claim", path.as_os_str().as_bytes(), &error),
            })
        });
        let _ = fs::remove_file(&aside);
        linked?;
        // The standard library's type for a stream: what it does with a socket is the same for both.
        let listener = UnixListener::from(socket);
        Ok(Self { listener, bound, path: path.clone(), answered: VecDeque::with_capacity(ANSWERED_MAX) })
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
        if let Some(bound) = self.bound {
            remove(&self.path, bound);
        }
    }
}

/// What a file is known by. Where inode numbers are used again, which they are not below /run, its time tells: a socket's
/// never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    made: (i64, i64),
    pub(super) is_socket: bool,
}

/// What is there.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    let found = fs::symlink_metadata(path).ok()?;
    let made = (found.mtime(), found.mtime_nsec());
    Some(Identity { device: found.dev(), inode: found.ino(), made, is_socket: found.file_type().is_socket() })
}

/// A name beside it that no other process uses. [`Udevd::find`] knows it.
fn aside(path: &Path) -> PathBuf {
    path.with_extension(std::process::id().to_string())
}

/// Removes a file, if it is this one. It is looked at where nobody puts another in its place; whose it is after all gets
/// its path back.
fn remove(path: &Path, file: Identity) {
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
    use nix::sys::socket::connect;
    use std::io::Write;

    #[test]
    fn a_claim_is_seen_refuses_a_second_one_and_is_given_up() {
        let run = tempfile::tempdir().unwrap();
        let proc = Path::new("/proc");
        let mut claim = Claim::new(run.path(), proc).unwrap();
        assert!(!Udevd::find(run.path(), proc).is_absent());
        assert!(Claim::new(run.path(), proc).unwrap_err().to_string().contains("a udevd is running"));
        let callers = claim.callers();
        claim.answer(callers);
        drop(claim);
        assert!(Udevd::find(run.path(), proc).is_absent());
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

    /// Starts as udevd does: what is in its way is removed.
    fn start_udevd(path: &Path) -> std::os::fd::OwnedFd {
        let udevd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let mut tries = 0;
        while bind(udevd.as_raw_fd(), &UnixAddr::new(path).unwrap()).is_err() {
            tries += 1;
            assert!(tries < 1000);
            let _ = fs::remove_file(path);
        }
        listen(&udevd, Backlog::new(1).unwrap()).unwrap();
        udevd
    }

    #[test]
    fn a_udevd_that_starts_while_the_place_is_claimed_keeps_it() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join("control");
        for round in 0..60 {
            drop(start_udevd(&path)); // Killed.
            thread::sleep(Duration::from_millis(5));
            thread::scope(|scope| {
                let udevd = scope.spawn(|| {
                    thread::sleep(Duration::from_micros(round * 500));
                    (start_udevd(&path), identity(&path))
                });
                let claim = Claim::new(run.path(), Path::new("/proc"));
                let (_udevd, bound) = udevd.join().unwrap();
                assert_eq!(identity(&path), bound, "round {round}: {claim:?}");
                assert!(claim.is_err() || claim.is_ok_and(|claim| !claim.is_ours()));
                assert_eq!(identity(&path), bound, "round {round}, at the end of the claim");
            });
        }
        assert_eq!(fs::read_dir(run.path()).unwrap().count(), 1, "nothing else stays");
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
