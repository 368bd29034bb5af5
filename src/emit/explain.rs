//! An explanation for a person, and for a program.

mod json;

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use crate::completer::Completer;
use crate::explain::links::{Found, Link};
use crate::explain::{Finding, Report};
use crate::info::{Info, State};
use crate::name;
use crate::rulefiles::{Fault, Job, Origin, RuleFile};
use crate::terminal::Terminal;
use crate::text::printable;
use crate::udevd::Udevd;

pub use json::json;

/// Where nothing needs to fit, people read it all the same.
const WIDTH: usize = 80;

/// Width of the labels' column.
const LABEL: usize = 12;

/// The answer, the facts, and what to do.
pub fn text(report: &Report, terminal: Terminal) -> String {
    let mut page = Page {
        width: terminal.width.unwrap_or(WIDTH),
        is_terminal: terminal.width.is_some(),
        colour: terminal.colour,
        unicode: terminal.unicode,
        out: String::new(),
    };
    for (at, finding) in report.findings.iter().enumerate() {
        let colour = if report.is_well() { GREEN } else { RED };
        page.paragraph(&finding.answer(), if at == 0 { colour } else { "" });
    }
    page.out.push('\n');
    if let Some(info) = &report.device {
        page.rows("Device", identity(info));
        for (label, words) in ["Last event", "On trigger"].into_iter().zip(&report.decision) {
            page.rows(label, vec![(*words).to_string()]);
        }
        page.rows("Flags", flags(info));
        // What is not as it should be comes first.
        let (well, other): (Vec<_>, Vec<_>) = report.links.iter().partition(|link| state(link, info) == "ok");
        page.links(other.into_iter().chain(well), info);
        page.rows("Open", holders(report, info));
    }
    for (label, lines) in report.facts.iter().filter(|(_, lines)| !lines.is_empty()) {
        page.rows(label, lines.clone());
    }
    page.rows("udevd", vec![service(report)]);
    page.rows("Completer", completer(report.service.completer));
    page.rows("Rules", rules(report));
    if let Some(unknown) = report.unknown {
        page.rows("Root only", vec![unknown.to_string()]);
    }
    let steps = report.steps();
    if !steps.is_empty() {
        page.out.push_str("\nWhat to do:\n");
        steps.iter().for_each(|step| page.item(step));
    }
    page.out
}

const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[1;32m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

struct Page {
    width: usize,
    is_terminal: bool,
    colour: bool,
    unicode: bool,
    out: String,
}

impl Page {
    fn coloured(&self, text: &str, colour: &str) -> String {
        if self.colour && !colour.is_empty() { format!("{colour}{text}{PLAIN}") } else { text.to_string() }
    }

    fn paragraph(&mut self, text: &str, colour: &str) {
        for line in wrap(text, self.width) {
            let line = self.coloured(&line, colour);
            // Writing to a String cannot fail; so in the rest of this file.
            let _ = writeln!(self.out, "{line}");
        }
    }

    fn rows(&mut self, label: &str, lines: Vec<String>) {
        let mut label = label;
        for line in lines {
            for (at, part) in wrap(&line, self.width.saturating_sub(LABEL + 2).max(16)).into_iter().enumerate() {
                let head = self.coloured(&format!("{label:LABEL$}"), BOLD);
                let _ = writeln!(self.out, "{head}{}{part}", if at > 0 { "  " } else { "" });
                label = "";
            }
        }
    }

    /// A path is never broken; where it leads and who claims it stands below it. Of one that is right and too long, the
    /// terminal shows both ends: nothing needs to be done about it.
    fn links<'a>(&mut self, links: impl Iterator<Item = &'a Link>, info: &Info) {
        let mut label = "Links";
        for link in links {
            let head = self.coloured(&format!("{label:LABEL$}"), BOLD);
            let state = state(link, info);
            let is_well = state == "ok";
            let colour = if is_well { "" } else { RED };
            let state = self.coloured(&format!("{state:<10}"), colour);
            let path = format!("/dev/{}", printable(link.path.as_bytes()));
            let path = if is_well { self.both_ends(path) } else { path };
            let _ = writeln!(self.out, "{head}{state} {path}");
            let more = whereto(link, info);
            let lines = wrap(&more, self.width.saturating_sub(LABEL + 11).max(20));
            for line in lines.iter().filter(|line| !line.is_empty()) {
                let _ = writeln!(self.out, "{:indent$}{line}", "", indent = LABEL + 11);
            }
            label = "";
        }
    }

    fn both_ends(&self, path: String) -> String {
        let room = self.width.saturating_sub(LABEL + 11);
        if !self.is_terminal || path.width() <= room || !path.is_ascii() || room < 20 {
            return path;
        }
        let dots = if self.unicode { "…" } else { "~" };
        let tail = room / 3;
        let (head, end) = (path.get(..room - tail - 1), path.get(path.len() - tail..));
        head.zip(end).map_or_else(|| path.clone(), |(head, end)| format!("{head}{dots}{end}"))
    }

    /// A command is there to be copied: it is not broken, and stands on a line of its own where it does not fit.
    fn item(&mut self, step: &str) {
        let width = self.width.saturating_sub(4);
        let fits = step.chars().count() <= width;
        match step.split_once(": ").filter(|_| !fits) {
            Some((words, command)) => {
                let words = wrap(words, width).join("\n    ");
                let _ = writeln!(self.out, "  - {words}:\n      {command}");
            }
            None => {
                let _ = writeln!(self.out, "  - {}", wrap(step, width).join("\n    "));
            }
        }
    }
}

/// Lines of at most so many columns, broken at spaces; a longer word stays whole. Runs of spaces stay where they are.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let Some(last) = lines.last_mut() else { break };
        if !last.is_empty() && last.chars().count() + word.trim_end().chars().count() > width {
            lines.push(word.to_string());
        } else {
            last.push_str(word);
        }
    }
    lines.iter().map(|line| line.trim_end().to_string()).collect()
}

fn identity(info: &Info) -> Vec<String> {
    let owner = info.device.uuid.as_ref().and_then(name::subsystem).map(|owner| format!(", {owner}")).unwrap_or_default();
    let state = match info.state() {
        State::Active => "active",
        State::Suspended => "suspended",
        State::NoTable => "without a table",
        State::Unknown => "not suspended",
    };
    let read_only = if info.read_only == Some(true) { ", read-only" } else { "" };
    vec![format!("{} ({}){owner}, {state}{read_only}", info.device.name, info.device.devno)]
}

/// The flags that take something away: those that every tool sets say nothing.
fn flags(info: &Info) -> Vec<String> {
    let flags = info.udev.as_ref().map(|record| record.flags()).unwrap_or_default();
    let prefix = info.device.uuid.as_ref().map_or(&b""[..], |uuid| uuid.prefix());
    super::telling(flags).words(prefix).map(str::to_string).collect()
}

/// The state of a link in one word.
fn state(link: &Link, info: &Info) -> &'static str {
    let own = info.device.devno;
    match &link.found {
        Found::Link(devno) if *devno == own && (link.recorded || link.expected) => "ok",
        Found::Link(devno) if *devno == own => "by hand",
        Found::Link(_) => "elsewhere",
        Found::Missing => "missing",
        Found::Dangling(_) => "dangling",
        Found::NoNode(_) => "no node",
        Found::Node(devno) if *devno == own => "node",
        Found::Node(_) => "wrong node",
        Found::Other(_) => "in the way",
    }
}

/// Where it leads instead, and who claims it beside the device.
fn whereto(link: &Link, info: &Info) -> String {
    let mut words: Vec<String> = link.elsewhere.iter().map(|other| format!("leads to {other}")).collect();
    let (own, others): (Vec<_>, Vec<_>) = link.claims.iter().partition(|claim| claim.devno == info.device.devno);
    if !others.is_empty() {
        let claims: Vec<_> = others.iter().map(|claim| format!("{} with priority {}", claim.called, claim.priority)).collect();
        let own = own.first().map(|claim| format!(", by this one with {}", claim.priority)).unwrap_or_default();
        words.push(format!("claimed by {}{own}", claims.join(", by ")));
    }
    words.join("; ")
}

fn holders(report: &Report, info: &Info) -> Vec<String> {
    let all: Vec<String> = report.holders.iter().map(Finding::answer).collect();
    match (all.is_empty(), info.device.details) {
        (true, Some(_)) => vec!["by nobody".to_string()],
        (true, None) => Vec::new(),
        _ => all,
    }
}

fn service(report: &Report) -> String {
    let words = match report.service.udevd {
        Udevd::Running if report.service.busy => "running, with events left to process",
        Udevd::Running => "running, with nothing left to do",
        Udevd::OnDemand => "not started yet; systemd starts it with the next event",
        Udevd::StandIn => "not running; dmhelper listen stands in its place",
        Udevd::Stopped => "stopped (SIGSTOP, a debugger)",
        Udevd::Unknown(doubt) => return format!("not known: {doubt}"),
        Udevd::Ending => "not running; one of its workers still processes an event",
        Udevd::Absent => "not running",
    };
    words.to_string()
}

/// Who completes cookies, where that is not a process for each.
fn completer(completer: Completer) -> Vec<String> {
    match completer {
        Completer::Absent => Vec::new(),
        Completer::Running { pid, behind: false } => vec![format!("running (process {pid})")],
        Completer::Running { pid, behind: true } => vec![format!("running (process {pid}), with events left to look at")],
        Completer::Dead { pid, .. } => vec![format!("dead (it was process {pid})")],
        Completer::Stopped { pid } => vec![format!("stopped (process {pid}: SIGSTOP, a debugger)")],
    }
}

fn maker(file: &RuleFile) -> &'static str {
    match file.origin {
        Origin::Ours => "dmhelper's",
        Origin::Other => "another package's",
        Origin::Masked => "turned off",
        Origin::Unreadable => "unreadable",
    }
}

/// The rule files in a line if all is well with them, else one by one.
fn rules(report: &Report) -> Vec<String> {
    let files = &report.rules.0;
    match (report.rules.faults().as_slice(), files.first()) {
        _ if report.service.is_stand_in() => Vec::new(),
        ([Fault::None], _) | (_, None) => vec!["none for device-mapper".to_string()],
        ([], Some(first)) => {
            // The notifying file has one name everywhere.
            let names = if files.iter().any(|file| file.upstream && file.job != Job::Notify) { "upstream's" } else { "Debian's" };
            vec![format!("{}, complete, under {names} names", maker(first))]
        }
        _ => files.iter().map(|file| format!("{} ({})", printable(file.path.as_os_str().as_encoded_bytes()), maker(file))).collect(),
    }
}
