//! Completions that may fail for a reason that passes: they are tried again, or a tool would wait for ever.

use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::sem::{Completion, Set};
use super::{Cookie, Key};
use crate::error::Error;
use crate::retry::Retry;

/// Those that are remembered at most.
const FAILED_MAX: usize = 1024;
/// How long a program that ends tries it, and how often.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// The completions of a program that stays.
#[derive(Debug, Default)]
pub struct Completions {
    failed: Vec<Failed>,
    retry: Retry,
}

#[derive(Debug)]
struct Failed {
    cookie: Cookie,
    key: Key,
    /// Another set may get the key.
    set: Option<Set>,
}

impl Failed {
    fn attempt(&mut self) -> Result<Completion, Errno> {
        let set = match self.set.map_or_else(|| Set::open(self.key), Ok) {
            Err(Errno::ENOENT) => return Ok(Completion::Gone),
            other => other?,
        };
        self.set = Some(set);
        set.complete()
    }
}

impl Completions {
    /// Completes one event of a cookie, if it names a semaphore, and then says what there is to say. What fails is tried again.
    pub fn complete(&mut self, cookie: Cookie) {
        let Some(key) = cookie.key() else { return };
        let mut completion = Failed { cookie, key, set: None };
        match completion.attempt() {
            Ok(Completion::Done) => {}
            Ok(Completion::Gone) => log::warn!("complete cookie {cookie}: nobody waits for it in this IPC namespace"),
            Ok(Completion::Exhausted) => log::warn!("complete cookie {cookie}: all its events were completed before"),
            Err(errno) => {
                let error = Error::os("complete cookie", cookie.to_string(), errno);
                if may_pass(errno) && self.failed.len() < FAILED_MAX {
                    self.failed.push(completion);
                    self.retry.begin();
                    log::error!("{}", error.advise("it is tried again"));
                } else {
                    log::error!("{}", error.advise("if a tool hangs, `dmhelper cookie reap` releases it"));
                }
            }
        }
    }

    /// When some are tried again.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// Tries those again whose time has come: two system calls each.
    pub fn catch_up(&mut self) {
        if self.retry.is_due() {
            self.attempt();
        }
    }

    fn attempt(&mut self) {
        self.failed.retain_mut(|completion| match completion.attempt() {
            Err(errno) if may_pass(errno) => true,
            outcome => {
                log::warn!("complete cookie {}: tried again: {}", completion.cookie, described(outcome));
                false
            }
        });
        self.retry.done(!self.failed.is_empty());
    }

    /// For the end of the program: tries for a moment those that are left.
    pub fn finish(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.failed.is_empty() && Instant::now() < deadline {
            thread::sleep(PAUSE);
            self.attempt();
        }
        for Failed { cookie, .. } in self.failed.drain(..) {
            log::error!("complete cookie {cookie}: it failed to the end; if a tool hangs, `dmhelper cookie reap` releases it");
        }
    }
}

/// For programs that do this one thing: tries for a moment.
pub fn patiently(operation: &mut dyn FnMut() -> Result<Completion, Errno>) -> Result<Completion, Errno> {
    match operation() {
        Err(errno) if may_pass(errno) => again(operation),
        other => other,
    }
}

/// Apart from the first attempt, which mostly is the last: it takes no page of memory for this.
#[cold]
#[inline(never)]
fn again(operation: &mut dyn FnMut() -> Result<Completion, Errno>) -> Result<Completion, Errno> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        thread::sleep(PAUSE);
        match operation() {
            Err(errno) if may_pass(errno) && Instant::now() < deadline => {}
            other => return other,
        }
    }
}

/// Whether it may succeed later: all but a lack of permission.
fn may_pass(errno: Errno) -> bool {
    !matches!(errno, Errno::EACCES | Errno::EPERM)
}

fn described(outcome: Result<Completion, Errno>) -> &'static str {
    match outcome {
        Ok(Completion::Done) => "completed",
        Ok(Completion::Gone) => "nobody waits for it any more",
        Ok(Completion::Exhausted) => "all its events were completed before",
        Err(errno) => errno.desc(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::transaction::{Backend, Semaphore};
    use super::*;

    #[test]
    fn what_failed_is_completed_once_and_on_its_own_set() {
        let semaphore = Semaphore::begin().unwrap();
        semaphore.add().unwrap();
        let cookie = semaphore.cookie();
        let failed = |set| Failed { cookie, key: cookie.key().unwrap(), set };
        let mut completions = Completions { failed: vec![failed(None)], retry: Retry::default() };
        completions.catch_up();
        assert_eq!(semaphore.missing().unwrap(), 1, "its time has not come");
        completions.finish();
        assert_eq!((semaphore.missing().unwrap(), completions.failed.len()), (0, 0));
        // A set that is gone, and another one of the same key.
        completions.failed = vec![failed(Some(Set::from_id(i32::MAX)))];
        completions.finish();
        assert_eq!((semaphore.set().value(), completions.failed.len()), (Ok(1), 0));
        semaphore.remove().unwrap();
    }

    #[test]
    fn an_operation_is_tried_until_it_succeeds_or_cannot() {
        let mut errors = vec![Errno::EIO, Errno::ENOMEM];
        assert_eq!(patiently(&mut || errors.pop().map_or(Ok(Completion::Done), Err)), Ok(Completion::Done));
        assert_eq!(patiently(&mut || Err(Errno::EACCES)), Err(Errno::EACCES));
    }
}
