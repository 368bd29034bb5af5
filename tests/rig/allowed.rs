//! The differences that are meant, read from `tests/parity/allowed.txt` and `allowed-listen.txt`; each has its reason
//! there.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::parity::Difference;
use super::scenario::root;

/// How a stanza writes that one side has nothing.
const NOTHING: &str = "(none)";
/// How it writes that one side has the fact, with an empty value.
const EMPTY: &str = "(empty)";

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
pub(crate) struct Allowed(Vec<Entry>);

impl Allowed {
    pub(crate) fn load(file: &str) -> Result<Self, String> {
        let path = root().join("tests/parity").join(file);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Stanzas of `key: value` lines, set apart by blank lines; `#` starts a comment line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        let mut stanza: Vec<(&str, &str)> = Vec::new();
        for (number, line) in text.lines().chain([""]).enumerate() {
            let line = line.trim();
            if line.starts_with('#') {
                continue;
            }
            if !line.is_empty() {
                stanza.push(line.split_once(": ").ok_or_else(|| format!("line {}: no `key: value`", number + 1))?);
            } else if !stanza.is_empty() {
                entries.push(entry(&stanza, number).map_err(|error| format!("stanza before line {}: {error}", number + 1))?);
                stanza.clear();
            }
        }
        Ok(Self(entries))
    }

    /// Whether some entry allows the difference; that entry then counts as used.
    pub(crate) fn covers(&self, scenario: &str, difference: &Difference) -> bool {
        // Every entry that fits counts as used, not only the first: which comes first must not matter.
        let fitting = self.0.iter().filter(|entry| entry.fits(scenario, difference));
        fitting.map(|entry| entry.used.store(true, Ordering::Relaxed)).count() > 0
    }

    pub(crate) fn unused(&self) -> Vec<String> {
        let unused = self.0.iter().filter(|entry| !entry.used.load(Ordering::Relaxed));
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

fn entry(stanza: &[(&str, &str)], line: usize) -> Result<Entry, String> {
    // The sides by either pair of names: the stock rules and ours, or udevd with our rules and `dmhelper listen`.
    let known = ["kind", "name", "stock", "ours", "udevd", "listen", "device", "scenario", "step", "reason"];
    if let Some((key, _)) = stanza.iter().find(|(key, _)| !known.contains(key)) {
        return Err(format!("unknown key `{key}`"));
    }
    let find = |key: &str| stanza.iter().find(|(known, _)| *known == key).map(|(_, value)| value.trim().to_owned());
    let need = |key: &str| find(key).ok_or_else(|| format!("no `{key}`"));
    if need("reason")?.len() < 20 {
        return Err("a reason is a sentence".to_owned());
    }
    Ok(Entry {
        kind: need("kind")?,
        name: find("name").unwrap_or_default(),
        stock: need("stock").or_else(|_| need("udevd"))?,
        ours: need("ours").or_else(|_| need("listen"))?,
        device: find("device").unwrap_or_else(|| "*".to_owned()),
        scenario: find("scenario").unwrap_or_else(|| "*".to_owned()),
        step: find("step").unwrap_or_else(|| "*".to_owned()),
        line,
        used: AtomicBool::new(false),
    })
}

/// Shell-like patterns: `*` for anything, `|` between alternatives.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    pattern.split('|').any(|alternative| {
        let mut pieces = alternative.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
        let pieces: Vec<&str> = pieces.collect();
        let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
        for piece in middle {
            let Some(at) = rest.find(piece) else { return false };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    })
}
