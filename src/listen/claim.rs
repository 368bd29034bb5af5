//! Being taken for udevd: libdevmapper synchronises with udev exactly when `/run/udev/control` exists, and `udevadm` asks
//! there, or from systemd 262 on at `/run/udev/io.systemd.Udev`. Both are claimed. A udevd of systemd 262 leaves `control`
//! behind as a link to the other: it stays, and leads to the claim.

mod caller;
mod seat;

use std::collections::VecDeque;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::SockType;

use crate::error::{Error, Result};
use crate::udevd::Udevd;
use caller::{Caller, Protocol};
pub(super) use seat::{Found, Paths};
use seat::{Identity, Seat, identity, remove};

/// The claim, given up when dropped. A SIGKILL leaves the files behind; nobody listens there then, which is what
/// [`Udevd::find`] and the next claim see.
#[derive(Debug)]
pub struct Claim {
    paths: Paths,
    /// `None` where `control` is a link that leads to the other.
    control: Option<Seat>,
    varlink: Option<Seat>,
    /// Who has asked something, or was answered and may still have something to say.
    callers: VecDeque<Caller>,
}

/// More of them than this are not kept.
pub(super) const CALLERS_MAX: usize = 64;
/// From bind(2) to listen(2), and plenty.
const ABOUT_TO_LISTEN: Duration = Duration::from_millis(20);

impl Claim {
    /// Claims udevd's sockets in `RUN`; refuses where a udevd, or another claim, is alive or may be.
    pub fn new(run_udev: &Path, proc: &Path) -> Result<Self> {
        let paths = Paths::below(run_udev);
        let failed = |errno| Error::os("claim", paths.control.as_os_str().as_bytes(), errno);
        let taken = || failed(Errno::EADDRINUSE).advise("a udevd is running: stop it first, or leave the events to it");
        let refuse = || match Udevd::find(run_udev, proc) {
            udevd if udevd.is_absent() => Ok(()),
            Udevd::Unknown(doubt) => Err(failed(Errno::EADDRINUSE).advise(format!("a udevd may be running: {doubt}"))),
            _ => Err(taken()),
        };
        // What a killed one has left, or one that has bound it and is about to listen; before the look, which takes long
        // enough for a udevd to start.
        let left = [&paths.varlink, &paths.control].map(|path| identity(path).map(|found| (path.clone(), found)));
        refuse()?;
        fs::create_dir_all(run_udev).map_err(|error| Error::io("create", run_udev.as_os_str().as_bytes(), &error))?;
        let link = fs::read_link(&paths.control).ok();
        let leads_on = match &link {
            None => false,
            Some(target) if run_udev.join(target) == paths.varlink => true,
            Some(target) => {
                return Err(failed(Errno::EEXIST).advise(format!("it leads to {}: remove the link if nothing uses it", target.display())));
            }
        };
        if left.iter().any(Option::is_some) {
            thread::sleep(ABOUT_TO_LISTEN);
            refuse()?;
        }
        for (path, found) in left.into_iter().flatten().filter(|(path, _)| !leads_on || *path != paths.control) {
            remove(&path, found);
        }
        // Each as soon as it is there: what fails afterwards gives it up.
        let mut claim = Self { paths: paths.clone(), control: None, varlink: None, callers: VecDeque::with_capacity(CALLERS_MAX) };
        claim.varlink = Some(Seat::take(&paths.varlink, SockType::Stream)?.ok_or_else(taken)?);
        if !leads_on {
            claim.control = Some(Seat::take(&paths.control, SockType::SeqPacket)?.ok_or_else(taken)?);
        }
        Ok(claim)
    }

    fn bound(seat: Option<&Seat>) -> Option<Identity> {
        seat.map(|seat| seat.bound)
    }

    /// Whether the paths still lead to us. A udevd that starts takes one of them.
    pub fn is_ours(&self) -> bool {
        let found = self.paths.look();
        let varlink = Self::bound(self.varlink.as_ref());
        // Without its socket there is no udevd of the new kind.
        found.control == Self::bound(self.control.as_ref()).or(varlink) && (found.varlink.is_none() || found.varlink == varlink)
    }

    /// What becomes readable when somebody asks something.
    pub(super) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let seats = [&self.control, &self.varlink].into_iter().flatten().map(|seat| seat.listener.as_fd());
        seats.chain(self.callers.iter().map(|caller| caller.stream.as_fd()))
    }

    /// Takes what was asked by now: before the events that are queued are handled; it is answered after.
    pub fn hear(&mut self) {
        let seats = [(&self.control, Protocol::Packets), (&self.varlink, Protocol::Varlink)];
        for (seat, protocol) in seats.into_iter().filter_map(|(seat, protocol)| Some((seat.as_ref()?, protocol))) {
            for (stream, _) in std::iter::from_fn(|| seat.listener.accept().ok()) {
                if self.callers.len() == CALLERS_MAX {
                    self.callers.pop_front();
                }
                self.callers.extend(Caller::new(stream, protocol));
            }
        }
        self.callers.retain_mut(Caller::hear);
    }

    /// Answers who waits: all is done that was to be done when it asked.
    pub fn answer(&mut self) {
        self.callers.retain_mut(|caller| !caller.waits || caller.answer());
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.varlink = None;
        // That of a udevd that has come: one of systemd 262 that was started by hand makes its link only where nothing is.
        let is_taken = identity(&self.paths.varlink).is_some_and(Identity::is_socket);
        if let Some(control) = self.control.as_ref().filter(|_| is_taken) {
            control.become_link(&self.paths.varlink);
        }
        self.control = None;
        // Or that comes just now.
        if identity(&self.paths.varlink).is_some_and(Identity::is_socket) {
            let _ = symlink(&self.paths.varlink, &self.paths.control);
        }
    }
}

#[cfg(test)]
mod tests;
