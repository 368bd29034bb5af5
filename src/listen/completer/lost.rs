//! Cookies whose events may be lost: looked for as `dmhelper cookie reap` does, until none is left.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::poll::PollTimeout;

use crate::cookie::census::{self, Entry, GRACE};
use crate::cookie::reap::{self, Circumstances, Treatment};
use crate::cookie::sem::Set;
use crate::error::Error;
use crate::info::Roots;
use crate::udevd::Udevd;

/// How long between two looks at first, and at last: a script's cookie, which looks the same, may live for hours.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// And while a tool waits for one.
const PAUSE_WAITED_FOR: Duration = Duration::from_secs(11);

/// A search that is under way, or none.
#[derive(Debug, Default)]
pub(super) struct Search(Option<State>);

#[derive(Debug)]
struct State {
    /// Cookies that are younger have lost nothing.
    since: SystemTime,
    next: Instant,
    pause: Duration,
    /// Those that were waited for when udev had nothing to do, unchanged in every look since.
    seen: Vec<(Entry, Instant)>,
}

impl Search {
    /// Something may be lost of the cookies that are there now. A look that is to come soon is not put off.
    pub(super) fn begin(&mut self) {
        let soon = Instant::now() + PAUSE_MIN;
        let (next, seen) = self.0.take().map_or_else(|| (soon, Vec::new()), |state| (state.next.min(soon), state.seen));
        self.0 = Some(State { since: SystemTime::now(), next, pause: PAUSE_MIN, seen });
    }

    /// How long to sleep until the next look.
    pub(super) fn pause(&self) -> PollTimeout {
        let Some(state) = &self.0 else { return PollTimeout::NONE };
        let left = state.next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    }

    /// Whether it is time for a look.
    pub(super) fn is_due(&self) -> bool {
        self.0.as_ref().is_some_and(|state| Instant::now() >= state.next)
    }

    /// Whether there are cookies that may have lost something.
    pub(super) fn is_open(&self, roots: &Roots) -> bool {
        let Some(state) = &self.0 else { return false };
        census::take(&roots.proc).map_or(true, |(entries, _)| entries.iter().any(|entry| may_have_lost(entry, state.since)))
    }

    /// Looks; completes what is provably stuck. Tells how many notifications that were. That udev is idle was found out
    /// first, then the socket was emptied: what udev had sent on until then is completed.
    pub(super) fn look(&mut self, roots: &Roots, idle: bool) -> u64 {
        let Some(state) = &mut self.0 else { return 0 };
        let suspects: Vec<Entry> = match census::take(&roots.proc) {
            Ok((entries, _)) => entries.into_iter().filter(|entry| may_have_lost(entry, state.since)).collect(),
            Err(error) => {
                log::error!("{error}");
                Vec::new()
            }
        };
        let circumstances = Circumstances {
            udevd: Udevd::find(&roots.run_udev, &roots.proc).unwrap_or(Udevd::Absent),
            busy: !idle,
            now: SystemTime::now(),
            older_than: None,
        };
        let now = Instant::now();
        let waited_for = suspects.iter().any(|entry| entry.waiting > 0);
        let seen = std::mem::take(&mut state.seen);
        let (mut released, mut left) = (0, false);
        for entry in suspects {
            let first = seen.iter().find(|(before, _)| idle && is_same(before, &entry)).map_or(now, |(_, first)| *first);
            match release(&entry, &circumstances, now.duration_since(first)) {
                Some(count) => released += count,
                None => {
                    left = true;
                    if idle {
                        state.seen.push((entry, first));
                    }
                }
            }
        }
        state.pause = (state.pause * 2).min(if waited_for { PAUSE_WAITED_FOR } else { PAUSE_MAX });
        state.next = now + state.pause;
        if !left {
            self.0 = None;
        }
        released
    }
}

/// Nothing has happened to it.
fn is_same(before: &Entry, now: &Entry) -> bool {
    (before.row, before.value, before.waiting) == (now.row, now.value, now.waiting)
}

/// Made before the loss, and root's.
fn may_have_lost(entry: &Entry, since: SystemTime) -> bool {
    entry.row.uid == 0 && UNIX_EPOCH + Duration::from_secs(entry.row.changed) <= since
}

/// Completes it if it is stuck and was so, for all that was seen, for so long; `None` when that cannot be told yet.
fn release(entry: &Entry, circumstances: &Circumstances, unchanged: Duration) -> Option<u64> {
    match reap::reap(entry, circumstances, || false) {
        Treatment::Complete if circumstances.busy || unchanged < GRACE => return None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::Key;
    use crate::cookie::census::Row;

    fn entry(value: u32) -> Entry {
        let row = Row { key: Key::from_raw(0x0d4d_0001).unwrap(), id: -1, uid: 0, operated: 1000, changed: 1000 };
        Entry { row, value: Some(value), waiting: 1, waiters: Vec::new(), last: None }
    }

    #[test]
    fn losses_that_never_cease_put_no_look_off() {
        let mut search = Search::default();
        assert!(!search.is_due() && search.pause() == PollTimeout::NONE);
        search.begin();
        let next = search.0.as_ref().unwrap().next;
        search.begin();
        assert_eq!(search.0.as_ref().unwrap().next, next);
        // But one that is far away comes sooner.
        search.0.as_mut().unwrap().next = next + PAUSE_MAX;
        search.begin();
        assert!(search.0.as_ref().unwrap().next < next + PAUSE_MAX);
        search.0.as_mut().unwrap().next = Instant::now();
        assert!(search.is_due());
    }

    #[test]
    fn a_cookie_is_released_only_when_udev_is_idle_and_it_was_seen_before() {
        let now = UNIX_EPOCH + Duration::from_secs(2000);
        let circumstances = |udevd, busy| Circumstances { udevd, busy, now, older_than: None };
        let stuck = |circumstances, unchanged| release(&entry(1), &circumstances, unchanged);
        assert_eq!(stuck(circumstances(Udevd::Running, false), Duration::ZERO), None, "never seen before");
        assert_eq!(stuck(circumstances(Udevd::Running, false), GRACE - Duration::from_millis(1)), None);
        assert_eq!(stuck(circumstances(Udevd::Running, true), GRACE), None);
        assert_eq!(stuck(circumstances(Udevd::Absent, true), GRACE), None, "its worker goes on");
        assert_eq!(stuck(circumstances(Udevd::Running, false), GRACE), Some(0), "it is tried; there is no such set");
        assert!(is_same(&entry(1), &entry(1)) && !is_same(&entry(1), &entry(2)));
    }
}
