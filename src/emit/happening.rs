//! Events of the monitor: a line for a person, an object for a program.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use time::{OffsetDateTime, UtcOffset};

use super::json::{Text, harmless};
use crate::cookie::Flags;
use crate::error::{Error, Result};
use crate::listen::happening::{Origin, Path, Report, What};
use crate::name::DmUuid;
use crate::text::printable;
use crate::uevent::Source;

/// Width that names have at least, and beyond which they push what follows.
const NAME: std::ops::RangeInclusive<usize> = 12..=28;
/// Width of device numbers.
const NUMBER: usize = 7;

/// Lines for a terminal, their columns as wide as the names so far.
#[derive(Debug)]
pub struct Lines {
    colour: bool,
    name: usize,
}

impl Lines {
    /// In colour or not.
    pub fn new(colour: bool) -> Self {
        Self { colour, name: *NAME.start() }
    }

    /// One report: time, source, action, name, number, what happened; then latency, cookie and flags.
    pub fn line(&mut self, report: &Report, offset: UtcOffset) -> String {
        let source = match report.origin {
            Origin::Event(source) => source_word(source),
            Origin::Rescan => "rescan",
        };
        let action = report.action.as_deref().map_or("-".to_string(), printable);
        let (name, number) = identity(report);
        self.name = name.chars().count().clamp(self.name, *NAME.end());
        let mut words = vec![words(report)];
        words.extend(report.latency.map(|latency| format!("{} after the kernel", duration(latency))));
        if !report.repeats {
            words.extend(cookie_words(report));
        }
        let time = clock(report, offset);
        let (name, width) = (self.paint(BOLD, &name), self.name + if self.colour { BOLD.len() + RESET.len() } else { 0 });
        let what = self.paint(colour(&report.what), &words.join(", "));
        format!("{time} {source:<6} {action:<6} {name:<width$} {number:<NUMBER$} {what}\n")
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("{colour}{text}{RESET}") } else { text.to_string() }
    }
}

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[39m";
const RESET: &str = "\x1b[0m";

fn colour(what: &What) -> &'static str {
    match what {
        What::Activated | What::Appeared | What::PathReinstated(_) => GREEN,
        What::Removed | What::Disappeared | What::PathFailed(_) | What::Overrun(_) | What::Missed(_) => RED,
        What::Renamed { .. } | What::ReadOnly | What::Writable | What::Resized => YELLOW,
        _ => PLAIN,
    }
}

/// Name and number; dashes for what is about no device or about one of which no name is known.
fn identity(report: &Report) -> (String, String) {
    let name = report.name.as_ref().map_or("-".to_string(), ToString::to_string);
    (name, report.devno.map_or("-".to_string(), |devno| devno.to_string()))
}

/// Hours to milliseconds.
fn clock(report: &Report, offset: UtcOffset) -> String {
    let time = OffsetDateTime::from(report.time).to_offset(offset);
    format!("{:02}:{:02}:{:02}.{:03}", time.hour(), time.minute(), time.second(), time.millisecond())
}

fn source_word(source: Source) -> &'static str {
    match source {
        Source::Kernel => "kernel",
        Source::Udev => "udev",
    }
}

/// What happened, in words.
fn words(report: &Report) -> String {
    let path = |path: &Path, verb: &str| {
        let left = path.left.map(|left| format!(", {left} left")).unwrap_or_default();
        format!("path {} {verb}{left}", printable(&path.number))
    };
    let mut words = match &report.what {
        What::Created => "created, without a table yet".to_string(),
        What::Coldplugged => "coldplugged".to_string(),
        What::Activated => "activated".to_string(),
        What::Resumed => "resumed".to_string(),
        What::Resized => "resumed with another size".to_string(),
        What::Renamed { from, to } => format!("renamed from {from} to {to}"),
        What::PathFailed(failed) => path(failed, "failed"),
        What::PathReinstated(back) => path(back, "reinstated"),
        What::ReadOnly => "became read-only".to_string(),
        What::Writable => "became writable".to_string(),
        What::Touched => "changed (closed after writing, or asked for)".to_string(),
        What::Asked => "changed (asked for)".to_string(),
        What::Removed => "removed".to_string(),
        What::DiskRemoved => "removed, its disk too".to_string(),
        What::RemovalAsked => "not removed (its removal's event was asked for)".to_string(),
        What::Other => "an event of unknown meaning".to_string(),
        What::Appeared => "appeared".to_string(),
        What::Disappeared => "disappeared".to_string(),
        What::Missed(1) => "1 device-mapper event missed".to_string(),
        What::Missed(count) => format!("{count} device-mapper events missed"),
        What::Overrun(Some(1)) => "the queue overran: up to 1 event lost".to_string(),
        What::Overrun(Some(lost)) => format!("the queue overran: up to {lost} events lost"),
        What::Overrun(None) => "the queue overran: events lost".to_string(),
    };
    if report.suspended {
        words.push_str(", suspended");
    }
    words
}

/// The cookie as `cookie list` shows it, and its flags but those that every tool sets; a removed device has no use for any.
fn cookie_words(report: &Report) -> Vec<String> {
    let Some(cookie) = report.cookie else { return Vec::new() };
    let flags = if report.what == What::Removed { Flags::default() } else { super::telling(cookie.flags()) };
    let prefix = report.uuid.as_ref().map_or(&b""[..], DmUuid::prefix);
    let key = cookie.key().map(|key| format!("cookie {key}"));
    key.into_iter().chain(flags.words(prefix).map(str::to_string)).collect()
}

/// A time in three digits or four.
fn duration(duration: Duration) -> String {
    match duration.as_micros() {
        micros @ 0..10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        micros @ 10_000..10_000_000 => format!("{} ms", micros / 1000),
        micros => format!("{} s", micros / 1_000_000),
    }
}

/// A report as one line of JSON; dmhelper-monitor(8) documents every key.
pub fn json(report: &Report) -> Result<String> {
    #[derive(Serialize)]
    struct Object {
        time_usec: u64,
        source: &'static str,
        action: Option<Text>,
        seqnum: Option<u64>,
        name: Option<Text>,
        uuid: Option<Text>,
        devno: Option<String>,
        diskseq: Option<u64>,
        event: &'static str,
        text: String,
        suspended: bool,
        renamed_from: Option<Text>,
        path: Option<Text>,
        paths_left: Option<u64>,
        cookie: Option<String>,
        flags: Option<Vec<&'static str>>,
        latency_usec: Option<u64>,
        lost: Option<u64>,
    }
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let path = match &report.what {
        What::PathFailed(path) | What::PathReinstated(path) => Some(path),
        _ => None,
    };
    let object = Object {
        time_usec: report.time.duration_since(UNIX_EPOCH).map(micros).unwrap_or_default(),
        source: match report.origin {
            Origin::Event(source) => source_word(source),
            Origin::Rescan => "rescan",
        },
        action: report.action.as_ref().map(Text::new),
        seqnum: report.seqnum,
        name: report.name.as_ref().map(|name| Text::new(name.as_bytes())),
        uuid: report.uuid.as_ref().map(|uuid| Text::new(uuid.as_bytes())),
        devno: report.devno.map(|devno| devno.to_string()),
        diskseq: report.diskseq,
        event: event_word(&report.what),
        text: words(report),
        suspended: report.suspended,
        renamed_from: match &report.what {
            What::Renamed { from, .. } => Some(Text::new(from.as_bytes())),
            _ => None,
        },
        path: path.map(|path| Text::new(&path.number)),
        paths_left: path.and_then(|path| path.left),
        cookie: report.cookie.and_then(|cookie| cookie.key()).map(|key| key.to_string()),
        flags: report.cookie.map(|cookie| cookie.flags().properties().collect()),
        latency_usec: report.latency.map(micros),
        lost: match report.what {
            What::Overrun(lost) => lost,
            What::Missed(missed) => Some(u64::from(missed)),
            _ => None,
        },
    };
    let text = serde_json::to_string(&object).map_err(|error| Error::malformed("print", "JSON", error.to_string()))?;
    Ok(harmless(&text) + "\n")
}

/// All values of the key `event`.
pub const EVENTS: [&str; 20] = [
    "created",
    "coldplugged",
    "activated",
    "resumed",
    "resized",
    "renamed",
    "path_failed",
    "path_reinstated",
    "read_only",
    "writable",
    "changed",
    "asked",
    "removed",
    "disk_removed",
    "removal_asked",
    "other",
    "appeared",
    "disappeared",
    "missed",
    "overrun",
];

/// The value of the key `event`.
pub fn event_word(what: &What) -> &'static str {
    match what {
        What::Created => "created",
        What::Coldplugged => "coldplugged",
        What::Activated => "activated",
        What::Resumed => "resumed",
        What::Resized => "resized",
        What::Renamed { .. } => "renamed",
        What::PathFailed(_) => "path_failed",
        What::PathReinstated(_) => "path_reinstated",
        What::ReadOnly => "read_only",
        What::Writable => "writable",
        What::Touched => "changed",
        What::Asked => "asked",
        What::Removed => "removed",
        What::DiskRemoved => "disk_removed",
        What::RemovalAsked => "removal_asked",
        What::Other => "other",
        What::Appeared => "appeared",
        What::Disappeared => "disappeared",
        What::Missed(_) => "missed",
        What::Overrun(_) => "overrun",
    }
}

#[cfg(test)]
mod tests;
