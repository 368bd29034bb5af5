//! Compares two runs of one scenario, step by step and fact by fact.

use std::collections::BTreeSet;
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

/// Every fact that one run has and the other has not, or has with another value.
pub(crate) fn differences(stock: &[Snapshot], ours: &[Snapshot]) -> Result<Vec<Difference>, String> {
    expect_substance(stock)?;
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
        let facts = |side: Option<&std::collections::BTreeMap<Fact, String>>| side.cloned().unwrap_or_default();
        let (left, right) = (facts(left), facts(right));
        for fact in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
            let (stock, ours) = (left.get(fact), right.get(fact));
            if stock != ours {
                note(device, fact.clone(), stock.cloned(), ours.cloned());
            }
        }
    }
}

/// For people: grouped by step and device, each line with both values.
pub(crate) fn report(differences: &[Difference]) -> String {
    let mut text = String::new();
    let (mut step, mut device) = ("", "");
    for difference in differences {
        if difference.step != step {
            (step, device) = (&difference.step, "");
            let _ = writeln!(text, "  after step {step}:");
        }
        if difference.device != device {
            device = &difference.device;
            let _ = writeln!(text, "    device {device}");
        }
        let value = |side: &Option<String>| side.as_ref().map_or_else(|| "(none)".to_owned(), |text| format!("{text:?}"));
        let name = format!("{} {}", difference.fact.0, difference.fact.1);
        let (stock, ours) = (value(&difference.stock), value(&difference.ours));
        let _ = writeln!(text, "      {:<50} stock {stock:<12} ours {ours}", name.trim_end());
    }
    text
}
