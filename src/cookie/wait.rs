//! Waiting for a cookie that others may wait for as well.
//!
//! The value alone does not tell that nothing is missing: a 1 is the first 1, or the last missing notification of a tool
//! that has taken the first 1 and waits for zero (libdevmapper's way; this program leaves the first 1 in its place). Who
//! waits tells, but not before the value is 1: above that, this program's processes show as waiting for zero as well; at 1
//! all of them have been woken. So everybody waits for the 1, then looks who still waits.
//!
//! - Nobody: nothing is missing. Who asked for it removes the set; others of this program have seen the 1 too, or find the
//!   set gone.
//! - Somebody: a tool has taken the first 1, and nothing is missing at zero. From here on we wait for zero beside it, and
//!   this program's processes that come later take us for such a tool: rightly, for even if it is killed the first 1 is gone.
//!
//! A tool takes the first 1 and begins to wait in two steps, and the first may be what has woken us: so we look a moment
//! later. Nobody can tell that a tool has taken the first 1 and was killed, or is stopped, before we look.

use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::sem::{Set, Waited};
use super::transaction::{Backend, Semaphore};
use crate::error::Result;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is missing, and the cookie is ours to remove.
    Ours,
    /// Nothing is missing, and somebody else removes the cookie, or has done so.
    Others,
    /// Somebody removed the cookie; whether anything was missing is not known.
    Removed,
    /// The deadline passed, and this many notifications are missing; the cookie is as it was.
    TimedOut(u32),
}

/// How long a tool may take from the first 1 to its wait.
const MOMENT: Duration = Duration::from_millis(50);

/// Waits until nothing is missing, whoever else waits.
pub fn wait(semaphore: &Semaphore, deadline: Option<Instant>) -> Result<Ended> {
    let (set, failed) = (semaphore.set(), semaphore.failed("wait for cookie"));
    loop {
        match semaphore.wait(deadline)? {
            Waited::Complete => thread::sleep(MOMENT),
            Waited::Removed => return Ok(Ended::Removed),
            Waited::TimedOut => return Ok(Ended::TimedOut(missing(set))),
        }
        match (set.value(), set.waiters()) {
            (Ok(1), Ok((_, 0))) => return Ok(Ended::Ours),
            (Ok(1), Ok(_)) => {
                return Ok(match set.wait_beside(deadline).map_err(failed)? {
                    Waited::Complete | Waited::Removed => Ended::Others,
                    Waited::TimedOut => Ended::TimedOut(set.value().unwrap_or(0)),
                });
            }
            // A tool that waited has what it waited for, and removes the set.
            (Ok(0), _) | (Err(Errno::EIDRM | Errno::EINVAL), _) | (_, Err(Errno::EIDRM | Errno::EINVAL)) => return Ok(Ended::Others),
            (Err(errno), _) | (_, Err(errno)) => return Err(failed(errno)),
            // Another event was announced meanwhile.
            (Ok(_), Ok(_)) => {}
        }
    }
}

/// Notifications missing, as far as that can be told: whoever waits for zero is taken for a tool with the first 1.
pub fn missing(set: Set) -> u32 {
    let taken = set.waiters().is_ok_and(|(_, zero)| zero > 0);
    let value = set.value().unwrap_or(0);
    if taken { value } else { value.saturating_sub(1) }
}

#[cfg(test)]
mod tests {
    use super::super::sem::Completion;
    use super::*;
    use crate::cookie::transaction::Transaction;

    /// A cookie of the test's own with so many events, removed when the test ends, whichever way.
    fn with_events(events: u32) -> (Transaction, Semaphore) {
        let transaction = Transaction::begin().unwrap();
        let semaphore = Semaphore::open(transaction.cookie()).unwrap();
        (0..events).for_each(|_| semaphore.add().unwrap());
        (transaction, semaphore)
    }

    fn later() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(20))
    }

    fn until(condition: impl Fn() -> bool) {
        let deadline = later();
        while !condition() {
            assert!(Some(Instant::now()) < deadline);
            thread::yield_now();
        }
    }

    /// What libdevmapper does.
    fn tool(set: Set) -> Waited {
        assert_eq!(set.complete(), Ok(Completion::Done));
        set.wait_beside(later()).unwrap()
    }

    #[test]
    fn a_tool_that_takes_the_first_one_while_we_wait_does_not_end_our_wait() {
        let (_own, semaphore) = with_events(1);
        let set = semaphore.set();
        thread::scope(|scope| {
            let ours = scope.spawn(|| wait(&semaphore, later()));
            until(|| set.waiters() == Ok((0, 1)));
            let tool = scope.spawn(|| tool(set));
            until(|| set.waiters() == Ok((0, 2)) && set.value() == Ok(1));
            assert!(!ours.is_finished());
            assert_eq!(set.complete(), Ok(Completion::Done));
            assert_eq!(ours.join().unwrap().unwrap(), Ended::Others);
            assert_eq!(tool.join().unwrap(), Waited::Complete);
        });
    }

    #[test]
    fn who_comes_to_a_tool_that_waits_waits_for_what_it_waits_for() {
        for events in [1, 2] {
            let (_own, semaphore) = with_events(events);
            let set = semaphore.set();
            thread::scope(|scope| {
                let tool = scope.spawn(|| tool(set));
                until(|| set.waiters() == Ok((0, 1)));
                assert_eq!(wait(&semaphore, Some(Instant::now())).unwrap(), Ended::TimedOut(events));
                let ours = scope.spawn(|| wait(&semaphore, later()));
                until(|| set.waiters() == Ok((0, 2)));
                (0..events).for_each(|_| assert_eq!(set.complete(), Ok(Completion::Done)));
                assert_eq!(tool.join().unwrap(), Waited::Complete);
                // What the tool does next.
                set.remove().unwrap();
                assert_eq!(ours.join().unwrap().unwrap(), Ended::Others);
            });
        }
    }

    #[test]
    fn several_of_ours_all_end_with_the_last_completion() {
        let (_own, semaphore) = with_events(1);
        let set = semaphore.set();
        thread::scope(|scope| {
            let all: Vec<_> = (0..3).map(|_| scope.spawn(|| wait(&semaphore, later()))).collect();
            until(|| set.waiters() == Ok((0, 3)));
            assert_eq!(set.complete(), Ok(Completion::Done));
            all.into_iter().for_each(|one| assert_eq!(one.join().unwrap().unwrap(), Ended::Ours));
        });
        assert_eq!(set.value(), Ok(1));
    }

    #[test]
    fn a_complete_cookie_is_ours_and_one_removed_early_is_said_to_be() {
        let (_own, semaphore) = with_events(0);
        assert_eq!(wait(&semaphore, Some(Instant::now())).unwrap(), Ended::Ours);
        semaphore.add().unwrap();
        assert_eq!(wait(&semaphore, Some(Instant::now())).unwrap(), Ended::TimedOut(1));
        semaphore.remove().unwrap();
        assert_eq!(wait(&semaphore, later()).unwrap(), Ended::Removed);
    }
}
