//! An explanation for a program: dmhelper-explain(8) documents every key.

use serde::Serialize;

use super::state;
use crate::completer::Completer;
use crate::emit::columns::state_word;
use crate::emit::json::{Text, harmless};
use crate::error::{Error, Result};
use crate::explain::links::{Claim, Found, Link};
use crate::explain::{Finding, Report};
use crate::info::Info;
use crate::rulefiles::{Origin, RuleFile};
use crate::udevd::Udevd;

#[derive(Serialize)]
struct Object {
    asked: String,
    exists: bool,
    reason: &'static str,
    answer: String,
    steps: Vec<String>,
    reasons: Vec<Reason>,
    device: Option<Device>,
    links: Vec<LinkObject>,
    open: Option<Vec<Reason>>,
    facts: Vec<Fact>,
    udevd: Daemon,
    rules: Vec<Rule>,
    needs_root: Option<&'static str>,
}

#[derive(Serialize)]
struct Reason {
    reason: &'static str,
    answer: String,
}

#[derive(Serialize)]
struct Device {
    name: Text,
    uuid: Option<Text>,
    devno: String,
    state: Option<&'static str>,
    flags: Vec<&'static str>,
    decision: Vec<&'static str>,
}

#[derive(Serialize)]
struct LinkObject {
    path: Text,
    state: &'static str,
    expected: bool,
    recorded: bool,
    leads_to: Option<String>,
    claims: Vec<ClaimObject>,
}

#[derive(Serialize)]
struct ClaimObject {
    devno: String,
    priority: i32,
}

#[derive(Serialize)]
struct Fact {
    label: &'static str,
    lines: Vec<String>,
}

#[derive(Serialize)]
struct Daemon {
    state: &'static str,
    busy: bool,
    doubt: Option<String>,
    stand_in: bool,
    completer: &'static str,
}

#[derive(Serialize)]
struct Rule {
    path: Text,
    origin: &'static str,
    generation: Option<u32>,
}

/// One JSON object, ending with a newline.
pub fn json(report: &Report) -> Result<String> {
    let reason = |finding: &Finding| Reason { reason: finding.reason.id, answer: finding.answer() };
    let first = report.findings.first();
    let object = Object {
        asked: report.asked.clone(),
        exists: report.exists,
        reason: first.map_or("", |finding| finding.reason.id),
        answer: first.map(Finding::answer).unwrap_or_default(),
        steps: report.steps(),
        reasons: report.findings.iter().map(reason).collect(),
        device: report.device.as_ref().map(|info| device(info, report)),
        links: report.device.iter().flat_map(|info| report.links.iter().map(|link| link_object(link, info))).collect(),
        open: report.device.as_ref().map(|_| report.holders.iter().map(reason).collect()),
        facts: report.facts.iter().map(|(label, lines)| Fact { label, lines: lines.clone() }).collect(),
        udevd: Daemon {
            state: match report.service.udevd {
                Udevd::Running | Udevd::StandIn => "running",
                Udevd::OnDemand => "on demand",
                Udevd::Stopped => "stopped",
                Udevd::Unknown(_) => "unknown",
                Udevd::Ending => "ending",
                Udevd::Absent => "absent",
            },
            doubt: match report.service.udevd {
                Udevd::Unknown(doubt) => Some(doubt.to_string()),
                _ => None,
            },
            busy: report.service.busy,
            stand_in: report.service.is_stand_in(),
            completer: match report.service.completer {
                Completer::Absent => "absent",
                Completer::Running { .. } => "running",
                Completer::Stopped { .. } => "stopped",
                Completer::Dead { .. } => "dead",
            },
        },
        rules: report.rules.0.iter().map(rule).collect(),
        needs_root: report.unknown,
    };
    let json = serde_json::to_string_pretty(&object).map_err(|error| Error::malformed("print", "JSON", error.to_string()))?;
    Ok(harmless(&json) + "\n")
}

fn device(info: &Info, report: &Report) -> Device {
    Device {
        name: Text::new(info.device.name.as_bytes()),
        uuid: info.device.uuid.as_ref().map(|uuid| Text::new(uuid.as_bytes())),
        devno: info.device.devno.to_string(),
        state: state_word(info.state()),
        flags: info.udev.as_ref().map(|record| record.flags().properties().collect()).unwrap_or_default(),
        decision: report.decision.clone(),
    }
}

fn link_object(link: &Link, info: &Info) -> LinkObject {
    let leads_to = match link.found {
        Found::Link(devno) | Found::Node(devno) => Some(devno.to_string()),
        _ => None,
    };
    let claim = |claim: &Claim| ClaimObject { devno: claim.devno.to_string(), priority: claim.priority };
    LinkObject {
        path: Text::new([b"/dev/", link.path.as_bytes()].concat()),
        state: state(link, info),
        expected: link.expected,
        recorded: link.recorded,
        leads_to,
        claims: link.claims.iter().map(claim).collect(),
    }
}

fn rule(file: &RuleFile) -> Rule {
    Rule {
        path: Text::new(file.path.as_os_str().as_encoded_bytes()),
        origin: match file.origin {
            Origin::Ours => "dmhelper",
            Origin::Other => "other",
            Origin::Masked => "masked",
            Origin::Unreadable => "unreadable",
        },
        generation: file.generation,
    }
}
