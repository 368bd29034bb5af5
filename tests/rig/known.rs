//! Tests that fail on a suite, and why: `tests/roots/known-failures.txt`. Each must fail so; one that passes fails the run.

use std::fs;

use super::guest_root;
use super::scenario::root;
use super::stanzas::{self, matches};

const FILE: &str = "tests/roots/known-failures.txt";

#[derive(Debug, Clone)]
pub(crate) struct Known {
    test: String,
    says: String,
}

/// Those for the suite of this run.
pub(crate) fn load() -> Result<Vec<Known>, String> {
    let text = fs::read_to_string(root().join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
    let stanzas = stanzas::parse(&text, &["test", "suite", "says", "reason"]).map_err(|error| format!("{FILE}: {error}"))?;
    let Ok(root) = guest_root::get() else { return Ok(Vec::new()) };
    let mut known = Vec::new();
    for stanza in stanzas {
        if stanza.need("suite")?.split('|').any(|suite| root.is(suite)) {
            known.push(Known { test: stanza.need("test")?, says: stanza.need("says")? });
        }
    }
    Ok(known)
}

/// The entry of a test.
pub(crate) fn find(known: &[Known], test: &str) -> Option<Known> {
    known.iter().find(|known| known.test == test).cloned()
}

/// What no test bears the name of any more.
pub(crate) fn expect_tests(known: &[Known], names: &[String]) -> Result<(), String> {
    match known.iter().find(|known| !names.contains(&known.test)) {
        Some(stray) => Err(format!("{FILE}: there is no test {}", stray.test)),
        None => Ok(()),
    }
}

impl Known {
    /// Passes only what fails as it is known to.
    pub(crate) fn judge(&self, result: Result<(), String>) -> Result<(), String> {
        match result {
            Err(report) if matches(&format!("*{}*", self.says), &report) => Ok(()),
            Err(report) => Err(format!("it fails for another reason than {FILE} tells ({}):\n{report}", self.says)),
            Ok(()) => Err(format!("it passes, though {FILE} lists it as a failure: the entry must go")),
        }
    }
}
