//! Cookies for people and for programs.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::cookie::census::{Entry, Process, Verdict};
use crate::cookie::reap::{Circumstances, Treatment};
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use crate::udevd::Udevd;

use super::explain::wrap;

/// How many semaphore sets this namespace has, and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Sets of any kind.
    pub sets: usize,
    /// The kernel's limit (SEMMNI), where it can be read.
    pub limit: Option<usize>,
}

/// A table of all cookies and, in the last line, the use of the kernel's limits. On a terminal a verdict is broken where
/// it would not fit.
pub fn table(entries: &[Entry], usage: Usage, circumstances: &Circumstances, terminal: &Terminal) -> String {
    const VERDICT: usize = 42;
    let room = terminal.width.map_or(usize::MAX, |width| width.saturating_sub(VERDICT).max(20));
    let mut out = String::new();
    if !entries.is_empty() {
        // Writing to a String cannot fail; so in the rest of this file.
        let _ = writeln!(out, "{:<10}  {:>7}  {:<8}  {:>9}  VERDICT", "COOKIE", "MISSING", "CREATOR", "UNCHANGED");
    }
    for entry in entries {
        let missing = entry.missing().map_or("?".to_string(), |missing| missing.to_string());
        let age = duration(entry.age(circumstances.now));
        let (key, creator, verdict) = (entry.row.key, creator(entry.row.creator), verdict(entry, circumstances));
        let verdict = wrap(&verdict, room).join(&format!("\n{:VERDICT$}", ""));
        let _ = writeln!(out, "{key}  {missing:>7}  {creator:<8}  {age:>9}  {verdict}");
    }
    let cookies = match entries.len() {
        0 => "no cookies".to_string(),
        1 => "1 cookie".to_string(),
        n => format!("{n} cookies"),
    };
    let limit = usage.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let _ = writeln!(out, "{cookies}; {}{limit} semaphore sets in use", usage.sets);
    out
}

/// What a cookie's state means, in words.
pub fn verdict(entry: &Entry, circumstances: &Circumstances) -> String {
    let age = duration(entry.age(circumstances.now));
    let missing = match entry.missing() {
        Some(1) => "1 notification missing".to_string(),
        Some(n) => format!("{n} notifications missing"),
        None => "an unknown number of notifications missing".to_string(),
    };
    let waits = match entry.waiters.as_slice() {
        [] => String::new(),
        [one] => format!(", {} waits", name(one)),
        many => format!(", {} wait", names(many, ", ")),
    };
    let last = entry.last.as_ref().map(|process| format!(" by {}", name(process))).unwrap_or_default();
    match entry.verdict(circumstances.udevd, circumstances.busy, circumstances.now) {
        Verdict::Foreign => "foreign: not created by root".to_string(),
        Verdict::InUse if !entry.stopped.is_empty() => format!("in use, perhaps by {}", stopped(&entry.stopped)),
        Verdict::InUse => format!("in use{last}"),
        Verdict::Waiting => match circumstances.udevd {
            Udevd::Unknown(doubt) => format!("waiting for {age}{waits}; whether udevd runs is not known: {doubt}"),
            Udevd::Ending => format!("waiting for {age}{waits}; udevd has ended, but one of its workers has not"),
            _ => format!("waiting for udev for {age}{waits}"),
        },
        Verdict::Stuck => format!("stuck: {missing} for {age}{waits}"),
        Verdict::NoUdevd if circumstances.udevd == Udevd::Stopped => format!("udevd is stopped: {missing} for {age}{waits}"),
        Verdict::NoUdevd => format!("no udevd: {missing} for {age}{waits}"),
        Verdict::Left => format!("left behind: complete for {age}, nobody waits"),
        Verdict::Unknown => "unknown: only root may read it".to_string(),
    }
}

/// One line that says what becomes, or would become, of a cookie, and why.
pub fn decision(entry: &Entry, treatment: Treatment, done: bool, circumstances: &Circumstances) -> String {
    let verdict = verdict(entry, circumstances);
    let action = match (treatment, done) {
        (Treatment::Complete, true) => "completed",
        (Treatment::Complete, false) => "would complete",
        (Treatment::Remove, true) => "removed",
        (Treatment::Remove, false) => "would remove",
        (Treatment::Keep(reason), _) => return format!("{}  kept ({reason}): {verdict}\n", entry.row.key),
    };
    format!("{}  {action}: {verdict}\n", entry.row.key)
}

/// All cookies as one JSON object; the keys are documented in dmhelper-cookie(8).
pub fn json(entries: &[Entry], usage: Usage, circumstances: &Circumstances) -> Result<String> {
    #[derive(Serialize)]
    struct Cookie<'a> {
        cookie: String,
        semaphore_id: i32,
        value: Option<u32>,
        missing: Option<u32>,
        waiting: u32,
        waiters: Vec<Json<'a>>,
        last: Option<Json<'a>>,
        creator_uid: u32,
        unchanged_seconds: u64,
        verdict: &'static str,
        text: String,
    }
    #[derive(Serialize)]
    struct Json<'a> {
        pid: u32,
        name: &'a str,
    }
    #[derive(Serialize)]
    struct List<'a> {
        cookies: Vec<Cookie<'a>>,
        semaphore_sets: Usage,
    }
    fn process(process: &Process) -> Json<'_> {
        Json { pid: process.pid, name: &process.name }
    }
    let cookies = entries.iter().map(|entry| Cookie {
        cookie: entry.row.key.to_string(),
        semaphore_id: entry.row.id,
        value: entry.value,
        missing: entry.missing(),
        waiting: entry.waiting,
        waiters: entry.waiters.iter().map(process).collect(),
        last: entry.last.as_ref().map(process),
        creator_uid: entry.row.creator,
        unchanged_seconds: entry.age(circumstances.now).as_secs(),
        verdict: match entry.verdict(circumstances.udevd, circumstances.busy, circumstances.now) {
            Verdict::Foreign => "foreign",
            Verdict::InUse => "in use",
            Verdict::Waiting => "waiting",
            Verdict::Stuck => "stuck",
            Verdict::NoUdevd if circumstances.udevd == Udevd::Stopped => "udevd stopped",
            Verdict::NoUdevd => "no udevd",
            Verdict::Left => "left behind",
            Verdict::Unknown => "unknown",
        },
        text: verdict(entry, circumstances),
    });
    let list = List { cookies: cookies.collect(), semaphore_sets: usage };
    let text = serde_json::to_string_pretty(&list).map_err(|error| Error::malformed("print", "cookies", error.to_string()))?;
    Ok(text + "\n")
}

fn name(process: &Process) -> String {
    format!("{}[{}]", process.name, process.pid)
}

fn stopped(processes: &[Process]) -> String {
    format!("{}, which {} stopped", names(processes, " or "), if processes.len() == 1 { "is" } else { "are" })
}

/// The first of them by name, the others by how many they are: there may be thousands, and as many cookies.
fn names(processes: &[Process], between: &str) -> String {
    const SHOWN: usize = 3;
    let names = processes.iter().take(SHOWN).map(name);
    let others = match processes.len().saturating_sub(SHOWN) {
        0 => None,
        1 => Some("1 other".to_string()),
        n => Some(format!("{n} others")),
    };
    names.chain(others).collect::<Vec<_>>().join(between)
}

/// A user by number: a static program asks no name service.
fn creator(uid: u32) -> String {
    if uid == 0 { "root".to_string() } else { format!("uid {uid}") }
}

/// A time in its largest whole unit: 3 s, 4 min, 2 h, 5 d.
fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::Key;
    use crate::cookie::census::Row;
    use crate::udevd::Doubt;
    use std::rc::Rc;
    use std::time::UNIX_EPOCH;

    const PROGRAM: Terminal = Terminal { width: None, colour: false, unicode: true };

    fn entry(value: u32, waiting: u32) -> Entry {
        let row = Row { key: Key::from_raw(0x0d4d_1234).unwrap(), id: 1, creator: 0, operated: 1000, changed: 1000 };
        let lvcreate = Process { pid: 812, name: "lvcreate".into() };
        let waiters = if waiting > 0 { vec![lvcreate.clone()] } else { Vec::new() };
        Entry { row, value: Some(value), waiting, waiters, stopped: Rc::default(), last_pid: Some(812), last: Some(lvcreate) }
    }

    fn after(seconds: u64) -> Circumstances {
        Circumstances { udevd: Udevd::Running, busy: false, now: UNIX_EPOCH + Duration::from_secs(1000 + seconds), older_than: None }
    }

    #[test]
    fn a_verdict_names_what_is_missing_since_when_and_who_waits() {
        assert_eq!(verdict(&entry(1, 1), &after(240)), "stuck: 1 notification missing for 4 min, lvcreate[812] waits");
        assert_eq!(verdict(&entry(2, 1), &after(3)), "waiting for udev for 3 s, lvcreate[812] waits");
        assert_eq!(verdict(&entry(2, 0), &after(3)), "in use by lvcreate[812]");
        let held = Entry { stopped: entry(0, 1).waiters.into(), ..entry(0, 0) };
        assert_eq!(verdict(&held, &after(60)), "in use, perhaps by lvcreate[812], which is stopped");
        let many = (1..=5).map(|pid| Process { pid, name: "x".into() }).collect();
        assert_eq!(
            verdict(&Entry { stopped: many, ..entry(0, 0) }, &after(60)),
            "in use, perhaps by x[1] or x[2] or x[3] or 2 others, which are stopped"
        );
        let absent = Circumstances { udevd: Udevd::Absent, ..after(1) };
        assert_eq!(verdict(&entry(1, 1), &absent), "no udevd: 1 notification missing for 1 s, lvcreate[812] waits");
        let unknown = Circumstances { udevd: Udevd::Unknown(Doubt::Processes), ..after(60) };
        assert_eq!(
            verdict(&entry(1, 1), &unknown),
            "waiting for 60 s, lvcreate[812] waits; whether udevd runs is not known: not all processes can be seen from here"
        );
        let ending = Circumstances { udevd: Udevd::Ending, ..after(60) };
        assert_eq!(
            verdict(&entry(1, 1), &ending),
            "waiting for 60 s, lvcreate[812] waits; udevd has ended, but one of its workers has not"
        );
    }

    #[test]
    fn the_table_ends_with_the_use_of_the_limits() {
        let usage = Usage { sets: 2, limit: Some(32_000) };
        assert_eq!(
            table(&[entry(1, 1)], usage, &after(240), &PROGRAM),
            "COOKIE      MISSING  CREATOR   UNCHANGED  VERDICT\n\
             0x0d4d1234        1  root          4 min  stuck: 1 notification missing for 4 min, lvcreate[812] waits\n\
             1 cookie; 2 of 32000 semaphore sets in use\n"
        );
        let narrow = Terminal { width: Some(80), ..PROGRAM };
        assert_eq!(
            table(&[entry(1, 1)], usage, &after(240), &narrow),
            "COOKIE      MISSING  CREATOR   UNCHANGED  VERDICT\n\
             0x0d4d1234        1  root          4 min  stuck: 1 notification missing for 4\n\
             \x20                                         min, lvcreate[812] waits\n\
             1 cookie; 2 of 32000 semaphore sets in use\n"
        );
        assert_eq!(table(&[], Usage { sets: 0, limit: None }, &after(0), &narrow), "no cookies; 0 semaphore sets in use\n");
    }

    #[test]
    fn a_decision_says_what_and_why() {
        let line = |treatment, done| decision(&entry(1, 1), treatment, done, &after(240));
        assert_eq!(
            line(Treatment::Complete, true),
            "0x0d4d1234  completed: stuck: 1 notification missing for 4 min, lvcreate[812] waits\n"
        );
        assert!(line(Treatment::Remove, false).starts_with("0x0d4d1234  would remove: "));
        assert!(line(Treatment::Keep("too young"), true).starts_with("0x0d4d1234  kept (too young): "));
    }

    #[test]
    fn json_has_the_documented_keys() {
        let text = json(&[entry(1, 1)], Usage { sets: 1, limit: Some(32_000) }, &after(240)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let cookie = &value["cookies"][0];
        assert_eq!(cookie["cookie"], "0x0d4d1234");
        assert_eq!(cookie["verdict"], "stuck");
        assert_eq!(cookie["waiters"][0]["name"], "lvcreate");
        assert_eq!(cookie["unchanged_seconds"], 240);
        assert_eq!(value["semaphore_sets"]["limit"], 32_000);
    }
}
