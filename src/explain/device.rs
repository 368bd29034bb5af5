//! The conditions in the order in which the rules decide them: the first that holds is the reason. Pure.

use super::facts::{Facts, volume};
use super::links::{Claim, Found, Link};
use super::reason::{self, Reason};
use super::{Finding, Service, word_of};
use crate::cookie::Flags;
use crate::decision::DISABLE_OTHER_RULES;
use crate::devno::Devno;
use crate::name::Owner;
use crate::rulefiles::{Fault, Job, RuleFiles, effect};
use crate::text::printable;
use crate::udevd::Udevd;
use crate::udevdb::Record;

impl Facts {
    /// Why udev has not done its part, whatever link it is about.
    fn service_fault(&self) -> Option<Finding> {
        match self.service {
            Service { udevd: Udevd::Absent | Udevd::Ending, .. } => Some(self.finding(&reason::NO_UDEVD)),
            Service { udevd: Udevd::Stopped, .. } => Some(self.finding(&reason::UDEVD_STOPPED).with("remedy", self.service.stopped_pid())),
            Service { busy: true, .. } => Some(self.finding(&reason::UDEVD_BUSY)),
            Service { udevd: Udevd::Unknown(doubt), .. } => Some(self.finding(&reason::UDEVD_UNKNOWN).with("detail", doubt.to_string())),
            _ => None,
        }
    }

    /// A rule file's fault in words.
    pub fn rule_finding(&self, fault: &Fault<'_>) -> Finding {
        rule_finding(&self.rules, fault, &|reason| self.finding(reason))
    }

    /// The fault of the rule files that keeps a job from being done. `listen` reads none.
    fn rule_fault(&self, job: Job) -> Option<Finding> {
        if self.service.is_stand_in() {
            return None;
        }
        let stops = |fault: &&Fault<'_>| fault.stops(job) || fault.stops(Job::Identity);
        self.rules.faults().iter().find(stops).map(|fault| self.rule_finding(fault))
    }

    /// What keeps udev from giving the device any link.
    pub fn general(&self) -> Option<Finding> {
        let late = |reason| Some(self.service_fault().or_else(|| self.rule_fault(Job::Identity)).unwrap_or_else(|| self.finding(reason)));
        if self.info.live_table() == Some(false) {
            let loaded = self.device().details.is_some_and(|details| details.inactive_table);
            return Some(self.finding(if loaded { &reason::NOT_RESUMED } else { &reason::NO_TABLE }));
        }
        let Some(record) = self.record() else { return late(&reason::NO_RECORD) };
        if self.is_former() {
            return late(&reason::FORMER_RECORD);
        }
        if record.property("DM_UDEV_RULES_VSN").is_none() && !self.is_set(DISABLE_OTHER_RULES) {
            return late(&reason::WITHOUT_RULES);
        }
        if self.is_disabled() {
            let read_only = self.info.read_only == Some(true);
            return late(if read_only { &reason::BECAME_READ_ONLY } else { &reason::NEVER_ACTIVATED });
        }
        let known = record.property("DM_NAME").unwrap_or_default();
        // As our rules write it, or others.
        let name = self.device().name.as_bytes();
        if known != name && known != printable(name).as_bytes() {
            return late(&reason::RENAMED).map(|finding| finding.with("other", printable(known)));
        }
        None
    }

    /// Why a link is as it is.
    pub fn of_link(&self, link: &Link, possible: bool) -> Finding {
        let path = || format!("/dev/{}", crate::text::printable(link.path.as_bytes()));
        let about = |reason| self.finding(reason).with("link", path());
        let devno = self.device().devno;
        let elsewhere = link.elsewhere.clone().unwrap_or_default();
        match &link.found {
            Found::Link(other) if *other == devno => match (link.recorded, possible) {
                (true, true) => about(&reason::LINK_RIGHT).with("detail", right(link)),
                (true, false) => about(&reason::LINK_OF_OTHER_RULES),
                // Without a record, as in a container, nobody knows who made it.
                (false, _) if self.record().is_none() => {
                    about(&reason::LINK_RIGHT).with("detail", "udev has no record that tells who made it")
                }
                (false, true) => about(&reason::LINK_BY_HAND),
                (false, false) => about(&reason::LINK_BY_HAND).with("remedy", in_shell(&path())),
            },
            Found::NoNode(other) if *other == devno => about(&reason::NO_NODE),
            Found::Node(other) if *other == devno => about(&reason::NODE),
            Found::Node(_) => about(&reason::WRONG_NODE).with("other", elsewhere),
            Found::Other(what) => about(&reason::IN_THE_WAY).with("detail", *what).with("remedy", in_shell(&(path() + ".aside"))),
            Found::Dangling(target) => {
                about(&reason::DANGLING).with("detail", crate::text::printable(target.as_os_str().as_encoded_bytes()))
            }
            Found::Link(other) | Found::NoNode(other) => {
                let claimed = |devno: &Devno| link.claims.iter().find(|claim| claim.devno == *devno);
                match (claimed(other), claimed(&devno)) {
                    (Some(theirs), Some(own)) => about(&reason::CLAIMED).with("other", elsewhere).with("detail", rivals(theirs, own)),
                    (_, None) if self.general().is_some() => self.absent(link, possible, about),
                    _ => about(&reason::LEADS_ELSEWHERE).with("other", elsewhere),
                }
            }
            Found::Missing => self.absent(link, possible, about),
        }
    }

    /// Why a link does not lead to the device, in the order in which rules and flags decide.
    fn absent(&self, link: &Link, possible: bool, about: impl Fn(&'static Reason) -> Finding) -> Finding {
        if let Some(finding) = self.general() {
            return finding;
        }
        if link.recorded {
            return self.service_fault().unwrap_or_else(|| about(&reason::REMOVED));
        }
        let job = match link.path.split_once('/') {
            Some(("mapper", _)) => Job::Identity,
            Some(("disk", _)) => Job::Disk,
            _ => Job::Volume,
        };
        self.rule_fault(job)
            .or_else(|| self.withheld(job))
            .or_else(|| (job == Job::Disk && !possible).then(|| self.unread()).flatten())
            .or_else(|| self.service_fault())
            .unwrap_or_else(|| about(&reason::NOT_MADE))
    }

    /// The flag, or the rule, that keeps links of one kind from the device.
    pub fn withheld(&self, job: Job) -> Option<Finding> {
        let device = self.device();
        let flags = self.record().map(Record::flags).unwrap_or_default();
        let lvm = device.uuid.as_ref().is_some_and(|uuid| uuid.is_lvm());
        let parts = device.name.lvm_parts();
        let (flag, reason) = match job {
            Job::Identity => (Flags::DISABLE_DM_RULES, &reason::FLAG_NAME),
            Job::Volume => (Flags::DISABLE_SUBSYSTEM_RULES, &reason::FLAG_SUBSYSTEM),
            Job::Disk | Job::Notify => (Flags::DISABLE_DISK_RULES, &reason::FLAG_DISK),
        };
        if job != Job::Identity {
            // Of what bears a part's name LVM says so by flags as well.
            if lvm && (!parts.is_visible() || parts.is_reserved() && flags.contains(flag)) {
                return Some(self.finding(&reason::PRIVATE_PART).with("other", volume(device)));
            }
            if matches!(self.info.owner(), Owner::Crypt { kind: b"TEMP", .. }) {
                return Some(self.finding(&reason::CRYPT_TEMPORARY));
            }
        }
        flags.contains(flag).then(|| self.finding(reason))
    }

    /// Why udev has not read what is on the device.
    pub fn unread(&self) -> Option<Finding> {
        let device = self.device();
        let flags = self.record().map(Record::flags).unwrap_or_default();
        // multipath's own rules say of a map without paths, as LVM's of a volume, that it must not be read.
        let noscan = self.is_set("DM_NOSCAN");
        if matches!(self.info.owner(), Owner::Multipath { .. }) && (noscan || flags.contains(Flags::MULTIPATH_NO_PATHS)) {
            return Some(self.finding(&reason::NO_PATHS));
        }
        if noscan {
            return Some(self.finding(&reason::NOSCAN));
        }
        device.suspended.then(|| self.finding(&reason::SUSPENDED))
    }

    /// Why other packages' rules leave a device alone that has its links.
    pub fn left_alone(&self) -> Option<Finding> {
        if !self.is_set(DISABLE_OTHER_RULES) || self.withheld(Job::Disk).is_some() {
            return None;
        }
        let finding = self.finding(&reason::OTHER_RULES_OFF);
        let refresh = self.refresh().unwrap_or_default();
        let if_gone = |tool: &str| if refresh.is_empty() { String::new() } else { format!("If {tool} is gone: {refresh}") };
        let (detail, remedy) = match self.record() {
            // Looking again is enough.
            Some(_) if self.is_set("DM_SUSPENDED") => ("it was suspended when udev looked at it", finding.text("trigger").to_string()),
            // Nothing helps but its paths.
            Some(_) if self.unread().is_some_and(|finding| *finding.reason == reason::NO_PATHS) => {
                return Some(finding.with("detail", "no path to its disk works").without("unrefreshable"));
            }
            Some(_) if self.is_set("DM_NOSCAN") => ("LVM has not wiped it yet", if_gone("lvcreate")),
            Some(record) if !record.flags().contains(Flags::PRIMARY_SOURCE) => ("udev has not seen a tool activate it", refresh),
            _ => ("the tool that set it up asked for that", if_gone("that tool")),
        };
        Some(finding.with("detail", detail).with("remedy", remedy))
    }
}

/// A path as a word of a command line; nothing for one that is none.
fn in_shell(path: &str) -> String {
    word_of(path.as_bytes()).unwrap_or_default()
}

/// A rule file's fault in words; `about` gives a reason's other words.
pub fn rule_finding(rules: &RuleFiles, fault: &Fault<'_>, about: &dyn Fn(&'static Reason) -> Finding) -> Finding {
    let path = |path: &std::path::Path| crate::text::printable(path.as_os_str().as_encoded_bytes());
    match fault {
        Fault::None => about(&reason::NO_RULES),
        Fault::Missing(job) => about(&reason::RULE_MISSING).with("other", rules.name_of(*job)).with("detail", effect(*job)),
        Fault::Masked(file) => {
            let remedy = word_of(file.path.as_os_str().as_encoded_bytes()).unwrap_or_default();
            about(&reason::RULE_MASKED).with("other", path(&file.path)).with("detail", effect(file.job)).with("remedy", remedy)
        }
        Fault::LostProgram(file, program) => about(&reason::PROGRAM_MISSING).with("other", path(&file.path)).with("detail", path(program)),
        Fault::Twice(first, second) => about(&reason::RULES_TWICE).with("detail", path(&first.path)).with("other", path(&second.path)),
        Fault::Mixed(first, second) => about(&reason::RULES_MIXED).with("detail", path(&second.path)).with("other", path(&first.path)),
    }
}

fn right(link: &Link) -> String {
    match link.claims.as_slice() {
        [] | [_] => "udev made it, by the rules".to_string(),
        [first, second, ..] if first.priority == second.priority => {
            format!("{} devices claim it with the same priority, and udev processed this one last", link.claims.len())
        }
        [first, ..] => format!("of {} devices that claim it, it has the highest priority, {}", link.claims.len(), first.priority),
    }
}

fn rivals(theirs: &Claim, own: &Claim) -> String {
    match theirs.priority == own.priority {
        true => format!("with the same priority ({}): the one that udev processed last has it", own.priority),
        false => format!("{} with priority {}, {} with {}: the higher one wins", theirs.called, theirs.priority, own.called, own.priority),
    }
}
