//! The resident completer: completes the cookies of the events that udevd sends on, in place of a process for each.
//!
//! An event is completed at most once ([`judge`]). What may be lost, by an overrun or a crash, is looked for as `dmhelper
//! cookie reap` does (`lost`): only a cookie that is provably stuck is completed then.

pub mod inherited;
pub mod judge;
mod lost;
pub mod right;
pub mod surroundings;
mod udevds;

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use crate::cookie::Cookie;
use crate::cookie::census;
use crate::cookie::completions::Completions;
use crate::error::{Error, Result};
use crate::info::Roots;
use crate::retry::timeout;
use crate::uevent::socket::{Received, Socket, loss};
use crate::uevent::{Source, Uevent};
use judge::{Judge, Verdict};
use lost::Search;
use right::Right;
use udevds::{SOURCES_MAX, Udevds};

/// How long it waits at its end for udevd; systemd's patience (TimeoutStopSec=) is longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Cookies completed for an event that the rules left to us.
    pub completed: u64,
    /// Cookies completed for an event whose worker failed.
    pub failed: u64,
    /// Notifications completed that were lost.
    pub released: u64,
    /// Datagrams of unknown senders, or without sense.
    pub dropped: u64,
    /// Times that the kernel had more events than it could keep for us.
    pub overruns: u64,
}

/// The loop and what it needs.
pub struct Residence<'a> {
    /// Where events come from.
    socket: Socket,
    /// That nobody else completes them.
    right: Right,
    judge: Judge,
    completions: Completions,
    search: Search,
    udevds: Udevds,
    counts: Counts,
    buffer: Vec<u8>,
    roots: &'a Roots,
}

impl<'a> Residence<'a> {
    /// With a socket that has subscribed to udevd's events.
    pub fn new(socket: Socket, right: Right, roots: &'a Roots) -> Self {
        let mut search = Search::default();
        if right.crashed {
            // It may have taken an event out of the socket and died before it completed the cookie.
            log::warn!("listen: the completer before this one did not end in order; looking for cookies that it may have left");
            search.begin();
        }
        let buffer = vec![0; crate::uevent::socket::DATAGRAM_MAX];
        let (judge, completions, counts) = (Judge::default(), Completions::default(), Counts::default());
        Self { socket, right, judge, completions, search, udevds: Udevds::default(), counts, buffer, roots }
    }

    /// Has the rules leave cookies to us, from here on.
    pub fn begin(&mut self) -> Result<()> {
        // Before the token: of one that has ended by then nothing was left to us.
        self.udevds.follow(self.roots, false);
        self.right.publish()?;
        // After the token: what comes later has found it.
        self.judge.begin(seqnum(&self.roots.sys)?);
        Ok(())
    }

    /// Completes until told to stop; then no event is left to us any more, and those that were are completed.
    pub fn run(mut self, stop: &UnixStream) -> Result<Counts> {
        loop {
            let stopping = self.wait(stop)?;
            self.completions.catch_up();
            let heard = self.drain()?;
            if self.udevds.follow(self.roots, heard) {
                self.search.begin();
            }
            if self.search.is_due() {
                let idle = self.catch_up()?;
                self.counts.released += self.search.look(self.roots, idle);
            }
            if stopping {
                let done = self.finish()?;
                self.completions.finish();
                if self.udevds.follow(self.roots, false) {
                    self.search.begin();
                }
                if done && !self.search.is_open(self.roots) {
                    self.right.give_up()?;
                } else {
                    // The token stays withdrawn, which tells the next one to look.
                    log::warn!("listen: some cookies may never be completed: if a tool hangs, `dmhelper cookie reap` releases it");
                }
                return Ok(self.counts);
            }
        }
    }

    /// Sleeps until something has happened or a look is due; tells whether we are to stop.
    fn wait(&self, stop: &UnixStream) -> Result<bool> {
        let sources = [self.socket.as_fd(), stop.as_fd()].into_iter().chain(self.udevds.sources());
        let mut fds: ArrayVec<_, { 2 + SOURCES_MAX }> = sources.map(|source| PollFd::new(source, PollFlags::POLLIN)).collect();
        match poll(&mut fds, timeout([self.search.next(), self.completions.retry().next()])) {
            Ok(_) | Err(Errno::EINTR) => Ok(fds.get(1).is_some_and(|stop| stop.any().unwrap_or(false))),
            Err(errno) => Err(Error::os("wait for", "uevents", errno)),
        }
    }

    /// Handles all that is in the socket; tells whether there was anything.
    fn drain(&mut self) -> Result<bool> {
        let mut heard = false;
        loop {
            let received = self.socket.receive(&mut self.buffer)?;
            heard |= !matches!(received, Received::Empty);
            match received {
                Received::Empty => return Ok(heard),
                Received::Lost(errno) => {
                    self.counts.overruns += u64::from(errno == Errno::ENOBUFS);
                    log::warn!("listen: {}; looking for cookies that are stuck", loss(errno));
                    self.search.begin();
                }
                // It may have been one of udevd's, too long for us.
                Received::Dropped => {
                    self.counts.dropped += 1;
                    self.search.begin();
                }
                Received::Event(Source::Kernel, _) => {}
                Received::Event(Source::Udev, event) => match self.judge.event(event) {
                    Verdict::Leave => {}
                    Verdict::Complete(cookie) => {
                        self.counts.completed += 1;
                        self.completions.complete(cookie);
                    }
                    Verdict::CompleteFailed(cookie) => {
                        self.counts.failed += 1;
                        self.completions.complete(cookie);
                        tell_failed(event, cookie);
                    }
                    Verdict::Doubtful => self.search.begin(),
                    Verdict::Foreign => {
                        log::warn!(
                            "listen: the udev rules leave no cookies to this completer: they are of another package, or told not to"
                        );
                        self.search.begin();
                    }
                },
            }
        }
    }

    /// Handles all that udevd has sent on. Tells whether it had nothing left to do before that, so that nothing of what it
    /// had in hand then is to come any more: it sends an event on before it counts it as done.
    fn catch_up(&mut self) -> Result<bool> {
        let idle = surroundings::is_idle(self.roots);
        self.drain()?;
        Ok(idle)
    }

    /// First nothing is left to us any more; then what udevd has in hand may still have been: until it has nothing, or,
    /// where events never cease, until the cookies of that moment are gone. Tells whether it came to that.
    fn finish(&mut self) -> Result<bool> {
        self.right.withdraw()?;
        self.judge.end();
        let deadline = Instant::now() + PATIENCE;
        let then = sets(&self.roots.proc);
        loop {
            let gone = then.as_ref().zip(sets(&self.roots.proc)).is_some_and(|(then, now)| then.is_disjoint(&now));
            if self.catch_up()? || gone {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                log::warn!("listen: udevd still works on events after {} s; nobody completes their cookies", PATIENCE.as_secs());
                return Ok(false);
            }
            let _ = poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], 50u8);
        }
    }
}

/// The cookies of root that there are, by their sets.
fn sets(proc: &Path) -> Option<BTreeSet<i32>> {
    Some(census::take(proc).ok()?.0.iter().filter(|entry| entry.row.is_of_root()).map(|entry| entry.row.id).collect())
}

/// The number of the kernel's last event.
fn seqnum(sys: &Path) -> Result<u64> {
    let path = sys.join("kernel/uevent_seqnum");
    let text = fs::read_to_string(&path).map_err(|error| Error::io("read", path.as_os_str().as_bytes(), &error))?;
    text.trim_end().parse().map_err(|_| Error::malformed("read", path.as_os_str().as_bytes(), "not a number"))
}

fn tell_failed(event: Uevent<'_>, cookie: Cookie) {
    let device = event.devno().map_or_else(|| "a device".to_string(), |devno| devno.to_string());
    let cause = event.text("UDEV_WORKER_SIGNAL_NAME").map_or_else(|| "failed".to_string(), |name| format!("was killed (SIG{name})"));
    let cause = crate::text::printable(cause.as_bytes());
    let advice = match event.text("ACTION") {
        Some("remove") => String::new(),
        // udevd has removed its record.
        _ => format!("; its links may be missing: udevadm trigger --settle --action=add /sys/dev/block/{device}"),
    };
    log::warn!("complete cookie {cookie}: the udev worker for {device} {cause}{advice}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_waits_longer_than_the_end_takes() {
        let unit = include_str!("../../../systemd/dmhelper-completer.service.in");
        let seconds = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.parse().ok());
        assert!(seconds.map(Duration::from_secs) > Some(PATIENCE), "{seconds:?}");
    }
}
