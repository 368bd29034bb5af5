//! Why a device, a link or a cookie is as it is: what `dmhelper explain` tells.
//!
//! The facts are gathered once ([`subject`], [`links`], [`holders`]); then the decision table of the rules is replayed
//! on them ([`facts`]), and the first condition that decides ([`device`]) gives its [`reason`]. [`absent`] is for what
//! is not there.

pub mod absent;
pub mod cookie;
pub mod device;
pub mod facts;
pub mod holders;
pub mod links;
pub mod reason;
pub mod subject;
mod suspended;
pub(crate) mod world;

use std::path::PathBuf;
use std::time::SystemTime;

use crate::completer::Completer;
use crate::cookie::reap::Circumstances;
use crate::devno::Devno;
use crate::info::{Info, Roots};
use crate::queue::{self, Backlog};
use crate::rulefiles::RuleFiles;
use crate::text::printable;
use crate::udevd::{Look, Udevd};
use links::Link;
use reason::Reason;

/// Where everything is looked for.
#[derive(Debug, Clone)]
pub struct Places {
    /// devtmpfs, sysfs, procfs, udev's directory.
    pub roots: Roots,
    /// What rule files and lvm2's runtime files lie under (`/`).
    pub root: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { roots: Roots::default(), root: "/".into() }
    }
}

/// A reason, and what stands in the places of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The reason.
    pub reason: &'static Reason,
    words: Vec<(&'static str, String)>,
}

impl Finding {
    /// A reason whose places are all empty yet.
    pub fn new(reason: &'static Reason) -> Self {
        Self { reason, words: Vec::new() }
    }

    /// The same with a text in a place; the caller has made it printable.
    #[must_use]
    pub fn with(mut self, place: &'static str, text: impl Into<String>) -> Self {
        self.words.push((place, text.into()));
        self
    }

    /// The same without the text of a place: steps with it do not apply.
    #[must_use]
    pub(crate) fn without(mut self, place: &str) -> Self {
        self.words.retain(|(known, _)| *known != place);
        self
    }

    /// What stands in a place.
    pub(crate) fn text(&self, place: &str) -> &str {
        self.words.iter().find(|(known, _)| *known == place).map_or("", |(_, text)| text)
    }

    /// The answer in words.
    pub fn answer(&self) -> String {
        self.fill(self.reason.answer)
    }

    /// What to do. A step with a place that has no text does not apply, and is left out.
    pub fn steps(&self) -> Vec<String> {
        // A link in a step is a word of a command line.
        let quoted = self.words.iter().map(|(place, text)| match *place {
            "link" => (*place, word_of(text.as_bytes()).unwrap_or_else(|| text.clone())),
            _ => (*place, text.clone()),
        });
        let in_shell = Self { reason: self.reason, words: quoted.collect() };
        let applies = |step: &&&str| step.split('{').skip(1).all(|rest| !in_shell.text(rest.split('}').next().unwrap_or(rest)).is_empty());
        self.reason.steps.iter().filter(applies).map(|step| in_shell.fill(step)).collect()
    }

    fn fill(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len() * 2);
        let mut rest = template;
        // In one pass: what is put in is never looked at again.
        while let Some((before, after)) = rest.split_once('{') {
            let (place, tail) = after.split_once('}').unwrap_or((after, ""));
            out.push_str(before);
            out.push_str(self.words.iter().find(|(known, _)| *known == place).map_or("?", |(_, text)| text));
            rest = tail;
        }
        out + rest
    }
}

/// What is known of udevd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// Whether it runs.
    pub udevd: Udevd,
    /// Whether it has events left.
    pub busy: bool,
    /// Whether it is sure that none is on its way to it either.
    pub idle: bool,
    /// A process of it that is stopped.
    pub stopped: Option<u32>,
    /// Who completes cookies in place of a process for each.
    pub completer: Completer,
}

impl Service {
    fn find(roots: &Roots) -> Self {
        let look = Look::take(&roots.run_udev, &roots.proc);
        let idle = queue::of(&look, &roots.run_udev, &roots.proc) == Backlog::None;
        let stopped = look.processes.iter().find(|process| process.is_stopped()).map(|process| process.pid);
        Self { udevd: look.udevd, busy: look.busy, idle, stopped, completer: Completer::find(&roots.run_dmhelper, &roots.proc) }
    }

    /// Whether `dmhelper listen` stands in its place, to which rule files mean nothing.
    pub fn is_stand_in(self) -> bool {
        self.udevd == Udevd::StandIn
    }

    /// The number of the process that is stopped; nothing where none is.
    pub(crate) fn stopped_pid(self) -> String {
        self.stopped.map(|pid| pid.to_string()).unwrap_or_default()
    }

    /// What is known beside a cookie.
    pub(crate) fn circumstances(self) -> Circumstances {
        let busy = !self.idle || self.completer.is_busy();
        Circumstances { udevd: self.udevd, busy, now: SystemTime::now(), older_than: None }
    }
}

/// An explanation.
#[derive(Debug, Clone)]
pub struct Report {
    /// The word that was asked about.
    pub asked: String,
    /// Whether there is such a thing at all.
    pub exists: bool,
    /// The answer, then whatever else is to be said.
    pub findings: Vec<Finding>,
    /// The device that it is about.
    pub device: Option<Info>,
    /// What the rules' decision table says, in words: of the last event that udev recorded, and of one now.
    pub decision: Vec<&'static str>,
    /// Its links.
    pub links: Vec<Link>,
    /// Who has it open.
    pub holders: Vec<Finding>,
    /// Other facts: a label and lines.
    pub facts: Vec<(&'static str, Vec<String>)>,
    /// udevd's state.
    pub service: Service,
    /// The rule files.
    pub rules: RuleFiles,
    /// What only root would learn, if that is missing.
    pub unknown: Option<&'static str>,
}

impl Report {
    /// An empty one.
    pub fn new(service: Service, rules: RuleFiles) -> Self {
        Self {
            asked: String::new(),
            exists: true,
            findings: Vec::new(),
            device: None,
            decision: Vec::new(),
            links: Vec::new(),
            holders: Vec::new(),
            facts: Vec::new(),
            service,
            rules,
            unknown: None,
        }
    }

    /// Whether what was asked about is as it should be.
    pub fn is_well(&self) -> bool {
        let well = [&reason::READY, &reason::LINK_RIGHT, &reason::LINK_OF_OTHER_RULES];
        self.findings.first().is_some_and(|finding| well.contains(&finding.reason))
    }

    /// What to do, each step once, in the order of the findings.
    pub fn steps(&self) -> Vec<String> {
        let in_use = self.findings.iter().any(|finding| *finding.reason == reason::IN_USE);
        let holders = self.holders.iter().filter(|_| in_use);
        let mut steps: Vec<String> = Vec::new();
        for step in self.findings.iter().chain(holders).flat_map(Finding::steps) {
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
        steps
    }
}

/// A device by name and number.
fn called(name: &[u8], devno: Devno) -> String {
    format!("{} ({devno})", printable(name))
}

/// A word as a shell takes it; `None` for a name that no word gives.
pub(crate) fn word_of(name: &[u8]) -> Option<String> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"#+-.:=@_/\\".contains(b);
    let text = str::from_utf8(name).ok()?;
    let quoted = || format!("'{text}'");
    match text.bytes().all(|b| plain(&b)) {
        true if text.starts_with(['#', '-']) || text.contains('\\') => Some(quoted()),
        true => Some(text.to_string()),
        false if text == printable(name) => Some(quoted()),
        false => None,
    }
}

#[cfg(test)]
mod tests;
