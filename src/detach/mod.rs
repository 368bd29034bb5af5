//! Removing devices: which, in which order, and why some stay.
//!
//! Data flows one way: words → what is asked for → order (pure) → one removal after the other, or a rehearsal of them →
//! what is left, and why.

pub mod openers;
mod removal;
pub mod run;
pub mod targets;

use std::collections::{BTreeMap, BTreeSet};

use crate::devno::Devno;
use crate::dm::Listed;
use crate::error::Result;
use crate::survey::Survey;
use targets::Ties;

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

/// A device to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The device.
    pub device: Listed,
    /// Whether a word of the caller's means it: it is not just included.
    pub named: bool,
}

/// The devices to remove, in an order in which none is removed before those that lie on it, nor before those whose
/// writes it must see.
///
/// # Errors
/// A word that means no device, or several: then nothing is to be done at all.
pub fn plan(survey: &Survey<'_>, words: &[String], scope: Scope) -> Result<Vec<Planned>> {
    let named: BTreeSet<Devno> =
        words.iter().map(|word| survey.find(word).map_err(|error| error.during("detach"))).collect::<Result<_>>()?;
    let mut chosen = named.clone();
    if scope == Scope::All {
        chosen.extend(survey.devices().devnos());
    }
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
    let followers = followers(survey, &chosen);
    let after = |devno: Devno| reached(devno, |devno| [survey.below(devno), followers.get(&devno).cloned().unwrap_or_default()].concat());
    let planned = |devno: Devno| Some(Planned { device: survey.listed(devno)?, named: named.contains(&devno) });
    Ok(order(&chosen, after).into_iter().filter_map(planned).collect())
}

/// The chosen devices that must see another's writes, by that other. What cannot be told here is told at the removal.
fn followers(survey: &Survey<'_>, chosen: &BTreeSet<Devno>) -> BTreeMap<Devno, Vec<Devno>> {
    let mut followers = BTreeMap::<Devno, Vec<Devno>>::new();
    for (devno, control) in chosen.iter().filter_map(|devno| Some((*devno, survey.control()?))) {
        let ties = control.status(devno).and_then(|(_, targets)| Ties::of(survey, control, devno, &targets));
        for (writer, _) in ties.unwrap_or_default().writers {
            followers.entry(writer).or_default().push(devno);
        }
    }
    followers
}

/// Every device that is reached from one, through whatever others.
fn reached(devno: Devno, next: impl Fn(Devno) -> Vec<Devno>) -> BTreeSet<Devno> {
    let mut seen = BTreeSet::new();
    let mut open = vec![devno];
    while let Some(devno) = open.pop() {
        open.extend(next(devno).into_iter().filter(|next| seen.insert(*next)));
    }
    seen
}

/// Puts each device before all that must go after it.
fn order(chosen: &BTreeSet<Devno>, after: impl Fn(Devno) -> BTreeSet<Devno>) -> Vec<Devno> {
    let mut waiting: Vec<(Devno, BTreeSet<Devno>)> = chosen.iter().map(|devno| (*devno, after(*devno))).collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let on_top = |at: &usize| {
            let Some((devno, _)) = waiting.get(*at) else { return false };
            !waiting.iter().any(|(other, after)| other != devno && after.contains(devno))
        };
        // The newest of those on top, as it would be undone by hand. In a ring, which only a table by hand makes, any.
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

    /// Pairs of a device and one that goes directly after it.
    fn ordered(chosen: &[u32], pairs: &[(u32, u32)]) -> Vec<Devno> {
        let next =
            |devno: Devno| pairs.iter().filter(|(upper, _)| *upper == devno.minor()).flat_map(|(_, lower)| numbers(&[*lower])).collect();
        order(&numbers(chosen).into_iter().collect(), |devno| reached(devno, next))
    }

    #[test]
    fn what_lies_on_others_goes_first() {
        assert_eq!(ordered(&[0, 1, 2], &[(2, 1), (1, 0)]), numbers(&[2, 1, 0]));
        assert_eq!(ordered(&[0, 1, 2], &[(0, 1), (1, 2)]), numbers(&[0, 1, 2]), "numbers say nothing");
        assert_eq!(ordered(&[0, 2], &[(0, 1), (1, 2)]), numbers(&[0, 2]), "through one that is not chosen");
        assert_eq!(ordered(&[0, 1, 2, 3], &[(3, 1), (3, 2), (1, 0), (2, 0)]), numbers(&[3, 2, 1, 0]));
        assert_eq!(ordered(&[0, 1], &[(0, 1), (1, 0)]).len(), 2, "a ring is not for ever");
    }

    #[test]
    fn only_what_is_named_or_included_is_planned() {
        let system = System::new();
        let survey = system.survey();
        let names = |words: &[&str], scope| {
            let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
            plan(&survey, &words, scope).map(|devices| devices.iter().map(|device| device.device.name.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(names(&["254:0"], Scope::Named).unwrap(), ["vg-my--data"]);
        assert_eq!(names(&["254:0"], Scope::WithDependants).unwrap(), ["secret1", "secret", "vg-my--data"]);
        assert_eq!(names(&["secret", "secret"], Scope::WithDependants).unwrap(), ["secret1", "secret"]);
        assert_eq!(names(&[], Scope::All).unwrap(), ["secret1", "secret", "vg-my--data"]);
        let error = names(&["secret", "nope"], Scope::Named).unwrap_err().to_string();
        assert!(error.starts_with("detach nope: no such device-mapper device"), "{error}");
    }
}
