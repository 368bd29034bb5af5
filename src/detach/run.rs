//! One removal after the other, again for a while where somebody has a device open for a moment only.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Planned;
use super::openers::Reasons;
use super::removal::{Attempt, Remover};
use crate::devno::Devno;
use crate::dm::{Listed, Selector};
use crate::error::{Error, Result};
use crate::info::Roots;
use crate::survey::Survey;

pub use super::removal::Options;

/// Between two tries: at first about as long as udevd looks at a device's content, then ever longer.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What became of a device, or would become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Detached,
    /// It goes when it is closed.
    Deferred,
    /// It stays, for these reasons.
    Stays(String),
}

/// Removes the devices in their order, or rehearses it, and tells what becomes of each. Returns what failed beside.
pub fn run(roots: &Roots, devices: &[Planned], options: Options, mut tell: impl FnMut(&Listed, Fate)) -> Result<Vec<Error>> {
    let survey = Survey::open(roots).map_err(|error| error.during("detach"))?;
    let mut remover = Remover::new(&survey, options)?;
    let deadline = options.timeout.deadline();
    let mut pause = PAUSE;
    let mut failures = Vec::new();
    let mut waiting: Vec<&Planned> = devices.iter().collect();
    while !waiting.is_empty() {
        let mut kept = Vec::new();
        let mut progress = false;
        for planned in waiting {
            match remover.attempt(planned) {
                Ok(Attempt::Kept) => kept.push(planned),
                Ok(Attempt::Vanished) => progress = true,
                Ok(Attempt::Detached) => {
                    progress = true;
                    tell(&planned.device, Fate::Detached);
                }
                Ok(Attempt::Deferred) => tell(&planned.device, Fate::Deferred),
                Err(error) => failures.push(error),
            }
        }
        waiting = kept;
        if waiting.is_empty() || progress {
            continue;
        }
        let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let survey = match Survey::open(roots) {
            Ok(survey) => survey,
            Err(error) => {
                failures.push(error.during("detach"));
                break;
            }
        };
        let found: Vec<(&Planned, Reasons)> = waiting.iter().map(|planned| (*planned, reasons(&survey, &remover, planned))).collect();
        let stuck = stuck(&found);
        for (planned, reasons) in found.iter().filter(|(planned, _)| over || stuck.contains(&planned.device.devno)) {
            tell(&planned.device, Fate::Stays(reasons.text()));
        }
        waiting.retain(|planned| !over && !stuck.contains(&planned.device.devno));
        if !waiting.is_empty() {
            let left = deadline.map_or(PAUSE_MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
    failures.extend(remover.finish().err());
    Ok(failures)
}

/// Those that nothing will change for: what is mounted, and whatever waits for one that is not to go.
fn stuck(found: &[(&Planned, Reasons)]) -> BTreeSet<Devno> {
    let waiting: BTreeSet<Devno> = found.iter().map(|(planned, _)| planned.device.devno).collect();
    let mut stuck = BTreeSet::new();
    loop {
        let stays = |devno: Devno| stuck.contains(&devno) || !waiting.contains(&devno);
        let is_stuck = |reasons: &Reasons| reasons.last() || reasons.others().any(stays);
        let now: BTreeSet<Devno> = found.iter().filter(|(_, reasons)| is_stuck(reasons)).map(|(planned, _)| planned.device.devno).collect();
        if now == stuck {
            return stuck;
        }
        stuck = now;
    }
}

/// How a device is called in messages: the bytes are escaped where they are printed.
pub fn words(device: &Listed) -> Vec<u8> {
    [device.name.as_bytes(), format!(" ({})", device.devno).as_bytes()].concat()
}

fn reasons(survey: &Survey<'_>, remover: &Remover<'_>, planned: &Planned) -> Reasons {
    let devno = planned.device.devno;
    let (control, rehearsed) = (&remover.control, remover.rehearsed());
    let open_count = control.device(Selector::Devno(devno)).ok().and_then(|device| rehearsed.open_count(&device));
    let mut reasons = Reasons::of(survey, devno, open_count, |other| !rehearsed.is_gone(other));
    let ties = control.status(devno).and_then(|(_, targets)| super::targets::Ties::of(survey, control, devno, &targets));
    reasons.bind(survey, ties.unwrap_or_default(), remover.may_lose(planned), |other| !rehearsed.is_gone(other));
    reasons
}
