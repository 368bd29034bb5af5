//! Cookies whose events may be lost: looked for as `dmhelper cookie reap` does, until none is left.

use std::time::{Duration, Instant, SystemTime};

use crate::cookie::census::{self, Entry, GRACE};
use crate::cookie::reap::{self, Circumstances, Treatment};
use crate::cookie::sem::Set;
use crate::error::Error;
use crate::info::Roots;
use crate::udevd::Udevd;

/// How long between two looks while a tool waits for a cookie that may have lost something.
const PAUSE: Duration = Duration::from_secs(2);
/// And while none does: a script's cookie, which looks the same, may live for hours.
const PAUSE_UNWAITED: Duration = Duration::from_secs(60);

/// A search that is under way, or none.
#[derive(Debug, Default)]
pub(super) struct Search(Option<State>);

#[derive(Debug)]
struct State {
    next: Instant,
    /// Whether every cookie that the next look finds may have lost something; else those that the last one has left.
    all: bool,
    /// Those of the last look, and since when they are as they are.
    left: Vec<(Entry, Instant)>,
}

impl State {
    /// What may have lost something, of those that are there: root's alone.
    fn suspects(&self, entries: Vec<Entry>) -> impl Iterator<Item = Entry> {
        let known = |entry: &Entry| self.all || self.left.iter().any(|(before, _)| before.row.id == entry.row.id);
        entries.into_iter().filter(move |entry| entry.row.is_of_root() && known(entry))
    }

    /// Since when nothing has happened to it, for all that was seen.
    fn unchanged_since(&self, entry: &Entry) -> Option<Instant> {
        let same = |before: &Entry| (before.row, before.value, before.waiting) == (entry.row, entry.value, entry.waiting);
        self.left.iter().find(|(before, _)| same(before)).map(|(_, since)| *since)
    }
}

impl Search {
    /// Something may be lost of the cookies that are there now. A look that is to come soon is not put off.
    pub(super) fn begin(&mut self) {
        let soon = Instant::now() + PAUSE;
        let (next, left) = self.0.take().map_or_else(|| (soon, Vec::new()), |state| (state.next.min(soon), state.left));
        self.0 = Some(State { next, all: true, left });
    }

    /// When the next look is.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.as_ref().map(|state| state.next)
    }

    /// Whether it is time for a look.
    pub(super) fn is_due(&self) -> bool {
        self.0.as_ref().is_some_and(|state| Instant::now() >= state.next)
    }

    /// Whether there are cookies that may have lost something. One that misses nothing has not: its tool is about to remove it.
    pub(super) fn is_open(&self, roots: &Roots) -> bool {
        let Some(state) = &self.0 else { return false };
        census::take(&roots.proc).map_or(true, |(entries, _)| state.suspects(entries).any(|entry| entry.missing() != Some(0)))
    }

    /// Looks; completes what is provably stuck, if udev was idle and all that it had sent on until then is handled. Tells
    /// how many notifications that were.
    pub(super) fn look(&mut self, roots: &Roots, idle: bool) -> u64 {
        let Some(mut state) = self.0.take() else { return 0 };
        let now = Instant::now();
        let entries = match census::take(&roots.proc) {
            Ok((entries, _)) => entries,
            Err(error) => {
                log::error!("{error}");
                state.next = now + PAUSE_UNWAITED;
                self.0 = Some(state);
                return 0;
            }
        };
        let udevd = Udevd::find(&roots.run_udev, &roots.proc);
        let circumstances = Circumstances { udevd, busy: !idle, now: SystemTime::now(), older_than: None };
        let (mut released, mut left) = (0, Vec::new());
        for entry in state.suspects(entries) {
            let since = state.unchanged_since(&entry).unwrap_or(now);
            match release(&entry, &circumstances, now.duration_since(since)) {
                Some(count) => released += count,
                None => left.push((entry, since)),
            }
        }
        let waited_for = left.iter().any(|(entry, _)| entry.waiting > 0);
        let next = now + if waited_for { PAUSE } else { PAUSE_UNWAITED };
        self.0 = (!left.is_empty()).then_some(State { next, all: false, left });
        released
    }
}

/// Completes it if it is stuck and was so, for all that was seen, for so long; `None` when that cannot be told yet.
fn release(entry: &Entry, circumstances: &Circumstances, unchanged: Duration) -> Option<u64> {
    match reap::reap(entry, circumstances, || Some(false)) {
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
    use std::time::UNIX_EPOCH;

    fn entry(id: i32, value: u32) -> Entry {
        let row = Row { key: Key::from_raw(0x0d4d_0001).unwrap(), id, creator: 0, operated: 1000, changed: 1000 };
        Entry { row, value: Some(value), waiting: 1, waiters: Vec::new(), stopped: std::rc::Rc::default(), last_pid: None, last: None }
    }

    #[test]
    fn losses_that_never_cease_put_no_look_off() {
        let mut search = Search::default();
        assert!(!search.is_due() && search.next().is_none());
        search.begin();
        let next = search.0.as_ref().unwrap().next;
        search.begin();
        assert_eq!(search.0.as_ref().unwrap().next, next);
        // But one that is far away comes sooner.
        search.0.as_mut().unwrap().next = next + PAUSE_UNWAITED;
        search.begin();
        assert!(search.0.as_ref().unwrap().next < next + PAUSE_UNWAITED);
        search.0.as_mut().unwrap().next = Instant::now();
        assert!(search.is_due());
    }

    #[test]
    fn who_came_after_the_first_look_has_lost_nothing() {
        let now = Instant::now();
        let mut state = State { next: now, all: true, left: Vec::new() };
        let foreign = Entry { row: Row { creator: 1000, ..entry(3, 1).row }, ..entry(3, 1) };
        let suspects =
            |state: &State| state.suspects(vec![entry(1, 1), entry(2, 1), foreign.clone()]).map(|e| e.row.id).collect::<Vec<_>>();
        assert_eq!(suspects(&state), [1, 2]);
        state = State { all: false, left: vec![(entry(2, 1), now)], ..state };
        assert_eq!(suspects(&state), [2]);
        assert_eq!(state.unchanged_since(&entry(2, 1)), Some(now));
        assert_eq!(state.unchanged_since(&entry(2, 2)), None, "something has happened to it");
        assert_eq!(state.unchanged_since(&entry(1, 1)), None);
    }

    #[test]
    fn a_cookie_is_released_only_when_udev_is_idle_and_it_was_seen_before() {
        let now = UNIX_EPOCH + Duration::from_secs(2000);
        let circumstances = |udevd, busy| Circumstances { udevd, busy, now, older_than: None };
        let stuck = |circumstances, unchanged| release(&entry(-1, 1), &circumstances, unchanged);
        assert_eq!(stuck(circumstances(Udevd::Running, false), Duration::ZERO), None, "never seen before");
        assert_eq!(stuck(circumstances(Udevd::Running, false), GRACE - Duration::from_millis(1)), None);
        assert_eq!(stuck(circumstances(Udevd::Running, true), GRACE), None);
        assert_eq!(stuck(circumstances(Udevd::Absent, true), GRACE), None, "its worker goes on");
        assert_eq!(stuck(circumstances(Udevd::Running, false), GRACE), Some(0), "it is tried; there is no such set");
    }
}
