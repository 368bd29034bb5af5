//! From events to reports: names remembered, udevd's answer matched with the kernel's event, losses counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime};

use super::happening::{self, Origin, Report, What};
use super::memory::{Known, Memory};
use crate::devno::Devno;
use crate::dm::sysfs::{self, Sysfs};
use crate::dm::{Control, Selector};
use crate::error::{Cause, Result};
use crate::info::Roots;
use crate::name::{DmName, DmUuid};
use crate::uevent::{Source, Uevent};

/// Kernel events of which udevd's answer is awaited.
const PENDING_MAX: usize = 1 << 16;

/// The number of the kernel's last event.
pub(super) fn sequence_number(sys: &Path) -> Option<u64> {
    fs::read_to_string(sys.join("kernel/uevent_seqnum")).ok()?.trim().parse().ok()
}

/// What the kernel told and udevd has not answered yet.
struct Pending {
    at: Instant,
    what: What,
    name: Option<DmName>,
    uuid: Option<DmUuid>,
}

/// From events to reports.
pub(super) struct Tracker<'a> {
    roots: &'a Roots,
    control: Option<Control>,
    memory: Memory,
    pending: BTreeMap<u64, Pending>,
    pub(super) ledger: Ledger,
}

impl<'a> Tracker<'a> {
    /// Opens the control node, for those who may, and looks at all devices.
    pub(super) fn new(roots: &'a Roots) -> Result<Self> {
        let control = match Control::open(&roots.dev, &roots.proc) {
            Ok(control) => Some(control),
            Err(error) if *error.cause() == Cause::Denied => None,
            Err(error) => return Err(error),
        };
        let ledger = Ledger::new(sequence_number(&roots.sys));
        let mut tracker = Self { roots, control, memory: Memory::default(), pending: BTreeMap::new(), ledger };
        tracker.rescan()?;
        Ok(tracker)
    }

    /// Looks at all devices; the differences to what was known.
    fn rescan(&mut self) -> Result<Vec<(Devno, Known, What)>> {
        let listed = match &self.control {
            Some(control) => control.list()?,
            None => sysfs::list(&self.roots.sys),
        };
        // Only a device with a table has a size.
        let is_active = |devno| Sysfs::new(&self.roots.sys, devno).size().is_some_and(|size| size > 0);
        Ok(self.memory.replace(listed.iter(), is_active))
    }

    /// After a loss: how many events are gone, and what changed meanwhile.
    pub(super) fn repair(&mut self) -> Result<(Vec<Report>, u64)> {
        let lost = self.ledger.lost();
        self.pending.clear();
        let now = SystemTime::now();
        let mut reports = vec![Report::of_rescan(now, None, What::Overrun(lost))];
        reports.extend(self.rescan()?.into_iter().map(|(devno, known, what)| Report::of_rescan(now, Some((devno, &known)), what)));
        Ok((reports, lost.unwrap_or_default()))
    }

    /// The report of an event; `None` for devices of another kind. `shown`: the kernel's events are reported too.
    pub(super) fn event(&mut self, source: Source, event: Uevent<'_>, shown: bool) -> Option<Report> {
        let seqnum = event.number("SEQNUM");
        if source == Source::Kernel {
            self.ledger.received(seqnum);
        }
        let devno = event.devno().filter(|_| event.is_device_mapper())?;
        let (time, at) = (SystemTime::now(), Instant::now());
        let pending = seqnum.filter(|_| source == Source::Udev).and_then(|seqnum| self.pending.remove(&seqnum));
        let latency = pending.as_ref().map(|pending| at.saturating_duration_since(pending.at));
        let repeats = pending.is_some() && shown;
        let (what, known) = match pending {
            Some(pending) => (pending.what, (pending.name, pending.uuid)),
            None => self.judge(event, devno, source),
        };
        let (name, uuid) = known;
        let suspended = matches!(what, What::Activated | What::Resumed | What::Resized | What::Renamed { .. })
            && self.memory.get(devno).is_some_and(|known| known.suspended);
        if let Some(seqnum) = seqnum.filter(|_| source == Source::Kernel) {
            self.pending.insert(seqnum, Pending { at, what: what.clone(), name: name.clone(), uuid: uuid.clone() });
            if self.pending.len() > PENDING_MAX {
                self.pending.pop_first();
            }
        }
        Some(Report {
            time,
            origin: Origin::Event(source),
            action: event.get("ACTION").map(<[u8]>::to_vec),
            seqnum,
            devno: Some(devno),
            diskseq: event.number("DISKSEQ"),
            name,
            uuid,
            what,
            suspended,
            cookie: event.cookie(),
            latency,
            repeats,
        })
    }

    /// What an event means, and whom it is about; what is remembered follows it.
    fn judge(&mut self, event: Uevent<'_>, devno: Devno, source: Source) -> (What, (Option<DmName>, Option<DmUuid>)) {
        let gone = event.get("ACTION") == Some(b"remove") && event.get("SYNTH_UUID").is_none();
        let departed = self.memory.departed(devno).filter(|_| gone);
        let before = self.memory.get(devno).or(departed).cloned();
        let now = if gone { None } else { self.query(devno) };
        let what = match happening::what(event, before.as_ref(), now.as_ref()) {
            What::Removed if self.memory.get(devno).is_none() && departed.is_some() => What::DiskRemoved,
            what => what,
        };
        let known = now.or(before.clone()).map(|known| Known {
            // A table in force when the event is read may be younger than the event.
            active: match what {
                What::Created => false,
                What::Activated | What::Resumed | What::Resized => true,
                _ => before.as_ref().map_or(known.active, |before| before.active),
            },
            ..known
        });
        match &known {
            // udevd may answer for a device whose number another one has got meanwhile.
            _ if gone && source == Source::Kernel => self.memory.depart(devno),
            Some(known) if !gone => self.memory.put(devno, known.clone()),
            _ => {}
        }
        let told = |key| event.get(key).filter(|value| !value.is_empty());
        let identities = match known {
            Some(known) => (Some(known.name), known.uuid),
            None => {
                (told("DM_NAME").and_then(|name| DmName::new(name).ok()), told("DM_UUID").and_then(|uuid| DmUuid::new(uuid).ok()).flatten())
            }
        };
        (what, identities)
    }

    fn query(&self, devno: Devno) -> Option<Known> {
        let device = match &self.control {
            Some(control) => control.device(Selector::Devno(devno)).ok(),
            None => Sysfs::new(&self.roots.sys, devno).device().ok(),
        }?;
        let size = || Sysfs::new(&self.roots.sys, devno).size().is_some_and(|size| size > 0);
        Some(Known {
            active: device.details.map_or_else(size, |details| details.live_table),
            event_number: device.details.map(|details| details.event_number),
            name: device.name,
            uuid: device.uuid,
            suspended: device.suspended,
        })
    }
}

/// Keeps count of the kernel's events by their sequence numbers: what is missing was lost, or went to another network
/// namespace alone.
pub(super) struct Ledger {
    /// The last event before the subscription; `None` where the kernel does not tell.
    last: Option<u64>,
    /// Events received after it, up to the mark.
    received: u64,
    /// The kernel's last event when the queue was found empty.
    mark: Option<Option<u64>>,
    /// Events received past the mark.
    beyond: u64,
}

impl Ledger {
    fn new(last: Option<u64>) -> Self {
        Self { last, received: 0, mark: None, beyond: 0 }
    }

    /// An event came.
    pub(super) fn received(&mut self, seqnum: Option<u64>) {
        match (seqnum, self.last, self.mark.flatten()) {
            (Some(seqnum), Some(last), _) if seqnum <= last => {}
            (Some(seqnum), _, Some(mark)) if seqnum > mark => self.beyond += 1,
            _ => self.received += 1,
        }
    }

    /// Everything up to this event, the kernel's last, has been received or is lost.
    pub(super) fn mark(&mut self, now: Option<u64>) {
        self.mark = Some(now);
    }

    /// More was lost since.
    pub(super) fn unmark(&mut self) {
        self.mark = None;
        self.received += std::mem::take(&mut self.beyond);
    }

    /// Whether the events can be counted.
    pub(super) fn is_marked(&self) -> bool {
        self.mark.is_some()
    }

    /// The events missing up to the mark; begins to count anew there.
    pub(super) fn lost(&mut self) -> Option<u64> {
        let mark = self.mark.take().flatten();
        let lost = mark.zip(self.last).map(|(mark, last)| mark.saturating_sub(last).saturating_sub(self.received));
        *self = Self { received: self.beyond, ..Self::new(mark.or(self.last)) };
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_counts_what_is_missing_up_to_its_mark() {
        let mut ledger = Ledger::new(Some(100));
        [99, 100, 101, 102, 105].iter().for_each(|seqnum| ledger.received(Some(*seqnum)));
        ledger.mark(Some(110));
        [109, 110, 111].iter().for_each(|seqnum| ledger.received(Some(*seqnum)));
        assert_eq!(ledger.lost(), Some(5), "103, 104, 106, 107, 108");
        ledger.received(Some(112));
        ledger.mark(Some(115));
        assert_eq!(ledger.lost(), Some(3), "113, 114, 115");
        ledger.mark(Some(118));
        ledger.received(Some(119));
        ledger.unmark();
        ledger.mark(Some(120));
        assert_eq!(ledger.lost(), Some(4), "116, 117, 118, 120");
        let mut unknown = Ledger::new(None);
        unknown.received(Some(1));
        unknown.mark(None);
        assert_eq!(unknown.lost(), None);
    }
}
