//! Events as they happen: from the socket to reports, losses repaired by a look at all devices.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::happening::{Origin, Report, What};
use super::subject::Subject;
use super::tracker::{Tracker, sequence_number};
use crate::devno::Devno;
use crate::error::{Error, Result};
use crate::info::Roots;
use crate::uevent::Source;
use crate::uevent::socket::{DATAGRAM_MAX, Received, Socket};

/// What to report.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The kernel's events.
    pub kernel: bool,
    /// Those that udevd has processed.
    pub udev: bool,
    /// Bytes of events that may wait in the kernel.
    pub queue: usize,
}

/// What came in all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Events reported.
    pub events: u64,
    /// Datagrams of a sender that is not believed, or that made no sense.
    pub dropped: u64,
    /// How often the kernel had more events than the queue holds.
    pub overruns: u64,
    /// How many events are lost at most, of all kinds of devices.
    pub lost: u64,
}

/// Output that a slow reader has not taken; with so much, no event is read, and the kernel's queue fills instead.
const OUTPUT_MAX: usize = 1 << 20;
/// What a pipe that is ready to be written takes without blocking (pipe(7), `PIPE_BUF`).
const CHUNK: usize = 4096;
/// Datagrams read before output and signals are looked at again.
const BATCH: usize = 256;

/// Reports events until `stop` is readable or nobody reads `out` any more.
///
/// # Errors
/// No device-mapper in the kernel, no netlink, output that fails for another reason than a closed pipe.
pub fn run(
    roots: &Roots,
    options: Options,
    subjects: &[Subject],
    stop: BorrowedFd<'_>,
    mut out: &File,
    mut format: impl FnMut(&Report) -> Result<String>,
) -> Result<Totals> {
    // The kernel's events are needed for the latency of udevd's, and for the names of devices that are gone.
    let mut socket = Socket::open(true, options.udev, options.queue)?;
    let mut tracker = Tracker::new(roots)?;
    let mut selection = Selection { options, subjects, followed: BTreeSet::new() };
    let mut totals = Totals::default();
    let (mut buffer, mut text, mut repairing) = (vec![0; DATAGRAM_MAX], Vec::new(), false);
    loop {
        let (incoming, outgoing) = (text.len() < OUTPUT_MAX, !text.is_empty());
        let flags = |wanted: bool, flag| if wanted { flag } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(stop, PollFlags::POLLIN),
            PollFd::new(socket.as_fd(), flags(incoming, PollFlags::POLLIN)),
            PollFd::new(out.as_fd(), flags(outgoing, PollFlags::POLLOUT)),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(Error::os("wait for", "events", errno)),
        }
        let [stopped, ready, output] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if !ready.is_empty() && incoming {
            for _ in 0..BATCH {
                let reports = match socket.receive(&mut buffer)? {
                    Received::Event(source, event) => tracker.event(source, event, options.kernel).into_iter().collect(),
                    Received::Dropped => {
                        totals.dropped += 1;
                        Vec::new()
                    }
                    Received::Lost(errno) => {
                        totals.overruns += u64::from(errno == Errno::ENOBUFS);
                        repairing = true;
                        tracker.ledger.unmark();
                        Vec::new()
                    }
                    // Not before: what is queued is older than the loss, and until the queue is empty the kernel adds nothing.
                    Received::Empty if repairing && tracker.ledger.is_marked() => {
                        repairing = false;
                        let (reports, lost) = tracker.repair()?;
                        totals.lost += lost;
                        reports
                    }
                    Received::Empty if repairing => {
                        tracker.ledger.mark(sequence_number(&roots.sys));
                        Vec::new()
                    }
                    Received::Empty => break,
                };
                for report in reports.iter().filter(|report| selection.wants(report)) {
                    totals.events += u64::from(matches!(report.origin, Origin::Event(_)));
                    text.extend(format(report)?.into_bytes());
                }
            }
        }
        let closed = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
        if output.intersects(closed) || (output.contains(PollFlags::POLLOUT) && !write_some(&mut out, &mut text)?) {
            return Ok(totals);
        }
        if !stopped.is_empty() {
            // What is there is written as far as the reader takes it at once.
            while !text.is_empty() && is_writable(out.as_fd()) && write_some(&mut out, &mut text)? {}
            return Ok(totals);
        }
    }
}

/// Writes as much as does not block; `false` when nobody reads any more.
fn write_some(out: &mut &File, text: &mut Vec<u8>) -> Result<bool> {
    let chunk = text.get(..CHUNK.min(text.len())).unwrap_or_default();
    match out.write(chunk) {
        Ok(written) => drop(text.drain(..written)),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
        Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
        Err(error) => return Err(Error::io("write", "standard output", &error)),
    }
    Ok(true)
}

fn is_writable(out: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(out, PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Which reports are wanted.
struct Selection<'a> {
    options: Options,
    subjects: &'a [Subject],
    /// Devices that were meant once: they are followed when they are renamed.
    followed: BTreeSet<Devno>,
}

impl Selection<'_> {
    fn wants(&mut self, report: &Report) -> bool {
        let source = match report.origin {
            Origin::Event(Source::Kernel) => self.options.kernel,
            Origin::Event(Source::Udev) => self.options.udev,
            Origin::Rescan => true,
        };
        let meant = match report.devno {
            _ if self.subjects.is_empty() => true,
            Some(devno) => {
                let before = match &report.what {
                    What::Renamed { from, .. } => Some(from),
                    _ => None,
                };
                let fits = |name| self.subjects.iter().any(|subject| subject.fits(devno, name, report.uuid.as_ref()));
                let fits_now = fits(report.name.as_ref()) || (before.is_some() && fits(before));
                // A new device with the number of one that is gone is not that one.
                let meant = fits_now || (self.followed.contains(&devno) && report.what != What::Created);
                // The last word on a removed device is udevd's, if it answers.
                match report.what {
                    What::Created if !meant => self.followed.remove(&devno),
                    What::DiskRemoved if report.origin == Origin::Event(Source::Udev) || !self.options.udev => self.followed.remove(&devno),
                    _ if meant => self.followed.insert(devno),
                    _ => false,
                };
                meant
            }
            None => true, // a loss, which concerns everybody
        };
        source && meant
    }
}
