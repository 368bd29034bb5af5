//! Waiting for a condition: subscribe first, then look, then sleep until something is announced.
//!
//! What wakes a sleeper: the kernel's events and udevd's; the control node, for what has no event (a device made without
//! a table, a target's event); the end of udevd's queue; a link that appears. udevd sends its event on after it has run
//! the programs of its rules, the completion of the cookie among them: no completion needs to be waited for apart.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::condition::{self, Condition, Facts, Work};
use super::look::{self, Asked};
use super::subject::Subject;
use super::threads::EventThreads;
use crate::devno::Devno;
use crate::dm::Control;
use crate::error::{Cause, Error, Result};
use crate::info::{Roots, Sources};
use crate::queue::{self, Backlog};
use crate::udevd::Udevd;
use crate::uevent::socket::{DATAGRAM_MAX, QUEUE, Received, Socket, loss};
use crate::uevent::{Source, Uevent};

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// The condition of each device.
    pub condition: Condition,
    /// One device is enough.
    pub any: bool,
    /// Something else than udevd makes the links.
    pub without_udevd: bool,
    /// When to give up.
    pub deadline: Option<Instant>,
}

/// How often udevd is looked at while it is neither asleep nor says that it has something to do: some microseconds
/// after it has read an event, or as long as it is stopped. Nothing announces the end of either.
const RECHECK: Duration = Duration::from_millis(20);

/// Waits until the condition is met or the deadline passes. For each device what is missing; `None` where it is met.
///
/// # Errors
/// A word that fits several devices; no device-mapper, no netlink; no udevd where one is needed.
pub fn run(roots: &Roots, subjects: &[Subject], wish: Wish) -> Result<Vec<Option<String>>> {
    let mut waiter = Waiter::new(roots, subjects, wish)?;
    let mut first = true;
    loop {
        let armed = waiter.arm()?;
        waiter.drain()?;
        let missing = waiter.look()?;
        let met = |missing: &Option<String>| missing.is_none();
        if if wish.any { missing.iter().any(met) } else { missing.iter().all(met) } {
            return Ok(missing);
        }
        if std::mem::take(&mut first) {
            waiter.refuse_without_udevd()?;
        }
        if wish.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(missing);
        }
        waiter.sleep(armed)?;
    }
}

struct Waiter<'a> {
    roots: &'a Roots,
    wish: Wish,
    subjects: Vec<Awaited<'a>>,
    control: Option<Control>,
    socket: Socket,
    changes: Option<Inotify>,
    buffer: Vec<u8>,
    /// By device, the kernel's events that udevd has not answered.
    queued: BTreeMap<Devno, BTreeSet<u64>>,
    /// Devices whose removal was announced.
    removed: BTreeSet<Devno>,
    /// Everything from before the subscription is processed.
    caught_up: bool,
    /// Nothing will announce the next change.
    recheck: bool,
    events: EventThreads,
}

/// A device that is waited for.
struct Awaited<'a> {
    subject: &'a Subject,
    /// The device that it meant at first.
    bound: Option<Devno>,
    /// The event number to exceed.
    base: Option<u32>,
    /// It was met, and what came after does not matter.
    met: bool,
}

impl<'a> Waiter<'a> {
    fn new(roots: &'a Roots, subjects: &'a [Subject], wish: Wish) -> Result<Self> {
        let socket = Socket::open(true, true, QUEUE)?;
        let control = match Control::open(&roots.dev, &roots.proc) {
            Ok(control) => Some(control),
            Err(error) if *error.cause() == Cause::Denied && !matches!(wish.condition, Condition::Event(_)) => None,
            Err(error) => return Err(error),
        };
        let awaited = |subject| Awaited { subject, bound: None, base: None, met: false };
        let waiter = Self {
            roots,
            wish,
            subjects: subjects.iter().map(awaited).collect(),
            control,
            socket,
            changes: wish.condition.needs_udev().then(|| watch(roots)).transpose()?,
            buffer: vec![0; DATAGRAM_MAX],
            queued: BTreeMap::new(),
            removed: BTreeSet::new(),
            caught_up: false,
            recheck: false,
            events: EventThreads::new()?,
        };
        // Without udevd nothing is left to process, and "settled" would be true and say nothing.
        if wish.condition == Condition::Settled {
            waiter.refuse_without_udevd()?;
        }
        Ok(waiter)
    }

    fn refuse_without_udevd(&self) -> Result<()> {
        if !self.wish.condition.needs_udev() || self.wish.without_udevd {
            return Ok(());
        }
        if !Udevd::is_absent_from(&self.roots.run_udev, &self.roots.proc) {
            return Ok(());
        }
        let words: Vec<_> = self.subjects.iter().map(|awaited| awaited.subject.word.as_str()).collect();
        Err(Error::no_udevd("wait for", words.join(" ")).advise("--without-udevd waits for links that something else makes"))
    }

    /// Arms the control node; `false` where it cannot be polled.
    fn arm(&mut self) -> Result<bool> {
        let armed = self.control.as_ref().map_or(Ok(false), Control::arm_poll)?;
        self.events.needed = !armed;
        Ok(armed)
    }

    /// Takes all events that are there.
    fn drain(&mut self) -> Result<()> {
        if let Some(changes) = &self.changes {
            // What changed is looked at anyway.
            let _ = changes.read_events();
        }
        self.events.drain();
        loop {
            match self.socket.receive(&mut self.buffer)? {
                Received::Event(source, event) => take(source, event, &mut self.queued, &mut self.removed),
                Received::Dropped => {}
                Received::Lost(errno) => {
                    log::warn!("wait: {}; looking at the devices again", loss(errno));
                    // What udevd answered may be among the lost: it counts as unanswered until udevd has nothing left.
                    self.caught_up = false;
                }
                Received::Empty => return Ok(()),
            }
        }
    }

    /// What is missing for each device now.
    fn look(&mut self) -> Result<Vec<Option<String>>> {
        self.recheck = false;
        let sources = Sources::open(self.roots)?;
        let mut missing = Vec::with_capacity(self.subjects.len());
        for at in 0..self.subjects.len() {
            let Some(awaited) = self.subjects.get(at) else { break };
            if awaited.met {
                missing.push(None);
                continue;
            }
            let found = awaited.subject.find(sources.devices()).map_err(|error| error.during("wait for"))?;
            // Being renamed is an event, and it is the same device that it happened to.
            let devno = found.or(awaited.bound.filter(|_| matches!(self.wish.condition, Condition::Event(_))));
            let asked = match self.wish.condition {
                Condition::Usable if self.wish.without_udevd => Asked::LinkAlone,
                Condition::Usable => Asked::Everything,
                _ => Asked::State,
            };
            let mut facts = devno.and_then(|devno| look::facts(self.roots, self.control.as_ref(), devno, asked).transpose()).transpose()?;
            if let Some(facts) = &mut facts
                && self.wish.condition.needs_udev()
                && !self.wish.without_udevd
            {
                self.ask_udevd(facts);
            }
            missing.push(self.judge(at, facts.as_ref())?);
        }
        Ok(missing)
    }

    /// What is missing for one device; what is met for good is remembered.
    fn judge(&mut self, at: usize, facts: Option<&Facts>) -> Result<Option<String>> {
        let condition = self.wish.condition;
        let Some(awaited) = self.subjects.get_mut(at) else { return Ok(None) };
        let first_number = facts.and_then(|facts| facts.event_number).unwrap_or_default();
        let base = match condition {
            Condition::Event(Some(number)) => number,
            // One that came back begins to count anew.
            _ if facts.is_none() => *awaited.base.insert(0),
            _ => *awaited.base.get_or_insert(first_number),
        };
        awaited.bound = awaited.bound.or(facts.map(|facts| facts.devno));
        let removed = awaited.bound.is_some_and(|devno| self.removed.contains(&devno));
        if condition == Condition::Gone && removed {
            awaited.met = true;
            return Ok(None);
        }
        let missing = condition::missing(condition, facts, base);
        let missing = missing.map(|words| if facts.is_some() { words } else { awaited.subject.absence().to_string() });
        awaited.met = missing.is_none() && matches!(condition, Condition::Gone | Condition::Event(_));
        if let (Condition::Event(_), Some(Facts { devno, event_number: Some(number), .. }), false) = (condition, facts, awaited.met) {
            self.events.expect(self.roots, *devno, *number)?;
        }
        Ok(missing)
    }

    /// What udevd has left to do for a device.
    fn ask_udevd(&mut self, facts: &mut Facts) {
        facts.queued = self.queued.get(&facts.devno).map_or(0, BTreeSet::len);
        facts.work = Work::Done;
        if self.caught_up && facts.queued == 0 {
            return;
        }
        let backlog = queue::backlog(&self.roots.run_udev, &self.roots.proc);
        self.recheck |= matches!(backlog, Backlog::Unsure { .. });
        match backlog {
            Backlog::None => {
                // Every event is processed, or was given up by udevd: no answer is missing any more.
                self.queued.clear();
                self.caught_up = true;
                facts.queued = 0;
            }
            Backlog::Some { stopped: true } | Backlog::Unsure { stopped: true } => facts.work = Work::Stopped,
            Backlog::Some { .. } | Backlog::Unsure { .. } => facts.work = Work::Busy,
        }
        if self.wish.condition == Condition::Usable && facts.work != Work::Done {
            facts.cookie = look::incomplete_cookie(self.roots);
        }
    }

    /// Sleeps until something is announced or the deadline passes.
    fn sleep(&mut self, armed: bool) -> Result<()> {
        let left = self.wish.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = if self.recheck { Some(left.map_or(RECHECK, |left| left.min(RECHECK))) } else { left };
        // Rounded up: to wake too early would be to look again at once, several times.
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left.saturating_add(Duration::from_micros(999))).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![PollFd::new(self.socket.as_fd(), PollFlags::POLLIN), PollFd::new(self.events.awake.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.changes.as_ref().map(|changes| PollFd::new(changes.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.control.as_ref().filter(|_| armed).map(|control| PollFd::new(control.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::os("wait for", "events", errno)),
        }
    }
}

/// Keeps account of an event: the kernel's until udevd has answered it.
fn take(source: Source, event: Uevent<'_>, queued: &mut BTreeMap<Devno, BTreeSet<u64>>, removed: &mut BTreeSet<Devno>) {
    let Some((devno, seqnum)) = event.devno().filter(|_| event.is_device_mapper()).zip(event.number("SEQNUM")) else { return };
    match source {
        Source::Kernel => {
            queued.entry(devno).or_default().insert(seqnum);
            if event.get("ACTION") == Some(b"remove") && event.get("SYNTH_UUID").is_none() {
                removed.insert(devno);
            }
        }
        Source::Udev => {
            if let Some(events) = queued.get_mut(&devno) {
                events.remove(&seqnum);
            }
        }
    }
}

/// Watches for the end of udevd's queue and for links. Where there is no such directory nothing is to be seen.
fn watch(roots: &Roots) -> Result<Inotify> {
    let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(|errno| Error::os("watch", "files", errno))?;
    let links = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    for (path, what) in [(roots.run_udev.clone(), AddWatchFlags::IN_DELETE), (roots.dev.join("mapper"), links)] {
        match changes.add_watch(&path, what) {
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(Error::os("watch", path.as_os_str().as_encoded_bytes(), errno)),
        }
    }
    Ok(changes)
}
