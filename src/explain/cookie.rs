//! What waits for a cookie, and whether it waits in vain.

use std::path::Path;

use super::world::World;
use super::{Finding, Report, reason, word_of};
use crate::completer::Completer;
use crate::cookie::census::{self, Entry, Verdict};
use crate::cookie::reap::{self, Circumstances, Treatment};
use crate::cookie::{Cookie, Flags};
use crate::devno::Devno;
use crate::emit::cookies;
use crate::error::Result;
use crate::info::Roots;
use crate::process::Process;
use crate::rulefiles::Job;
use crate::text::printable;
use crate::udevd::Udevd;
use crate::udevdb::Record;

/// Explains a cookie as DM_COOKIE or `dmhelper cookie list` show it.
pub(super) fn explain(world: &World<'_>, cookie: Cookie) -> Result<Report> {
    let unprocessed = || {
        let devices = unprocessed(world);
        let name = |devno: &Devno| word_of(world.survey.relate(*devno).name.unwrap_or_default().as_slice()).unwrap_or(devno.to_string());
        let can_refresh = world.service.is_stand_in() || world.rules.can_refresh();
        let remedy = match can_refresh && !devices.is_empty() {
            true => format!("dmhelper refresh {}", devices.iter().map(name).collect::<Vec<_>>().join(" ")),
            false => String::new(),
        };
        (devices.iter().take(SHOWN).map(|devno| world.name(*devno)).collect(), remedy)
    };
    let mut report = explain_in(&world.places.roots, cookie, world.report(), unprocessed)?;
    if report.exists {
        // Without the rule there is nothing to wait for.
        let at =
            if report.findings.first().is_some_and(|first| *first.reason == reason::COOKIE_WAITING) { 0 } else { report.findings.len() };
        report.findings.splice(at..at, world.faults_of(Job::Notify)).for_each(drop);
    }
    Ok(report)
}

/// The same where the kernel has no device-mapper, as `report` says. Of a cookie that is there this comes second, else
/// first.
pub(super) fn explain_alone(roots: &Roots, cookie: Cookie, report: Report) -> Result<Report> {
    let lacking = report.findings.clone();
    let mut report = explain_in(roots, cookie, report, Default::default)?;
    match report.exists {
        true => report.findings.extend(lacking),
        false => report.findings.splice(0..0, lacking).for_each(drop),
    }
    Ok(report)
}

fn explain_in(roots: &Roots, cookie: Cookie, report: Report, unprocessed: impl Fn() -> (Vec<String>, String)) -> Result<Report> {
    let report = Report { exists: true, ..report };
    let service = report.service;
    // A key names no flags: its upper half is every key's.
    let key = cookie.key();
    let flags = if key.is_some_and(|key| key.cookie() == cookie) { Flags::default() } else { cookie.flags() };
    let mut facts = vec![("Cookie", vec![key.map_or(format!("{cookie}"), |key| key.to_string())])];
    if flags != Flags::default() {
        facts.push(("Flags", flags.words(b"").map(str::to_string).collect()));
    }
    let Some(key) = key else {
        return Ok(Report { findings: vec![Finding::new(&reason::COOKIE_OF_FLAGS)], facts, ..report });
    };
    let (entries, _) = census::take(&roots.proc)?;
    let Some(entry) = entries.iter().find(|entry| entry.row.key == key) else {
        return Ok(Report { exists: false, findings: vec![Finding::new(&reason::COOKIE_GONE)], facts, ..report });
    };
    let circumstances = service.circumstances();
    facts.extend(waiters(entry).map(|waiters| ("Waiting", waiters)));
    let (unprocessed, remedy) = unprocessed();
    if !unprocessed.is_empty() {
        facts.push(("Perhaps of", unprocessed));
    }
    let findings =
        [finding(entry, &circumstances).with("remedy", remedy)].into_iter().chain(completer(service.completer, &roots.proc)).collect();
    let unknown = entry.value.is_none().then_some("what it waits for");
    Ok(Report { findings, facts, unknown, ..report })
}

/// The cookies that are waited for in vain, provably: whose they are nobody can tell, so that each may be of any device.
pub(super) fn stuck(world: &World<'_>) -> Vec<Finding> {
    // Who may not look has the devices' own facts.
    let Ok((entries, _)) = census::take(&world.places.roots.proc) else { return Vec::new() };
    let circumstances = world.service.circumstances();
    let is_stuck = |entry: &&Entry| reap::reap(entry, &circumstances, || Some(false)) == Treatment::Complete;
    entries.iter().filter(is_stuck).map(|entry| finding(entry, &circumstances)).collect()
}

/// What a cookie's state means.
pub(crate) fn finding(entry: &Entry, circumstances: &Circumstances) -> Finding {
    let reason = match entry.verdict(circumstances.udevd, circumstances.busy, circumstances.now) {
        Verdict::Foreign => &reason::COOKIE_FOREIGN,
        Verdict::InUse => &reason::COOKIE_IN_USE,
        Verdict::Waiting => &reason::COOKIE_WAITING,
        Verdict::Stuck => &reason::COOKIE_STUCK,
        Verdict::NoUdevd if circumstances.udevd == Udevd::Stopped => &reason::COOKIE_UDEVD_STOPPED,
        Verdict::NoUdevd => &reason::COOKIE_NO_UDEVD,
        Verdict::Left => &reason::COOKIE_LEFT,
        Verdict::Unknown => &reason::COOKIE_UNREADABLE,
    };
    Finding::new(reason).with("cookie", entry.row.key.to_string()).with("detail", detail(entry, circumstances))
}

/// What is wrong with who would complete it.
pub(crate) fn completer(completer: Completer, proc: &Path) -> Option<Finding> {
    let finding = |reason, pid: u32| Some(Finding::new(reason).with("other", pid.to_string()));
    match completer {
        Completer::Stopped { pid } => finding(&reason::COMPLETER_STOPPED, pid),
        Completer::Dead { pid, stranger } => {
            let named = || Process::read(proc, pid).ok().flatten().map(|process| printable(&process.name)).unwrap_or_default();
            let detail = if stranger { format!(", and {}[{pid}], a stranger, has its number now", named()) } else { String::new() };
            finding(&reason::COMPLETER_DEAD, pid).map(|finding| finding.with("detail", detail))
        }
        Completer::Absent | Completer::Running { .. } => None,
    }
}

/// The census's own words, without the verdict that the sentence around them states.
fn detail(entry: &Entry, circumstances: &Circumstances) -> String {
    let words = cookies::verdict(entry, circumstances);
    let detail = words.split_once(": ").map_or(words.as_str(), |(_, detail)| detail);
    detail.trim_start_matches("in use").to_string()
}

fn waiters(entry: &Entry) -> Option<Vec<String>> {
    let names = |process: &census::Process| format!("{}[{}]", process.name, process.pid);
    (!entry.waiters.is_empty()).then(|| entry.waiters.iter().map(names).collect())
}

/// Devices shown at most.
const SHOWN: usize = 4;

/// Devices in use that udev has not processed: the cookie may be of one of them.
fn unprocessed(world: &World<'_>) -> Vec<Devno> {
    let processed = |devno| {
        let record = Record::read(&world.places.roots.run_udev, devno).ok().flatten();
        record.is_some_and(|record| record.property("DM_NAME").is_some())
    };
    let is_live = |devno: &Devno| world.survey.sysfs(*devno).size().is_some_and(|size| size > 0);
    world.survey.devices().devnos().filter(|devno| !processed(*devno)).filter(is_live).collect()
}
