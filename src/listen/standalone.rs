//! The loop of `dmhelper listen`: events in, links out, cookies completed.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use super::claim::{CALLERS_MAX, Claim};
use super::engine::{Engine, Seen};
use super::handover::Held;
use super::place::Place;
use super::unsettled::{self, Unsettled};
use crate::cookie::census;
use crate::cookie::completions::Completions;
use crate::devno::Devno;
use crate::dm::sysfs::Sysfs;
use crate::dm::{Control, Selector};
use crate::error::{Cause, Error, Result};
use crate::nodes::apply::Node;
use crate::retry::timeout;
use crate::udevdb::Record;
use crate::uevent::socket::{Received, Socket, loss};
use crate::uevent::{Source, Uevent};

/// How long not to ask again when memory is too short to wait.
const PAUSE: Duration = Duration::from_millis(50);
/// Events handled before we look whether we are to stop.
const AT_ONCE: u64 = 1000;

/// What the loop waits for: events, the end, changes in udevd's directory, the claim's sockets and who has called there.
const SOURCES_MAX: usize = 5 + CALLERS_MAX;

/// What became of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events of device-mapper devices.
    pub events: u64,
    /// Cookies completed.
    pub completed: u64,
    /// Datagrams of unknown senders, or without sense.
    pub dropped: u64,
    /// Times that the kernel had more events than it could keep for us.
    pub overruns: u64,
}

impl Counts {
    pub(super) fn lost(&mut self, errno: Errno) {
        self.overruns += u64::from(errno == Errno::ENOBUFS);
    }
}

/// Why no more events are handled.
enum Drained {
    /// There are none.
    All,
    /// It is time to look at other things.
    Enough,
    /// A udevd has come, and this event may be its own.
    Taken(Held),
}

/// The loop and what it needs.
pub struct Standalone<'a> {
    /// Decides and acts.
    pub engine: Engine,
    /// Where events come from, the kernel's and, once one has come, a udevd's; subscribed before the first look around.
    pub socket: Socket,
    /// Completes cookies, and those again that failed.
    pub completions: Completions,
    /// What else has failed and is done again.
    pub unsettled: Unsettled,
    /// The control node, for looking around.
    pub control: &'a Control,
    /// The place of udevd, claimed or not.
    pub place: Place,
    /// Room for one datagram: [`DATAGRAM_MAX`](crate::uevent::socket::DATAGRAM_MAX) bytes, which are there before memory is locked.
    pub buffer: Vec<u8>,
    /// A pipe that becomes readable when the loop is to end.
    pub stop: UnixStream,
    /// sysfs (`/sys`).
    pub sys: &'a Path,
    /// procfs (`/proc`).
    pub proc: &'a Path,
}

impl Standalone<'_> {
    /// Follows events until told to stop, or until a udevd has come. When told, it gives the claim up and goes on until the
    /// cookies that were made while it stood are complete.
    pub fn run(mut self) -> Result<Counts> {
        let counts = self.follow();
        self.completions.finish();
        counts
    }

    fn follow(&mut self) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let stopping = self.wait()?;
            // In this order: an event that came before a call is handled before the call is answered.
            if let Some(claim) = &mut self.place.claim {
                claim.hear();
            }
            let Some(all) = self.serve(&mut buffer, &mut counts)? else { return Ok(counts) };
            if let Some(claim) = self.place.claim.as_mut().filter(|_| all) {
                claim.answer();
            }
            if stopping {
                let _ = self.stop.read(&mut [0; 1]);
                self.finish(&mut buffer, &mut counts)?;
                return Ok(counts);
            }
        }
    }

    /// Sleeps until something has happened; tells whether we are to stop.
    fn wait(&self) -> Result<bool> {
        let sources = [self.socket.as_fd(), self.stop.as_fd()].into_iter().chain(self.place.changes());
        let sources = sources.chain(self.place.claim.iter().flat_map(Claim::sources));
        let mut fds: ArrayVec<_, SOURCES_MAX> = sources.map(|source| PollFd::new(source, PollFlags::POLLIN)).collect();
        let stopping = match poll(&mut fds, timeout([self.unsettled.retry.next(), self.completions.retry().next()])) {
            Ok(_) | Err(Errno::EINTR) => fds.get(1).is_some_and(|stop| stop.any().unwrap_or(false)),
            Err(Errno::ENOMEM | Errno::EAGAIN) => {
                thread::sleep(PAUSE);
                false
            }
            Err(errno) => return Err(Error::os("wait for", "uevents", errno)),
        };
        self.place.heard();
        Ok(stopping)
    }

    /// First nobody starts to wait for us any more; then whoever has started is answered, within reason.
    fn finish(&mut self, buffer: &mut [u8], counts: &mut Counts) -> Result<()> {
        const REASON: Duration = Duration::from_secs(10);
        const LOOK: u16 = 100;
        let claimed = self.place.give_up();
        let deadline = Instant::now() + REASON;
        loop {
            if self.serve(buffer, counts)?.is_none() {
                return Ok(());
            }
            let waited_for =
                claimed && census::take(self.proc).map_or(true, |(entries, _)| entries.iter().any(|entry| entry.row.is_of_root()));
            if !waited_for || Instant::now() >= deadline {
                return Ok(());
            }
            // Events wake us; what has none, a tool between two of its steps, is looked at again.
            let _ = poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], LOOK);
        }
    }

    /// Handles queued events and tells whether these were all; `None` when a udevd has come and all is handed over
    /// to it.
    fn serve(&mut self, buffer: &mut [u8], counts: &mut Counts) -> Result<Option<bool>> {
        self.completions.catch_up();
        if self.unsettled.retry.is_due() && !self.place.is_taken() {
            self.catch_up();
        }
        let first = match self.drain(buffer, counts)? {
            Drained::Taken(first) => Some(first),
            _ if self.place.is_taken() => None,
            Drained::All => return Ok(Some(true)),
            Drained::Enough => return Ok(Some(false)),
        };
        let over = self.hand_over(first, buffer, counts)?;
        Ok((!over).then_some(false))
    }

    /// Handles all queued events. A loss is repaired after them: the kernel tells it before it hands out the events
    /// that it kept, which are older.
    fn drain(&mut self, buffer: &mut [u8], counts: &mut Counts) -> Result<Drained> {
        let mut lost = None;
        let before = counts.events;
        loop {
            // A storm must not keep us from hearing that we are to stop.
            if lost.is_none() && counts.events - before >= AT_ONCE {
                return Ok(Drained::Enough);
            }
            match self.socket.receive(buffer)? {
                // What happens meanwhile is queued again.
                Received::Empty => match lost.take() {
                    Some(errno) => self.recover(errno),
                    None => return Ok(Drained::All),
                },
                Received::Dropped => counts.dropped += 1,
                Received::Lost(errno) => {
                    counts.lost(errno);
                    lost = Some(errno);
                }
                Received::Event(Source::Kernel, event) if event.is_device_mapper() => {
                    counts.events += 1;
                    // Looked at twice: to handle an event may take long, where there is a prober.
                    let taken = self.place.is_taken();
                    let handled = if taken { Ok(()) } else { self.unsettled.handle(&mut self.engine, event) };
                    if taken || event.cookie().is_some() && self.place.is_taken() {
                        if let Err(error) = handled {
                            log::error!("{error}");
                        }
                        if lost.is_some() {
                            self.name_waited_for();
                        }
                        return Ok(Drained::Taken(Held::new(event, !taken)));
                    }
                    counts.completed += u64::from(complete(event, handled, &mut self.completions));
                }
                Received::Event(..) => {}
            }
        }
    }

    /// After a loss: everything is looked at again, and the cookies that may have lost their events are named.
    fn recover(&mut self, errno: Errno) {
        log::warn!("listen: {}; looking at all devices again", loss(errno));
        self.unsettled.all = true;
        self.catch_up();
        self.name_waited_for();
    }

    /// Does what is left to do.
    fn catch_up(&mut self) {
        self.unsettled.redo_all(&mut self.engine);
        if std::mem::take(&mut self.unsettled.all)
            && let Err(error) = self.look_around()
        {
            self.unsettled.all = true;
            log::error!("{error}");
        }
        self.unsettled.attempted();
    }

    /// Brings everything to the state of the devices that are there now. What fails of it is done again, if that may help.
    ///
    /// # Errors
    /// Devices that cannot be listed.
    pub fn look_around(&mut self) -> Result<()> {
        let (present, seen, mut failures) = look(self.control, self.sys)?;
        failures.extend(self.engine.look_around(&present, &seen));
        failures.iter().for_each(|error| log::error!("{error}"));
        if failures.iter().any(Error::may_pass) {
            self.unsettled.look_again();
        }
        Ok(())
    }

    /// Names the cookies that may have lost events.
    pub(super) fn name_waited_for(&self) {
        match census::take(self.proc) {
            Ok((entries, _)) => entries.iter().filter(|entry| entry.row.is_of_root() && entry.waiting > 0).for_each(|entry| {
                log::warn!("listen: cookie {} is waited for and may have lost its events; see `dmhelper cookie list`", entry.row.key);
            }),
            Err(error) => log::error!("{error}"),
        }
    }
}

/// Acts on one event and then completes its cookie, whatever the acting came to. Tells whether there was one. For a program
/// that ends right after: what fails is tried for a moment.
pub fn process(engine: &mut Engine, event: Uevent<'_>) -> bool {
    let mut completions = Completions::default();
    let handled = unsettled::handle(engine, event);
    let completed = complete(event, handled, &mut completions);
    completions.finish();
    completed
}

/// Completes the cookie of an event that was acted on. Tells whether there was one.
pub(super) fn complete(event: Uevent<'_>, handled: Result<()>, completions: &mut Completions) -> bool {
    let cookie = event.cookie().filter(|cookie| cookie.key().is_some());
    if let Some(cookie) = cookie {
        completions.complete(cookie);
    }
    if let Err(error) = handled {
        log::error!("{error}");
    }
    cookie.is_some()
}

/// All devices as they are now: those that the kernel lists, those of them that could be looked at, and why others could not.
/// One ioctl for the list, one for each device's state.
fn look(control: &Control, sys: &Path) -> Result<(Vec<Devno>, Vec<Seen>, Vec<Error>)> {
    let mut failures = Vec::new();
    let mut seen = |devno| {
        let sysfs = Sysfs::new(sys, devno);
        // A device that never had a table is not in sysfs; it has nothing to link to either.
        let node = node(&sysfs)?;
        // One that goes away meanwhile sends its remove event.
        let device = match control.device(Selector::Devno(devno)) {
            Ok(device) => device,
            Err(error) => {
                failures.extend(Some(error).filter(|error| *error.cause() != Cause::NotFound));
                return None;
            }
        };
        Some(Seen { device, node, diskseq: sysfs.diskseq() })
    };
    let present: Vec<Devno> = control.list()?.devnos().collect();
    let seen = present.iter().filter_map(|devno| seen(*devno)).collect();
    Ok((present, seen, failures))
}

/// Takes over the records of all devices: of those that are there, and of those that went while nobody looked.
pub fn remember(engine: &mut Engine, run_udev: &Path, sys: &Path) -> Result<()> {
    let records = match std::fs::read_dir(run_udev.join("data")) {
        Ok(records) => records,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", run_udev.as_os_str().as_encoded_bytes(), &error)),
    };
    for entry in records.flatten() {
        let name = entry.file_name();
        let Some(devno) = name.to_str().and_then(|name| name.strip_prefix('b')?.parse::<Devno>().ok()) else { continue };
        let sysfs = Sysfs::new(sys, devno);
        let node = node(&sysfs);
        // Other block devices have records as well; of one that is gone the record itself tells what it was.
        let ours = match &node {
            Some(_) => sysfs.is_device_mapper(),
            None => Record::read(run_udev, devno)?.is_some_and(|record| record.property("DM_UDEV_RULES_VSN").is_some()),
        };
        if ours {
            engine.remember(devno, node)?;
        }
    }
    Ok(())
}

/// The kernel's name of the device's node.
fn node(sysfs: &Sysfs) -> Option<Node> {
    Node::from(str::from_utf8(&sysfs.kernel_name()?).ok()?).ok()
}
