//! What is wrong with the machine, for people, for scripts and for monitoring: dmhelper-explain(8) documents every key.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Serialize;

use super::explain::wrap;
use super::json::harmless;
use crate::doctor::{Diagnosis, Trouble};
use crate::error::{Error, Result};
use crate::explain::reason;
use crate::terminal::Terminal;

/// Troubles of one kind that are shown one by one; of more, this many. Suspended devices are all shown: one that is not
/// resumed holds up those after it.
const SHOWN: usize = 3;

/// A line for each trouble with what to do about it, and one that counts them. On a terminal lines are broken.
pub fn text(diagnosis: &Diagnosis, terminal: Terminal) -> String {
    let mut out = String::new();
    let mut count = 0;
    for (id, mut troubles) in diagnosis.groups() {
        // What is said in the same words of the machine and of each device is said once.
        let mut said = BTreeSet::new();
        troubles.retain(|trouble| said.insert(trouble.finding.answer()));
        count += troubles.len();
        let shown = if id == reason::SUSPENDED.id { troubles.len() } else { SHOWN };
        for trouble in troubles.iter().take(shown) {
            line(&mut out, &trouble.finding.answer(), trouble, terminal);
        }
        if troubles.len() > shown {
            // Writing to a String cannot fail; so in the rest of this file.
            let _ = writeln!(out, "and {} more of this kind; --json lists them all", troubles.len() - shown);
        }
    }
    let devices = match diagnosis.devices {
        0 => "no device-mapper devices".to_string(),
        1 => "1 device".to_string(),
        n => format!("{n} devices"),
    };
    let _ = match count {
        0 => writeln!(out, "all is well: {devices}"),
        1 => writeln!(out, "1 trouble; {devices}"),
        n => writeln!(out, "{n} troubles; {devices}"),
    };
    out
}

fn line(out: &mut String, answer: &str, trouble: &Trouble, terminal: Terminal) {
    let fix = trouble.finding.steps().into_iter().next().unwrap_or_default();
    let Some(width) = terminal.width else {
        let fix = if fix.is_empty() { fix } else { format!(" Fix: {fix}") };
        let _ = writeln!(out, "{answer}{fix}");
        return;
    };
    let (bold, plain) = if terminal.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    for (at, part) in wrap(answer, width.saturating_sub(2)).into_iter().enumerate() {
        let _ = writeln!(out, "{bold}{part}{plain}", part = if at == 0 { part } else { format!("  {part}") });
    }
    // A command is there to be copied: it is not broken, and stands on a line of its own where it does not fit.
    match fix.split_once(": ").filter(|_| fix.chars().count() + "    fix: ".len() > width) {
        Some((words, command)) => drop(writeln!(out, "    fix: {words}:\n      {command}")),
        None if fix.is_empty() => {}
        None => drop(writeln!(out, "    fix: {fix}")),
    }
}

#[derive(Serialize)]
struct Object {
    devices: usize,
    troubles: Vec<Entry>,
    needs_root: Option<&'static str>,
}

#[derive(Serialize)]
struct Entry {
    reason: &'static str,
    answer: String,
    device: Option<String>,
    steps: Vec<String>,
    repair: Option<String>,
}

/// One JSON object, ending with a newline.
pub fn json(diagnosis: &Diagnosis) -> Result<String> {
    let entry = |trouble: &Trouble| Entry {
        reason: trouble.finding.reason.id,
        answer: trouble.finding.answer(),
        device: trouble.device.clone(),
        steps: trouble.finding.steps(),
        repair: trouble.repair.as_ref().map(|repair| repair.words(false)),
    };
    let troubles = diagnosis.troubles.iter().map(entry).collect();
    let object = Object { devices: diagnosis.devices, troubles, needs_root: diagnosis.unknown };
    let json = serde_json::to_string_pretty(&object).map_err(|error| Error::malformed("print", "JSON", error.to_string()))?;
    Ok(harmless(&json) + "\n")
}
