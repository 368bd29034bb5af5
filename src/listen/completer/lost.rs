//! Cookies whose events may be lost: looked for as `dmhelper cookie reap` does, until none is left.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::poll::PollTimeout;

use crate::cookie::census::{self, Entry};
use crate::cookie::reap::{self, Circumstances, Treatment};
use crate::cookie::sem::Set;
use crate::error::Error;
use crate::info::Roots;
use crate::udevd::Udevd;

/// How long between two looks at first, and at last: a script's cookie, which looks the same, may live for hours.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A search that is under way, or none.
#[derive(Debug, Default)]
pub(super) struct Search(Option<State>);

#[derive(Debug)]
struct State {
    /// Cookies that are younger have lost nothing.
    since: SystemTime,
    next: Instant,
    pause: Duration,
}

impl Search {
    /// Something may be lost of the cookies that are there now.
    pub(super) fn begin(&mut self) {
        self.0 = Some(State { since: SystemTime::now(), next: Instant::now() + PAUSE_MIN, pause: PAUSE_MIN });
    }

    /// How long to sleep until the next look.
    pub(super) fn pause(&self) -> PollTimeout {
        let Some(state) = &self.0 else { return PollTimeout::NONE };
        let left = state.next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    }

    /// Looks, if it is time; completes what is provably stuck. Tells how many notifications that were.
    pub(super) fn look(&mut self, roots: &Roots) -> u64 {
        let Some(state) = &mut self.0 else { return 0 };
        if Instant::now() < state.next {
            return 0;
        }
        let entries = match census::take(&roots.proc) {
            Ok((entries, _)) => entries,
            Err(error) => {
                log::error!("{error}");
                Vec::new()
            }
        };
        let circumstances = Circumstances {
            udevd: Udevd::find(&roots.run_udev, &roots.proc).unwrap_or(Udevd::Absent),
            busy: Udevd::is_busy(&roots.run_udev),
            now: SystemTime::now(),
            older_than: None,
        };
        let suspects = entries.iter().filter(|entry| may_have_lost(entry, state.since));
        let (released, left) = suspects
            .map(|entry| release(entry, &circumstances))
            .fold((0, false), |(sum, left), released| (sum + released.unwrap_or(0), left || released.is_none()));
        state.pause = (state.pause * 2).min(PAUSE_MAX);
        state.next = Instant::now() + state.pause;
        if !left {
            self.0 = None;
        }
        released
    }
}

/// Made before the loss, and root's.
fn may_have_lost(entry: &Entry, since: SystemTime) -> bool {
    entry.row.uid == 0 && UNIX_EPOCH + Duration::from_secs(entry.row.changed) <= since
}

/// Completes it if it is stuck; `None` when that cannot be told yet.
fn release(entry: &Entry, circumstances: &Circumstances) -> Option<u64> {
    match reap::reap(entry, circumstances, || false) {
        Treatment::Complete => {}
        Treatment::Remove => return Some(0),
        Treatment::Keep(_) => return None,
    }
    let key = entry.row.key;
    match reap::complete_missing(Set::from_id(entry.row.id)) {
        Ok(completed) => {
            log::warn!("complete cookie {key}: {completed} of its events were lost, and udev has nothing left to do");
            Some(completed.into())
        }
        Err(errno) => {
            log::error!("{}", Error::os("complete cookie", key.to_string(), errno));
            Some(0)
        }
    }
}
