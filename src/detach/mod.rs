//! Removing devices: which, in which order, and why some stay.
//!
//! Data flows one way: words → what is asked for → order (pure) → one removal after the other → what is left, and why.

pub mod openers;
pub mod run;

use std::collections::BTreeSet;

use crate::devno::Devno;
use crate::dm::Listed;
use crate::error::Result;
use crate::survey::Survey;

/// What the caller wants removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every device-mapper device.
    All,
    /// Those named.
    Named,
    /// Those named, and every device-mapper device that lies on one of them, through whatever layers.
    WithDependants,
}

/// The devices to remove, in an order in which none is removed before those that lie on it.
///
/// # Errors
/// A word that means no device, or several: then nothing is to be done at all.
pub fn plan(survey: &Survey<'_>, words: &[String], scope: Scope) -> Result<Vec<Listed>> {
    let mut chosen: BTreeSet<Devno> = match scope {
        Scope::All => survey.devices().devnos().collect(),
        _ => words.iter().map(|word| survey.find(word).map_err(|error| error.during("detach"))).collect::<Result<_>>()?,
    };
    if scope == Scope::WithDependants {
        let mut open: Vec<Devno> = chosen.iter().copied().collect();
        let mut seen = chosen.clone();
        while let Some(devno) = open.pop() {
            // What lies between (a software RAID, a partition) is passed through, and is not ours to remove.
            for above in survey.above(devno).into_iter().filter(|above| seen.insert(*above)) {
                if survey.listed(above).is_some() {
                    chosen.insert(above);
                }
                open.push(above);
            }
        }
    }
    let ordered = order(&chosen, |devno| below(survey, devno));
    Ok(ordered.into_iter().filter_map(|devno| survey.listed(devno)).collect())
}

/// Every device under another, through whatever layers.
fn below(survey: &Survey<'_>, devno: Devno) -> BTreeSet<Devno> {
    let mut seen = BTreeSet::new();
    let mut open = vec![devno];
    while let Some(devno) = open.pop() {
        open.extend(survey.below(devno).into_iter().filter(|below| seen.insert(*below)));
    }
    seen
}

/// Puts each device before all that are below it.
fn order(chosen: &BTreeSet<Devno>, below: impl Fn(Devno) -> BTreeSet<Devno>) -> Vec<Devno> {
    let mut waiting: Vec<(Devno, BTreeSet<Devno>)> = chosen.iter().map(|devno| (*devno, below(*devno))).collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let on_top = |at: &usize| {
            let Some((devno, _)) = waiting.get(*at) else { return false };
            !waiting.iter().any(|(other, below)| other != devno && below.contains(devno))
        };
        // The newest of those on top, as it would be undone by hand. Were there a ring, any would do.
        let at = (0..waiting.len()).rev().find(on_top).unwrap_or(0);
        ordered.push(waiting.remove(at).0);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::system::System;

    fn numbers(minors: &[u32]) -> Vec<Devno> {
        minors.iter().map(|minor| Devno::new(254, *minor).unwrap()).collect()
    }

    /// Pairs of a device and one directly below it.
    fn ordered(chosen: &[u32], pairs: &[(u32, u32)]) -> Vec<Devno> {
        let below = |devno: Devno| {
            let mut open = vec![devno.minor()];
            let mut seen = BTreeSet::new();
            while let Some(minor) = open.pop() {
                for (_, lower) in pairs.iter().filter(|(upper, _)| *upper == minor) {
                    if seen.insert(*lower) {
                        open.push(*lower);
                    }
                }
            }
            numbers(&seen.into_iter().collect::<Vec<_>>()).into_iter().collect()
        };
        order(&numbers(chosen).into_iter().collect(), below)
    }

    #[test]
    fn what_lies_on_others_goes_first() {
        assert_eq!(ordered(&[0, 1, 2], &[(2, 1), (1, 0)]), numbers(&[2, 1, 0]));
        assert_eq!(ordered(&[0, 1, 2], &[(0, 1), (1, 2)]), numbers(&[0, 1, 2]), "numbers say nothing");
        assert_eq!(ordered(&[0, 2], &[(0, 1), (1, 2)]), numbers(&[0, 2]), "through one that is not chosen");
        assert_eq!(ordered(&[0, 1, 2, 3], &[(3, 1), (3, 2), (1, 0), (2, 0)]), numbers(&[3, 2, 1, 0]));
        assert_eq!(ordered(&[0, 1], &[(0, 1), (1, 0)]).len(), 2, "a ring, which there is not, would not be for ever");
    }

    #[test]
    fn only_what_is_named_or_included_is_planned() {
        let system = System::new();
        let survey = system.survey();
        let names = |words: &[&str], scope| {
            let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
            plan(&survey, &words, scope).map(|devices| devices.iter().map(|device| device.name.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(names(&["254:0"], Scope::Named).unwrap(), ["vg-my--data"]);
        assert_eq!(names(&["254:0"], Scope::WithDependants).unwrap(), ["secret1", "secret", "vg-my--data"]);
        assert_eq!(names(&["secret", "secret"], Scope::WithDependants).unwrap(), ["secret1", "secret"]);
        assert_eq!(names(&[], Scope::All).unwrap(), ["secret1", "secret", "vg-my--data"]);
        let error = names(&["secret", "nope"], Scope::Named).unwrap_err().to_string();
        assert!(error.starts_with("detach nope: no such device-mapper device"), "{error}");
    }
}
