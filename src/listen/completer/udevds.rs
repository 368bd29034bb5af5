//! When a udevd ends, or a worker that has outlived one: what it had in hand may never be sent on. systemd kills the workers of
//! a udevd that dies; from 262 on they wait for its answer for ever; and what waits behind the events in hand when it ends
//! in order may be dropped.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::info::Roots;
use crate::listen::changes::Changes;
use crate::process::Process;
use crate::udevd::{Look, WORKER};

/// More processes than this are not watched; there is one, and workers that have outlived theirs.
const WATCHED_MAX: usize = 8;
/// What [`Udevds::sources`] has at most.
pub(super) const SOURCES_MAX: usize = WATCHED_MAX + 1;

/// The processes that may have events in hand.
#[derive(Debug, Default)]
pub(super) struct Udevds {
    watched: Vec<(Process, OwnedFd)>,
    /// While none of them takes new events: what one makes that comes.
    changes: Option<Changes>,
}

impl Udevds {
    /// Finds who has come, and tells whether something may be lost: one has ended, or one has come and gone, which `heard`, that
    /// something was sent on, is a sign of as well.
    pub(super) fn follow(&mut self, roots: &Roots, mut heard: bool) -> bool {
        let ended = self.have_ended();
        if self.takes_events() {
            return ended;
        }
        heard |= self.changes.as_ref().is_some_and(Changes::heard);
        // Before the look: who comes after it makes something.
        self.changes = self.changes.take().or_else(|| Changes::of(&roots.run_udev).ok());
        self.watch(&Look::take(&roots.run_udev, &roots.proc).processes);
        if self.takes_events() {
            self.changes = None;
            return ended;
        }
        ended || heard
    }

    /// Watches these as well.
    pub(super) fn watch(&mut self, processes: &[Process]) {
        for process in processes {
            if self.watched.len() < WATCHED_MAX && self.watched.iter().all(|(watched, _)| watched.pid != process.pid) {
                let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
                let handle = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
                self.watched.extend(handle.map(|handle| (process.clone(), handle)));
            }
        }
    }

    /// Whether there is one that is no worker.
    fn takes_events(&self) -> bool {
        self.watched.iter().any(|(process, _)| process.name != WORKER)
    }

    /// What becomes readable when one ends, or comes.
    pub(super) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.watched.iter().map(|(_, handle)| handle.as_fd()).chain(self.changes.iter().map(AsFd::as_fd))
    }

    /// Forgets those that have ended; whether there are any.
    fn have_ended(&mut self) -> bool {
        let before = self.watched.len();
        self.watched.retain(|(_, handle)| poll(&mut [PollFd::new(handle.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(0));
        self.watched.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Stdio};

    #[test]
    fn one_that_ends_and_one_that_came_and_went_are_noticed_once() {
        let run = tempfile::tempdir().unwrap();
        let roots = Roots { run_udev: run.path().into(), proc: run.path().join("proc"), ..Roots::default() };
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = Process::read(Path::new("/proc"), child.id()).unwrap().unwrap();
        let mut udevds = Udevds::default();
        assert!(!udevds.follow(&roots, false), "none is there");
        assert!(udevds.follow(&roots, true), "one has sent something on");
        udevds.watch(&[process.clone(), process]);
        assert!(!udevds.follow(&roots, true) && udevds.watched.len() == 1);
        let ready = |udevds: &Udevds| {
            let mut fds: Vec<_> = udevds.sources().map(|source| PollFd::new(source, PollFlags::POLLIN)).collect();
            poll(&mut fds, PollTimeout::from(20_000u16)).unwrap()
        };
        child.kill().unwrap();
        assert_eq!(ready(&udevds), 1);
        assert!(udevds.follow(&roots, false) && !udevds.follow(&roots, false));
        fs::write(run.path().join("queue"), "").unwrap();
        assert_eq!(ready(&udevds), 1);
        assert!(udevds.follow(&roots, false) && !udevds.follow(&roots, false), "its file is there, and it is not");
        child.wait().unwrap();
    }
}
