//! The differences that are meant, read from `tests/parity/allowed.txt` and `allowed-listen.txt`; each has its reason
//! there.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::guest_root::{self, GuestRoot};
use super::parity::Difference;
use super::scenario::root;
use super::stanzas::{self, Stanza, matches};

/// How a stanza writes that one side has nothing.
const NOTHING: &str = "(none)";
/// How it writes that one side has the fact, with an empty value.
const EMPTY: &str = "(empty)";
/// The sides by either pair of names: the stock rules and ours, or udevd with our rules and `dmhelper listen`.
const KEYS: &[&str] = &["kind", "name", "stock", "ours", "udevd", "listen", "device", "scenario", "step", "generation", "reason"];

#[derive(Debug)]
struct Entry {
    kind: String,
    name: String,
    stock: String,
    ours: String,
    device: String,
    scenario: String,
    step: String,
    line: usize,
    used: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Allowed {
    entries: Vec<Entry>,
    /// The scenarios that have been compared so far.
    compared: Mutex<BTreeSet<String>>,
}

impl Allowed {
    /// Those for the stock rules of this run's guests.
    pub(crate) fn load(file: &str) -> Result<Self, String> {
        let path = root().join("tests/parity").join(file);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        // Without a root nothing is compared.
        let generation = guest_root::get().map_or_else(|_| String::new(), GuestRoot::generation);
        Self::parse(&text, &generation).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn parse(text: &str, generation: &str) -> Result<Self, String> {
        let stanzas = stanzas::parse(text, KEYS)?;
        let here = |stanza: &&Stanza<'_>| stanza.find("generation").is_none_or(|wanted| wanted == generation);
        let entries = stanzas.iter().filter(here).map(entry).collect::<Result<_, _>>()?;
        Ok(Self { entries, compared: Mutex::default() })
    }

    /// The differences of a scenario that no entry allows.
    pub(crate) fn others(&self, scenario: &str, mut differences: Vec<Difference>) -> Vec<Difference> {
        differences.retain(|difference| !self.covers(scenario, difference));
        self.compared.lock().unwrap_or_else(PoisonError::into_inner).insert(scenario.to_owned());
        differences
    }

    /// Whether some entry allows the difference; that entry then counts as used.
    pub(crate) fn covers(&self, scenario: &str, difference: &Difference) -> bool {
        // Every entry that fits counts as used, not only the first: which comes first must not matter.
        let fitting = self.entries.iter().filter(|entry| entry.fits(scenario, difference));
        fitting.map(|entry| entry.used.store(true, Ordering::Relaxed)).count() > 0
    }

    /// The entries that have allowed nothing, though every scenario that they can be for has been compared.
    pub(crate) fn unused(&self, all: &[String]) -> Vec<String> {
        let compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = |entry: &Entry| all.iter().filter(|name| matches(&entry.scenario, name)).all(|name| compared.contains(name));
        let unused = self.entries.iter().filter(|entry| !entry.used.load(Ordering::Relaxed) && tried(entry));
        unused.map(|entry| format!("  line {}: {} {}", entry.line, entry.kind, entry.name)).collect()
    }
}

impl Entry {
    fn fits(&self, scenario: &str, difference: &Difference) -> bool {
        let value = |side: &Option<String>, pattern: &str| match side {
            Some(text) => pattern != NOTHING && matches(pattern, if text.is_empty() { EMPTY } else { text }),
            None => pattern == NOTHING,
        };
        matches(&self.kind, difference.fact.0)
            && matches(&self.name, &difference.fact.1)
            && matches(&self.device, &difference.device)
            && matches(&self.scenario, scenario)
            && matches(&self.step, &difference.step)
            && value(&difference.stock, &self.stock)
            && value(&difference.ours, &self.ours)
    }
}

fn entry(stanza: &Stanza<'_>) -> Result<Entry, String> {
    Ok(Entry {
        kind: stanza.need("kind")?,
        name: stanza.find("name").unwrap_or_default(),
        stock: stanza.need("stock").or_else(|_| stanza.need("udevd"))?,
        ours: stanza.need("ours").or_else(|_| stanza.need("listen"))?,
        device: stanza.find("device").unwrap_or_else(|| "*".to_owned()),
        scenario: stanza.find("scenario").unwrap_or_else(|| "*".to_owned()),
        step: stanza.find("step").unwrap_or_else(|| "*".to_owned()),
        line: stanza.line,
        used: AtomicBool::new(false),
    })
}
