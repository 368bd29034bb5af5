//! What is known of one device, and the rules' decision table replayed on it. Pure.

use super::reason::Reason;
use super::{Finding, Service, called, word_of};
use crate::cookie::Flags;
use crate::decision::{Action, DISABLE_OTHER_RULES, Decision, Event, Kind, recorded_flags};
use crate::dm::Device;
use crate::info::Info;
use crate::nodes::plan;
use crate::rulefiles::{Job, Origin, RuleFiles};
use crate::udevdb::Record;

/// Everything that is known of one device.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Identity, state, record.
    pub info: Info,
    /// udevd's state.
    pub service: Service,
    /// The rule files.
    pub rules: RuleFiles,
}

/// What the table says of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Links that the rules would make now.
    pub expected: Vec<String>,
    /// Links that they would make, were it not for flags and for privacy.
    pub possible: Vec<String>,
    /// The table in words.
    pub words: Vec<&'static str>,
}

impl Facts {
    pub(super) fn device(&self) -> &Device {
        &self.info.device
    }

    pub(super) fn record(&self) -> Option<&Record> {
        self.info.udev.as_ref()
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.record().is_some_and(|record| record.property(key) == Some(b"1"))
    }

    /// Whether the rules took the device out of use, at the last event or before and nobody has activated it since: what
    /// flags there are then are no tool's.
    pub(super) fn is_disabled(&self) -> bool {
        let Some(record) = self.record() else { return false };
        let flags = record.flags();
        let unnamed = record.property("DM_NAME").is_none_or(<[u8]>::is_empty);
        let left =
            !flags.contains(Flags::PRIMARY_SOURCE) && flags.contains(Flags::DISABLE_SUBSYSTEM_RULES.union(Flags::DISABLE_DISK_RULES));
        flags.contains(Flags::DISABLE_OTHER_RULES) && (unnamed || left)
    }

    pub(super) fn is_former(&self) -> bool {
        let number = |link: &[u8]| str::from_utf8(link.strip_prefix(b"disk/by-diskseq/")?).ok()?.parse::<u64>().ok();
        let recorded = self.record().and_then(|record| record.links().find_map(number));
        recorded.zip(self.info.diskseq).is_some_and(|(recorded, present)| recorded != present)
    }

    /// Whether the rules take it for activated, by its state, if an `add` is asked for before any `change`: udev knows
    /// nothing of it. Other packages' rules never do.
    fn awaits_coldplug(&self) -> bool {
        let is_known = |record: &Record| ["DM_UDEV_RULES_VSN", DISABLE_OTHER_RULES].iter().any(|key| record.property(key).is_some());
        let ours = self.service.is_stand_in() || self.rules.of(Job::Identity).is_some_and(|file| file.origin == Origin::Ours);
        ours && !self.record().is_some_and(is_known) && self.info.live_table() == Some(true) && !self.device().suspended
    }

    /// What the record says of the event that it was written for.
    fn last_event(&self) -> &'static str {
        match self.record() {
            None => "no event of it was processed",
            Some(_) if self.is_former() => "no event of it was processed; the record is an earlier device's",
            Some(record) if record.property(DISABLE_OTHER_RULES).is_none() && record.property("DM_NAME").is_none() => {
                "processed without device-mapper's rules"
            }
            Some(_) if self.is_disabled() && self.info.read_only == Some(true) => "the disk became read-only: it was left alone",
            Some(_) if self.is_disabled() => "it was made, or asked about, before a tool had activated it: it was left alone",
            Some(record) if record.flags().contains(Flags::PRIMARY_SOURCE) => "activated by a tool",
            Some(_) => "a change without a tool, and none had activated it before",
        }
    }

    /// Replays the table: what would the event be that is advised, now?
    pub fn replay(&self) -> Replay {
        let usable = self.record().filter(|_| !self.is_disabled() && !self.is_former());
        let recorded = usable.map(|record| recorded_flags(|name| record.property(name) == Some(b"1")));
        let recorded = recorded.unwrap_or_else(|| plan::flags_of_unknown(self.device()));
        let nothing = Record::default();
        let content = usable.unwrap_or(&nothing);
        let action = if self.awaits_coldplug() { Action::Add } else { Action::Change };
        let of = |recorded: Flags, device: &Device| {
            let event = Event { action, cookie: None, synthetic: true, refresh: false, disk_ro: false, recorded };
            let decision = Decision::of(&event);
            let mut links = Vec::new();
            plan::links(&decision, device, self.info.diskseq, content, |link| links.push(link.to_string()));
            links.sort();
            (links, decision.kind)
        };
        let live = self.info.live_table() != Some(false);
        let (expected, kind) = of(recorded, self.device());
        let (mut possible, _) = of(Flags::PRIMARY_SOURCE, self.device());
        // Without a UUID nothing is private: that is how its other links are learnt.
        possible.extend(of(Flags::PRIMARY_SOURCE, &Device { uuid: None, ..self.device().clone() }).0);
        possible.sort();
        possible.dedup();
        let now = match kind {
            _ if !live => "nothing: it has no table",
            _ if self.is_disabled() => "udev would leave it alone again",
            Kind::ColdplugActive => "udev would take it for activated, and make the links",
            Kind::SpuriousActive => "udev would keep the flags and make the links again",
            _ => "udev would make the links, and keep other packages' rules away",
        };
        Replay { expected: if live { expected } else { Vec::new() }, possible, words: vec![self.last_event(), now] }
    }

    /// A reason, with the words that depend on the device alone.
    pub fn finding(&self, reason: &'static Reason) -> Finding {
        let (name, devno) = (self.device().name.as_bytes(), self.device().devno);
        let word = word_of(name).unwrap_or_else(|| format!("-j {} -m {}", devno.major(), devno.minor()));
        let action = if self.awaits_coldplug() { " --action=add" } else { "" };
        Finding::new(reason)
            .with("device", called(name, devno))
            .with("name", word)
            .with("trigger", format!("udevadm trigger --settle{action} /sys/dev/block/{devno}"))
            .with("refresh", self.refresh().unwrap_or_default())
            .with("unrefreshable", if self.refresh().is_none() { UNREFRESHABLE } else { "" })
    }

    /// The command that makes udev take the device for activated, without touching it; under rules that know of none, LVM's
    /// own for its volumes, which puts in force what LVM has on record.
    pub(super) fn refresh(&self) -> Option<String> {
        let device = self.device();
        if self.service.is_stand_in() || self.rules.can_refresh() {
            return Some(format!("dmhelper refresh {}", self.word()));
        }
        let lvm = device.uuid.as_ref().is_some_and(|uuid| uuid.is_lvm());
        let volume = lvm.then(|| volume(device)).and_then(|volume| word_of(volume.as_bytes()));
        volume.map(|volume| format!("lvchange --refresh {volume}"))
    }

    /// The device as a word of a command line of ours.
    pub(super) fn word(&self) -> String {
        word_of(self.device().name.as_bytes()).unwrap_or_else(|| self.device().devno.to_string())
    }
}

const UNREFRESHABLE: &str = "Let its own tool close it and open it again, or install dmhelper's rules: these know no safe way.";

/// `VG/LV` of the volume that the device is, or is a part of.
pub(super) fn volume(device: &Device) -> String {
    let parts = device.name.lvm_parts();
    crate::text::printable(&[&parts.vg, parts.whole()].join(&b'/'))
}
