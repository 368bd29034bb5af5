//! udevd's place at `/run/udev/control` and `io.systemd.Udev`: free, or claimed by us; and whether a udevd has come to it
//! since.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::changes::Changes;
use super::claim::{Claim, Found, Paths};
use crate::error::{Error, Result};
use crate::udevd::Udevd;

/// The place, in which there was no udevd at first.
#[derive(Debug)]
pub struct Place {
    pub(super) run_udev: PathBuf,
    pub(super) proc: PathBuf,
    paths: Paths,
    pub(super) claim: Option<Claim>,
    /// What was there and nobody's: a udevd that was killed has left it.
    vacant: Found,
    changes: Option<Changes>,
}

impl Place {
    /// Finds it free, or refuses.
    pub fn free(run_udev: &Path, proc: &Path) -> Result<Self> {
        let paths = Paths::below(run_udev);
        let vacant = paths.look(); // before the other look: whoever comes after it is another one
        refuse(Udevd::find(run_udev, proc))?;
        Ok(Self { run_udev: run_udev.into(), proc: proc.into(), paths, claim: None, vacant, changes: None })
    }

    /// Takes it, so that we are taken for udevd.
    pub fn claim(&mut self) -> Result<()> {
        self.claim = Some(Claim::new(&self.run_udev, &self.proc)?);
        Ok(())
    }

    /// Gives it up, to a udevd that may have come; tells whether it was claimed.
    pub(super) fn give_up(&mut self) -> bool {
        self.vacant = Found::default();
        self.claim.take().is_some()
    }

    /// From here on whoever comes is announced. Where that cannot be had, it is noticed with the next event.
    pub fn watch(&mut self) {
        let _ = fs::create_dir_all(&self.run_udev);
        match Changes::of(&self.run_udev) {
            Ok(changes) => self.changes = Some(changes),
            Err(error) => log::warn!("{error}"),
        }
    }

    /// What becomes readable when somebody comes.
    pub(super) fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.changes.as_ref().map(AsFd::as_fd)
    }

    /// Forgets what was announced; no memory is taken for it.
    pub(super) fn heard(&self) {
        let _ = self.changes.as_ref().is_some_and(Changes::heard);
    }

    /// Whether a udevd has come, or what looks like one: one look at the paths.
    pub fn is_taken(&self) -> bool {
        match &self.claim {
            Some(claim) => !claim.is_ours(),
            None => self.paths.look().is_new_since(self.vacant),
        }
    }

    /// Whether nobody is there any more, once it is given up.
    pub(super) fn is_deserted(&self) -> bool {
        !self.paths.look().is_any_socket()
    }

    /// Who came has gone again, or was none: what it left is no udevd.
    pub(super) fn free_again(&mut self) {
        self.vacant = self.paths.look();
    }
}

/// Refuses beside a udevd: two who complete one cookie make its tool fail.
pub fn refuse(udevd: Udevd) -> Result<()> {
    let refusal = Error::os("listen", "uevents", Errno::EADDRINUSE);
    match udevd {
        udevd if udevd.is_absent() => Ok(()),
        Udevd::Unknown(doubt) => Err(refusal.advise(format!("a udevd may be running: {doubt}"))),
        _ => Err(refusal.advise("a udevd is running: the events are its own")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::{Duration, Instant};

    fn udevd(run: &Path) -> OwnedFd {
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(socket.as_raw_fd(), &UnixAddr::new(&run.join("control")).unwrap()).unwrap();
        socket
    }

    #[test]
    fn a_udevd_that_comes_to_a_free_place_is_announced_and_seen() {
        let run = tempfile::tempdir().unwrap();
        drop(udevd(run.path())); // Nobody listens on it.
        // A child of another test has a copy of it until its program runs.
        let end = Instant::now() + Duration::from_secs(20);
        while !Udevd::find(run.path(), Path::new("/proc")).is_absent() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut place = Place::free(run.path(), Path::new("/proc")).unwrap();
        place.watch();
        assert!(!place.is_taken());
        let announced = |place: &Place| {
            let mut fds = [nix::poll::PollFd::new(place.changes().unwrap(), nix::poll::PollFlags::POLLIN)];
            nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).unwrap() == 1
        };
        assert!(!announced(&place));
        // The old file stays, so that its number is not used again: below /run no number ever is.
        fs::rename(run.path().join("control"), run.path().join("old")).unwrap();
        let comes = udevd(run.path());
        assert!(announced(&place));
        assert!(place.is_taken() && !place.is_deserted());
        place.heard();
        assert!(!announced(&place));
        place.free_again();
        assert!(!place.is_taken(), "had it been none");
        listen(&comes, Backlog::new(1).unwrap()).unwrap();
        assert!(Place::free(run.path(), Path::new("/proc")).unwrap_err().to_string().contains("a udevd may be running"));
    }

    #[test]
    fn a_file_that_a_device_manager_has_made_is_no_udevd() {
        let run = tempfile::tempdir().unwrap();
        let place = Place::free(run.path(), Path::new("/proc")).unwrap();
        fs::write(run.path().join("control"), "").unwrap();
        assert!(!place.is_taken() && place.is_deserted());
    }

    #[test]
    fn a_claimed_place_is_taken_when_another_is_at_the_path_and_not_when_it_is_given_up() {
        let run = tempfile::tempdir().unwrap();
        let mut place = Place::free(run.path(), Path::new("/proc")).unwrap();
        place.claim().unwrap();
        assert!(!place.is_taken());
        fs::remove_file(run.path().join("control")).unwrap();
        assert!(place.is_taken());
        let _udevd = udevd(run.path());
        assert!(place.is_taken() && place.give_up() && !place.is_deserted());
        assert!(!place.give_up() && place.is_taken());
        fs::remove_file(run.path().join("control")).unwrap();
        assert!(!place.is_taken() && place.is_deserted());
    }
}
