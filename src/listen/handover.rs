//! The end of `listen` when a udevd has come: every cookie is completed once, by the one or the other.
//!
//! udevd binds its control socket, by which it is noticed, and then subscribes to the kernel's events (systemd 252; with
//! socket activation systemd does both, in any order, long before udevd runs). What was sent before it subscribed is ours
//! alone, what was sent after is its own; and an event does not tell which. So everything that we have not completed
//! when the udevd is noticed is held until there is evidence: udevd sends on what it has processed, by number, and what
//! it has not sent on when it has nothing left to do it has never had.
//!
//! Where there is no evidence the cookie is completed: once too often makes a tool fail, never lets it wait for ever.
//! That is so after [`PATIENCE`], for an event whose worker was killed, and when the kernel's queue overran meanwhile.
//! And where systemd has made the kernel's socket first, for the time until the control socket is there as well: udevd
//! completes again what we complete then, of which the tool has mostly long taken its end.

use std::thread;
use std::time::{Duration, Instant};

use super::standalone::{Counts, Standalone, complete};
use super::tracker::sequence_number;
use crate::devno::Devno;
use crate::error::Result;
use crate::queue::{self, Backlog};
use crate::udevd::{Look, Udevd};
use crate::uevent::socket::Received;
use crate::uevent::{Source, Uevent};

/// How long there may be no evidence: a udevd that starts has a coldplug to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks for it.
const PAUSE: Duration = Duration::from_millis(100);
/// Events held at most; what comes beyond is handled at once.
const HELD_MAX: usize = 512;
/// Events read before evidence is looked for again.
const AT_ONCE: usize = 1000;

/// An event that may be udevd's as well.
#[derive(Debug)]
pub(super) struct Held {
    seqnum: u64,
    pub(super) devno: Option<Devno>,
    /// Links and record are as they should be: only the cookie is left.
    settled: bool,
    properties: Vec<u8>,
}

impl Held {
    pub(super) fn new(event: Uevent<'_>, settled: bool) -> Self {
        let seqnum = event.number("SEQNUM").unwrap_or_default();
        Self { seqnum, devno: event.devno(), settled, properties: event.as_bytes().to_vec() }
    }

    pub(super) fn event(&self) -> Option<Uevent<'_>> {
        Uevent::from_properties(&self.properties)
    }
}

/// The events that are held, and what is known of whose they are.
#[derive(Debug)]
struct Doubts {
    held: Vec<Held>,
    /// From this number on all are udevd's.
    udevds: u64,
}

impl Doubts {
    /// udevd has processed an event: it has had this one and all that came after.
    fn answered(&mut self, event: Uevent<'_>) {
        let Some(seqnum) = event.number("SEQNUM") else { return };
        self.udevds = self.udevds.min(seqnum);
        self.held.retain(|held| held.seqnum < seqnum);
        // What it knows of the device from the kernel is younger than what we do. An event that somebody has asked for
        // tells nothing: it finds what was recorded before.
        if event.get("SYNTH_UUID").is_none() {
            self.held.iter_mut().filter(|held| held.devno.is_some() && held.devno == event.devno()).for_each(|held| held.settled = true);
        }
    }
}

/// What can be said of whose the events are.
enum Evidence {
    /// Who came has gone again: all are ours.
    Nobody,
    /// udevd has processed all that it has had up to this number, and what comes after is its own.
    UpTo(u64),
    /// Nothing yet.
    None,
}

impl Standalone<'_> {
    /// Waits for the evidence, completes what is ours and leaves the rest. Tells whether it is over: who came may have gone
    /// again.
    pub(super) fn hand_over(&mut self, first: Option<Held>, buffer: &mut [u8], counts: &mut Counts) -> Result<bool> {
        let claimed = self.place.give_up();
        if self.place.is_deserted() {
            log::warn!("listen: somebody has removed the control socket in {}; tools wait for nobody", self.place.run_udev.display());
        } else {
            log::info!("listen: a udevd has started; the events are its own from now on");
        }
        let mut doubts = Doubts { held: first.into_iter().collect(), udevds: u64::MAX };
        let deadline = Instant::now() + PATIENCE;
        let mut deserted = false;
        let (ours, end) = loop {
            let evidence = self.evidence();
            // After it: what udevd has sent on until then is in our queue.
            let all = match self.gather(&mut doubts, buffer, counts) {
                Ok(all) => all,
                // What is held is completed all the same.
                Err(error) => break (u64::MAX, Err(error)),
            };
            match evidence {
                // Seen twice: it binds before it listens.
                Evidence::Nobody if deserted => break (u64::MAX, Ok(true)),
                Evidence::UpTo(seqnum) if all => break (seqnum, Ok(false)),
                _ if Instant::now() >= deadline => {
                    log::warn!(
                        "listen: what udevd has had is not known after {} s; completing {} events",
                        PATIENCE.as_secs(),
                        doubts.held.len()
                    );
                    break (u64::MAX, Ok(false));
                }
                evidence => deserted = matches!(evidence, Evidence::Nobody),
            }
            self.completions.catch_up();
            thread::sleep(if all { PAUSE } else { Duration::ZERO });
        };
        doubts.held.iter().filter(|held| held.seqnum <= ours).for_each(|held| self.act(held, counts));
        let goes_on = end? && !claimed;
        if goes_on {
            self.place.free_again();
            log::info!("listen: no udevd is there after all; going on");
        }
        Ok(!goes_on)
    }

    fn evidence(&self) -> Evidence {
        let (run_udev, proc) = (&self.place.run_udev, &self.place.proc);
        let look = Look::take(run_udev, proc);
        if look.processes.is_empty() && look.udevd == Udevd::Absent {
            return Evidence::Nobody;
        }
        // In this order: what is sent after the number was read, udevd gets.
        if !queue::is_subscribed(&look.processes, proc) {
            return Evidence::None;
        }
        match sequence_number(self.sys) {
            Some(seqnum) if queue::of(&look, run_udev, proc) == Backlog::None => Evidence::UpTo(seqnum),
            _ => Evidence::None,
        }
    }

    /// Takes what is queued; tells whether that was all.
    fn gather(&mut self, doubts: &mut Doubts, buffer: &mut [u8], counts: &mut Counts) -> Result<bool> {
        for _ in 0..AT_ONCE {
            match self.socket.receive(buffer)? {
                Received::Event(Source::Udev, event) => doubts.answered(event),
                Received::Event(Source::Kernel, event) if event.is_device_mapper() => {
                    let held = Held::new(event, false);
                    if held.seqnum >= doubts.udevds {
                        continue;
                    }
                    counts.events += 1;
                    if doubts.held.len() < HELD_MAX { doubts.held.push(held) } else { self.act(&held, counts) }
                }
                Received::Event(..) => {}
                Received::Dropped => counts.dropped += 1,
                Received::Lost(errno) => {
                    counts.lost(errno);
                    self.name_waited_for();
                }
                Received::Empty => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Does what the event asks for.
    fn act(&mut self, held: &Held, counts: &mut Counts) {
        let Some(event) = held.event() else { return };
        let handled = if held.settled { Ok(()) } else { self.unsettled.handle(&mut self.engine, event) };
        counts.completed += u64::from(complete(event, handled, &mut self.completions));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Held {
        Held::new(Uevent::from_properties(text.as_bytes()).unwrap(), false)
    }

    #[test]
    fn what_udevd_has_processed_is_its_own_with_all_that_came_after() {
        let held = [
            event("SEQNUM=5\0MAJOR=253\0MINOR=1\0"),
            event("SEQNUM=6\0MAJOR=253\0MINOR=2\0"),
            event("SEQNUM=8\0MAJOR=253\0MINOR=1\0"),
            event("SEQNUM=9\0MAJOR=253\0MINOR=2\0"),
        ];
        let mut doubts = Doubts { held: held.into(), udevds: u64::MAX };
        let mut answer = |text: &str| {
            doubts.answered(Uevent::from_properties(text.as_bytes()).unwrap());
            (doubts.udevds, doubts.held.iter().map(|held| (held.seqnum, held.settled)).collect::<Vec<_>>())
        };
        assert_eq!(answer("SEQNUM=9\0SUBSYSTEM=net\0").1, [(5, false), (6, false), (8, false)]);
        // A coldplug finds what was recorded before; what has happened is newer.
        assert_eq!(answer("SEQNUM=10\0MAJOR=253\0MINOR=1\0SYNTH_UUID=0\0").1, [(5, false), (6, false), (8, false)]);
        assert_eq!(answer("SEQNUM=8\0MAJOR=253\0MINOR=1\0"), (8, vec![(5, true), (6, false)]));
        assert_eq!(answer("SEQNUM=11\0MAJOR=253\0MINOR=2\0"), (8, vec![(5, true), (6, true)]));
    }
}
