//! Compares two runs of one scenario, step by step and fact by fact.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::snapshot::{Fact, NO_DEVICE, Snapshot};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) step: String,
    pub(crate) device: String,
    pub(crate) fact: Fact,
    pub(crate) stock: Option<String>,
    pub(crate) ours: Option<String>,
}

/// Links that udevd makes by itself: without udevd there is nobody to make them. A scenario whose devices get links by
/// the rules of another package adds those here.
const LINKS_OF_OTHERS: &[&str] = &["/dev/block/"];

/// Every fact that one run has and the other has not, or has with another value.
pub(crate) fn differences(stock: &[Snapshot], ours: &[Snapshot]) -> Result<Vec<Difference>, String> {
    expect_substance(stock)?;
    compare_all(stock, ours)
}

/// The same for a run with udevd and one without, by what exists without udevd: the devices and their state, links,
/// nodes that tools made for want of links, cookies; and of the records what comes of our rules.
pub(crate) fn differences_without_udevd(udevd: &[Snapshot], listen: &[Snapshot]) -> Result<Vec<Difference>, String> {
    expect_substance(udevd)?;
    expect_substance(listen)?; // Its records are in udev's format.
    let keep = |steps: &[Snapshot], others: &[&str]| -> Vec<Snapshot> {
        let mut steps = steps.to_vec();
        for facts in steps.iter_mut().flat_map(|step| step.devices.values_mut()) {
            facts.retain(|(kind, name), _| match *kind {
                "state" | "node" | "link priority" => true,
                "symlink" => !others.iter().any(|prefix| name.starts_with(prefix)),
                "link" => !others.iter().any(|prefix| format!("/dev/{name}").starts_with(prefix)),
                "property" => ["DM_", "ID_FS_"].iter().any(|prefix| name.starts_with(prefix)),
                _ => false,
            });
        }
        steps
    };
    compare_all(&keep(udevd, LINKS_OF_OTHERS), &keep(listen, &[]))
}

fn compare_all(stock: &[Snapshot], ours: &[Snapshot]) -> Result<Vec<Difference>, String> {
    let titles = |run: &[Snapshot]| run.iter().map(|snapshot| snapshot.step.clone()).collect::<Vec<_>>();
    if titles(stock) != titles(ours) {
        return Err(format!("the runs took different steps:\n  {:?}\n  {:?}", titles(stock), titles(ours)));
    }
    let mut found = Vec::new();
    for (number, (left, right)) in stock.iter().zip(ours).enumerate() {
        compare(&format!("{} ({})", number + 1, left.step), left, right, &mut found);
    }
    Ok(found)
}

/// A comparison of nothing with nothing must not pass: some step must show a device that has a record and a link.
fn expect_substance(steps: &[Snapshot]) -> Result<(), String> {
    let substantial = steps.iter().flat_map(|step| &step.devices).any(|(device, facts)| {
        let has = |kind: &str| facts.keys().any(|fact| fact.0 == kind);
        device != NO_DEVICE && has("property") && has("symlink")
    });
    if substantial { Ok(()) } else { Err("no step showed a device with a property and a link".to_owned()) }
}

fn compare(step: &str, stock: &Snapshot, ours: &Snapshot, found: &mut Vec<Difference>) {
    let mut note = |device: &str, fact: Fact, stock: Option<String>, ours: Option<String>| {
        found.push(Difference { step: step.to_owned(), device: device.to_owned(), fact, stock, ours });
    };
    if (stock.semaphores > 0) != (ours.semaphores > 0) {
        let count = |snapshot: &Snapshot| Some(snapshot.semaphores.to_string());
        note(NO_DEVICE, ("cookies", String::new()), count(stock), count(ours));
    }
    for device in stock.devices.keys().chain(ours.devices.keys()).collect::<BTreeSet<_>>() {
        let (left, right) = (stock.devices.get(device), ours.devices.get(device));
        if device != NO_DEVICE && left.is_some() != right.is_some() {
            let presence = |side: bool| side.then(|| "exists".to_owned());
            note(device, ("device", String::new()), presence(left.is_some()), presence(right.is_some()));
            continue;
        }
        let facts = |side: Option<&BTreeMap<Fact, String>>| side.cloned().unwrap_or_default();
        let (left, right) = (facts(left), facts(right));
        for fact in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
            let (stock, ours) = (left.get(fact), right.get(fact));
            if stock != ours {
                note(device, fact.clone(), stock.cloned(), ours.cloned());
            }
        }
    }
}

/// For people: by device, each fact with both values and the first step that showed it.
pub(crate) fn report(differences: &[Difference], [left, right]: [&str; 2]) -> String {
    type Key<'a> = (&'a str, &'a Fact, &'a Option<String>, &'a Option<String>);
    let mut grouped: BTreeMap<Key<'_>, Vec<&str>> = BTreeMap::new();
    for one in differences {
        grouped.entry((&one.device, &one.fact, &one.stock, &one.ours)).or_default().push(&one.step);
    }
    let mut text = String::new();
    let mut current = "";
    for ((device, fact, stock, ours), steps) in grouped {
        if device != current {
            current = device;
            let _ = writeln!(text, "  device {device}");
        }
        let value = |side: &Option<String>| side.as_ref().map_or_else(|| "(none)".to_owned(), |text| format!("{text:?}"));
        let (name, stock, ours) = (format!("{} {}", fact.0, fact.1), value(stock), value(ours));
        let first = steps.first().copied().unwrap_or_default();
        let more = if steps.len() > 1 { format!(" and {} later", steps.len() - 1) } else { String::new() };
        let _ = writeln!(text, "    {:<48} {left} {stock:<10} {right} {ours:<10} after step {first}{more}", name.trim_end());
    }
    text
}
