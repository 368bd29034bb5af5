//! What may be done about a cookie that nobody will ever complete. Pure decisions; dmhelper-cookie(8) documents them.

use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;

use super::census::{self, Entry, Verdict};
use super::sem::{Completion, Set};
use crate::error::{Error, Result};
use crate::udevd::Udevd;

/// What is known beside the cookie itself.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Whether somebody processes events.
    pub udevd: Udevd,
    /// Whether it has events left.
    pub busy: bool,
    /// The present.
    pub now: SystemTime,
    /// Leave younger cookies alone.
    pub older_than: Option<Duration>,
}

/// What to do with a cookie, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Complete its missing notifications: whoever waits goes on.
    Complete,
    /// Remove it: nobody waits, nobody will.
    Remove,
    /// Leave it, for this reason.
    Keep(&'static str),
}

/// Treats only what is provably stuck. `is_exported` is asked at most once: it looks at every process, and may not be able to
/// tell.
pub fn reap(entry: &Entry, circumstances: &Circumstances, is_exported: impl FnOnce() -> Option<bool>) -> Treatment {
    let Circumstances { udevd, busy, now, older_than } = *circumstances;
    if older_than.is_some_and(|limit| entry.age(now) < limit) {
        return Treatment::Keep("younger than the limit");
    }
    match entry.verdict(udevd, busy, now) {
        Verdict::Foreign => Treatment::Keep("not created by root"),
        Verdict::Unknown => Treatment::Keep("its value may not be read"),
        Verdict::Waiting if matches!(udevd, Udevd::Unknown(_)) => Treatment::Keep("whether udevd runs is not known"),
        Verdict::Waiting => Treatment::Keep("udev may still complete it"),
        Verdict::Stuck => Treatment::Complete,
        // A stopped udevd may go on; without any, nothing will come, unless it is just being restarted.
        Verdict::NoUdevd if udevd == Udevd::Stopped => Treatment::Keep("udevd is stopped and may go on"),
        Verdict::NoUdevd if entry.age(now) < census::GRACE => Treatment::Keep("udevd may just be starting again"),
        Verdict::NoUdevd => Treatment::Complete,
        // The first 1 is taken last: who took it is gone. A moment's grace, because a live tool removes it right then.
        Verdict::Left if entry.age(now) < census::GRACE => Treatment::Keep("complete since a moment only"),
        Verdict::Left => Treatment::Remove,
        // Nothing tells a script's transaction from a leak but its age, and its cookie in some process's environment.
        Verdict::InUse if older_than.is_none() && !entry.stopped.is_empty() => {
            Treatment::Keep("a stopped process may wait for it; --older-than says when none does")
        }
        Verdict::InUse if older_than.is_none() => Treatment::Keep("may be a script's transaction; to remove it: --older-than TIME"),
        Verdict::InUse if entry.last.is_some() => Treatment::Keep("the process that used it last is alive"),
        Verdict::InUse if busy || matches!(udevd, Udevd::Stopped | Udevd::Ending) => Treatment::Keep("udev has events left"),
        Verdict::InUse if matches!(udevd, Udevd::Unknown(_)) => Treatment::Keep("whether udevd runs is not known"),
        Verdict::InUse => match is_exported() {
            Some(false) => Treatment::Remove,
            Some(true) => Treatment::Keep("a process holds it in DM_UDEV_COOKIE"),
            None => Treatment::Keep("a process may hold it in DM_UDEV_COOKIE: not all could be looked at"),
        },
    }
}

/// Treats everything of root's past the age limit, whatever may still be going on: `dmsetup udevcomplete_all`.
pub fn all(entry: &Entry, circumstances: &Circumstances) -> Treatment {
    let old = circumstances.older_than.is_none_or(|limit| entry.age(circumstances.now) >= limit);
    match (old, entry.row.is_of_root(), entry.waiting) {
        (false, ..) => Treatment::Keep("younger than the limit"),
        (_, false, _) => Treatment::Keep("not created by root"),
        (_, _, 0) => Treatment::Remove,
        _ => Treatment::Complete,
    }
}

/// Removes the cookie that nobody waits for, unless something has happened to it since it was judged. Tells whether it did.
pub fn remove_unchanged(judged: &Entry, proc: &Path) -> Result<bool> {
    if !census::is_unchanged(proc, judged)? {
        return Ok(false);
    }
    match Set::from_id(judged.row.id).remove() {
        Ok(()) => Ok(true),
        Err(Errno::EIDRM | Errno::EINVAL) => Ok(false),
        Err(errno) => Err(Error::os("remove cookie", judged.row.key.to_string(), errno)),
    }
}

/// Completes what is missing, one notification after the other, and stops as soon as nobody waits any more: so it
/// never takes one too many, whoever has taken the first 1. Returns how many it completed.
pub fn complete_missing(set: Set) -> std::result::Result<u32, Errno> {
    let mut completed = 0;
    loop {
        let waiting = match set.waiters() {
            Ok((rise, zero)) => rise.saturating_add(zero),
            Err(Errno::EIDRM | Errno::EINVAL) => 0,
            Err(errno) => return Err(errno),
        };
        if waiting == 0 || set.complete()? != Completion::Done {
            return Ok(completed);
        }
        completed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Key;
    use super::super::census::Row;
    use super::*;
    use crate::udevd::Doubt;
    use std::rc::Rc;
    use std::time::UNIX_EPOCH;

    fn entry(value: u32, waiting: u32) -> Entry {
        let row = Row { key: Key::from_raw(0x0d4d_0001).unwrap(), id: 1, creator: 0, operated: 1000, changed: 1000 };
        Entry { row, value: Some(value), waiting, waiters: Vec::new(), stopped: Rc::default(), last_pid: None, last: None }
    }

    fn after(seconds: u64) -> Circumstances {
        let now = UNIX_EPOCH + Duration::from_secs(1000 + seconds);
        Circumstances { udevd: Udevd::Running, busy: false, now, older_than: None }
    }

    fn older_than(seconds: u64, circumstances: Circumstances) -> Circumstances {
        Circumstances { older_than: Some(Duration::from_secs(seconds)), ..circumstances }
    }

    #[test]
    fn only_a_waiter_that_udev_has_forgotten_is_released() {
        let waiting = entry(1, 1);
        assert_eq!(reap(&waiting, &after(60), || Some(false)), Treatment::Complete);
        assert!(matches!(reap(&waiting, &after(1), || Some(false)), Treatment::Keep(_)));
        assert!(matches!(reap(&waiting, &Circumstances { busy: true, ..after(60) }, || Some(false)), Treatment::Keep(_)));
        assert_eq!(reap(&waiting, &Circumstances { udevd: Udevd::Absent, ..after(60) }, || Some(false)), Treatment::Complete);
        assert!(matches!(reap(&waiting, &Circumstances { udevd: Udevd::Absent, ..after(1) }, || Some(false)), Treatment::Keep(_)));
        let unused = entry(1, 0);
        for udevd in [Udevd::Stopped, Udevd::Ending, Udevd::Unknown(Doubt::Holder), Udevd::Unknown(Doubt::Process(812))] {
            assert!(matches!(reap(&waiting, &Circumstances { udevd, ..after(60) }, || Some(false)), Treatment::Keep(_)), "{udevd:?}");
            let old = Circumstances { udevd, ..older_than(1, after(60)) };
            assert!(matches!(reap(&unused, &old, || Some(false)), Treatment::Keep(_)), "{udevd:?}");
        }
        assert!(matches!(reap(&waiting, &older_than(90, after(60)), || Some(false)), Treatment::Keep(_)));
    }

    #[test]
    fn a_scripts_transaction_is_left_alone() {
        let script = entry(1, 0);
        assert!(matches!(reap(&script, &after(9000), || Some(false)), Treatment::Keep(_)), "no age was named");
        assert!(matches!(reap(&script, &older_than(60, after(9000)), || Some(true)), Treatment::Keep(_)), "its cookie is exported");
        let living = Entry { last: Some(census::Process { pid: 1, name: "sh".into() }), ..script.clone() };
        assert!(matches!(reap(&living, &older_than(60, after(9000)), || Some(false)), Treatment::Keep(_)), "its maker lives");
        assert!(matches!(reap(&script, &older_than(9999, after(60)), || Some(false)), Treatment::Keep(_)), "too young");
        assert!(matches!(reap(&script, &older_than(60, after(9000)), || None), Treatment::Keep(_)), "nobody knows");
        assert_eq!(reap(&script, &older_than(60, after(9000)), || Some(false)), Treatment::Remove);
    }

    #[test]
    fn what_a_killed_waiter_left_complete_is_removed() {
        assert_eq!(reap(&entry(0, 0), &after(60), || Some(false)), Treatment::Remove);
        assert!(matches!(reap(&entry(0, 0), &after(1), || Some(false)), Treatment::Keep(_)));
        let stopped = Entry { stopped: [census::Process { pid: 1, name: "lvcreate".into() }].into(), ..entry(0, 0) };
        assert!(matches!(reap(&stopped, &after(9000), || Some(false)), Treatment::Keep(_)), "it may only be stopped");
        assert_eq!(reap(&stopped, &older_than(60, after(9000)), || Some(false)), Treatment::Remove);
    }

    #[test]
    fn another_users_cookie_is_never_touched() {
        let mut foreign = entry(0, 0);
        foreign.row.creator = 1000;
        assert!(matches!(reap(&foreign, &older_than(1, after(9000)), || Some(false)), Treatment::Keep(_)));
        assert!(matches!(all(&foreign, &after(9000)), Treatment::Keep(_)));
    }

    #[test]
    fn completing_all_asks_for_no_proof_but_the_age() {
        assert_eq!(all(&entry(1, 1), &after(0)), Treatment::Complete);
        assert_eq!(all(&entry(2, 0), &after(0)), Treatment::Remove);
        assert!(matches!(all(&entry(2, 0), &older_than(60, after(0))), Treatment::Keep(_)));
    }

    #[test]
    fn what_was_used_again_since_it_was_judged_stays() {
        use super::super::transaction::{Semaphore, Transaction};

        let own = Transaction::begin().unwrap();
        let proc = Path::new("/proc");
        let judged = || census::take(proc).unwrap().0.into_iter().find(|entry| Some(entry.row.key) == own.cookie().key()).unwrap();
        let now = judged();
        let used = [
            Entry { row: Row { operated: now.row.operated - 60, ..now.row }, ..now.clone() },
            Entry { last_pid: Some(1), last: None, ..now.clone() },
            Entry { value: Some(0), ..now.clone() },
            Entry { waiting: 1, ..now },
        ];
        for judged in used {
            assert!(!remove_unchanged(&judged, proc).unwrap(), "{judged:?}");
        }
        assert!(remove_unchanged(&judged(), proc).unwrap());
        assert!(Semaphore::open(own.cookie()).is_err());
    }

    #[test]
    fn completing_stops_when_the_waiter_is_gone() {
        use super::super::sem::Waited;
        use super::super::transaction::{Backend, Semaphore};
        use std::time::Instant;

        let semaphore = Semaphore::begin().unwrap();
        (0..3).for_each(|_| semaphore.add().unwrap());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| semaphore.wait(Some(Instant::now() + Duration::from_secs(20))));
            while semaphore.set().waiters().unwrap() == (0, 0) {
                std::thread::yield_now();
            }
            assert_eq!(complete_missing(semaphore.set()), Ok(3));
            assert_eq!(waiter.join().unwrap().unwrap(), Waited::Complete);
        });
        assert_eq!(semaphore.missing().unwrap(), 0);
        assert_eq!(semaphore.set().value(), Ok(1), "not one too many");
        semaphore.remove().unwrap();
    }
}
