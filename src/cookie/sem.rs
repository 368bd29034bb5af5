//! The semaphore behind a cookie: System V IPC, which no safe crate offers.
//!
//! A set holds one semaphore. It starts at 1, a tool adds 1 for each event that it will cause, each completion
//! subtracts 1; the tool that waits subtracts the first 1 and waits for zero. See semop(2), semctl(2).
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;

use super::Key;

unsafe extern "C" {
    // In glibc and musl, but not in the libc crate. semop(2).
    fn semtimedop(semid: libc::c_int, sops: *mut libc::sembuf, nsops: libc::size_t, timeout: *const libc::timespec) -> libc::c_int;
}

/// What IPC_STAT tells: a `semid_ds` begins with the permissions, and what follows is shorter than this on every machine
/// (asm/sembuf.h).
#[repr(C)]
struct Status {
    permissions: libc::ipc_perm,
    rest: [u64; 32],
}

/// What became of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The waiting tool has one notification less to wait for.
    Done,
    /// No such set in this IPC namespace: the tool stopped waiting, or waits in another namespace.
    Gone,
    /// The count is zero already: somebody completed once too often.
    Exhausted,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// All notifications came.
    Complete,
    /// The deadline passed; the set is as it was before the wait.
    TimedOut,
    /// Somebody removed the set meanwhile.
    Removed,
}

/// Completes one event of the cookie: subtracts 1 without waiting. Two system calls; interrupted ones are made again.
#[inline(always)] // where it is called, for a process that does nothing else: each page of code costs it a fault
pub fn complete(key: Key) -> Result<Completion, Errno> {
    match Set::open(key) {
        Ok(set) => set.complete(),
        Err(Errno::ENOENT) => Ok(Completion::Gone),
        Err(errno) => Err(errno),
    }
}

/// A semaphore set of this IPC namespace, by its identifier. Dropping it removes nothing: sets outlive processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set(libc::c_int);

impl Set {
    /// The set of that identifier, as the kernel's table shows it.
    pub fn from_id(id: i32) -> Self {
        Set(id)
    }

    /// Makes a new set for the key with the value 1; EEXIST where there is one.
    pub fn create(key: Key) -> Result<Self, Errno> {
        let set = Self::get(key, 0o600 | libc::IPC_CREAT | libc::IPC_EXCL)?;
        // Added, not set: semctl's SETVAL passes its integer in a union, whose place differs between machines.
        match set.add() {
            Ok(()) => Ok(set),
            Err(errno) => {
                let _ = set.remove(); // What went wrong first is what counts.
                Err(errno)
            }
        }
    }

    /// The set of the key; ENOENT where there is none.
    pub fn open(key: Key) -> Result<Self, Errno> {
        Self::get(key, 0)
    }

    #[inline(always)]
    fn get(key: Key, flags: libc::c_int) -> Result<Self, Errno> {
        // SAFETY: `int semget(key_t key, int nsems, int semflg)` takes integers only.
        Errno::result(unsafe { libc::semget(key.value().cast_signed(), 1, flags) }).map(Set)
    }

    /// Adds 1: one more event to wait for. ERANGE past the kernel's largest value (32767).
    pub fn add(self) -> Result<(), Errno> {
        self.operate(&mut [operation(1, 0)], None)
    }

    /// Subtracts 1 without waiting.
    pub fn complete(self) -> Result<Completion, Errno> {
        match self.operate(&mut [operation(-1, libc::IPC_NOWAIT)], None) {
            Ok(()) => Ok(Completion::Done),
            Err(Errno::EAGAIN) => Ok(Completion::Exhausted),
            Err(Errno::EIDRM | Errno::EINVAL) => Ok(Completion::Gone),
            Err(errno) => Err(errno),
        }
    }

    /// Waits until only the first 1 is left. It is taken, found to be the last and put back in one step: whoever gives
    /// up or dies here changes nothing.
    pub fn watch(self, deadline: Option<Instant>) -> Result<Waited, Errno> {
        self.wait_for(&mut [operation(-1, 0), operation(0, 0), operation(1, 0)], deadline)
    }

    /// Waits until the semaphore is zero: beside a tool that has taken the first 1 and will remove the set.
    pub fn wait_beside(self, deadline: Option<Instant>) -> Result<Waited, Errno> {
        self.wait_for(&mut [operation(0, 0)], deadline)
    }

    fn wait_for(self, operations: &mut [libc::sembuf], deadline: Option<Instant>) -> Result<Waited, Errno> {
        match self.operate(operations, deadline) {
            Ok(()) => Ok(Waited::Complete),
            Err(Errno::EAGAIN) => Ok(Waited::TimedOut),
            Err(Errno::EIDRM | Errno::EINVAL) => Ok(Waited::Removed),
            Err(errno) => Err(errno),
        }
    }

    /// The semaphore's value: notifications missing, and 1 more while nobody waits.
    pub fn value(self) -> Result<u32, Errno> {
        self.ask(libc::GETVAL)
    }

    /// How many processes wait for the value to rise, and how many for zero.
    pub fn waiters(self) -> Result<(u32, u32), Errno> {
        Ok((self.ask(libc::GETNCNT)?, self.ask(libc::GETZCNT)?))
    }

    /// The process that operated on the set last; `None` when there was none, or when it is of another PID namespace.
    pub fn last_pid(self) -> Result<Option<u32>, Errno> {
        self.ask(libc::GETPID).map(|pid| (pid != 0).then_some(pid))
    }

    /// The user who created the set. Its owner may make anybody its owner, but cannot change who created it.
    pub fn creator(self) -> Result<u32, Errno> {
        let mut status = MaybeUninit::<Status>::zeroed();
        // SAFETY: `int semctl(int semid, int semnum, int cmd, union semun)`: for IPC_STAT the fourth argument is a pointer to a
        // `semid_ds`, for which there is room. Zeroes are a valid status.
        let status = unsafe {
            Errno::result(libc::semctl(self.0, 0, libc::IPC_STAT, status.as_mut_ptr()))?;
            status.assume_init()
        };
        Ok(status.permissions.cuid)
    }

    /// Removes the set. Who waits on it wakes up and, on libdevmapper, believes that all is done.
    pub fn remove(self) -> Result<(), Errno> {
        self.ask(libc::IPC_RMID).map(drop)
    }

    fn ask(self, command: libc::c_int) -> Result<u32, Errno> {
        // SAFETY: `int semctl(int semid, int semnum, int cmd)`: the commands above take no fourth argument.
        Errno::result(unsafe { libc::semctl(self.0, 0, command) }).map(i32::cast_unsigned)
    }

    /// Operates atomically: all of it or nothing. An interrupted wait goes on with what is left of its time.
    fn operate(self, operations: &mut [libc::sembuf], deadline: Option<Instant>) -> Result<(), Errno> {
        loop {
            let left = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
            let timeout = left.as_ref().map_or(ptr::null(), ptr::from_ref);
            // SAFETY: `int semtimedop(int semid, struct sembuf *sops, size_t nsops, const struct timespec *timeout)`
            // reads `nsops` elements of the slice and the timespec, or no timespec for a null pointer; both outlive it.
            match Errno::result(unsafe { semtimedop(self.0, operations.as_mut_ptr(), operations.len(), timeout) }) {
                Err(Errno::EINTR) => {}
                other => return other.map(drop),
            }
        }
    }
}

fn operation(add: i16, flags: libc::c_int) -> libc::sembuf {
    libc::sembuf { sem_num: 0, sem_op: add, sem_flg: flags as libc::c_short }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(duration.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::Cookie;

    /// A set of the test's own, removed when the test ends, whichever way.
    struct Own(Key, Set);

    impl Own {
        /// Tests of several processes may run at once: the key is free when it can be created.
        fn with_events(events: u32) -> Self {
            let (key, set) = (1..)
                .find_map(|base| {
                    let key = Cookie::new(base).key().unwrap();
                    Set::create(key).ok().map(|set| (key, set))
                })
                .unwrap();
            (0..events).for_each(|_| set.add().unwrap());
            Own(key, set)
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = self.1.remove();
        }
    }

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_millis(30))
    }

    fn later() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(20))
    }

    #[test]
    fn completing_subtracts_one_until_nothing_is_left() {
        let own = Own::with_events(1);
        assert_eq!(complete(own.0), Ok(Completion::Done));
        assert_eq!(own.1.value(), Ok(1));
        assert_eq!(complete(own.0), Ok(Completion::Done));
        assert_eq!(complete(own.0), Ok(Completion::Exhausted));
        assert_eq!(own.1.value(), Ok(0));
    }

    #[test]
    fn a_set_that_was_removed_is_gone() {
        let own = Own::with_events(0);
        own.1.remove().unwrap();
        assert_eq!(own.1.complete(), Ok(Completion::Gone));
        assert_eq!(own.1.watch(later()), Ok(Waited::Removed));
    }

    #[test]
    fn a_second_set_of_the_same_key_is_refused() {
        let own = Own::with_events(0);
        assert_eq!(Set::create(own.0), Err(Errno::EEXIST));
    }

    #[test]
    fn a_wait_that_times_out_leaves_the_set_as_it_was() {
        let own = Own::with_events(2);
        assert_eq!(own.1.watch(soon()), Ok(Waited::TimedOut));
        assert_eq!(own.1.value(), Ok(3));
    }

    #[test]
    fn a_wait_ends_with_the_last_completion() {
        let own = Own::with_events(2);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| own.1.watch(later()));
            assert_eq!(complete(own.0), Ok(Completion::Done));
            assert_eq!(complete(own.0), Ok(Completion::Done));
            assert_eq!(waiter.join().unwrap(), Ok(Waited::Complete));
        });
        assert_eq!(own.1.value(), Ok(1));
    }

    #[test]
    fn watching_a_complete_set_changes_nothing() {
        let own = Own::with_events(0);
        assert_eq!(own.1.watch(later()), Ok(Waited::Complete));
        assert_eq!(own.1.value(), Ok(1));
    }

    #[test]
    fn removing_the_set_under_a_waiter_wakes_it() {
        let own = Own::with_events(1);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| own.1.watch(later()));
            while own.1.waiters().unwrap() == (0, 0) {
                std::thread::yield_now();
            }
            own.1.remove().unwrap();
            assert_eq!(waiter.join().unwrap(), Ok(Waited::Removed));
        });
    }

    #[test]
    fn who_created_a_set_is_known() {
        let own = Own::with_events(0);
        assert_eq!(own.1.creator(), Ok(nix::unistd::geteuid().as_raw()));
        own.1.remove().unwrap();
        assert!(own.1.creator().is_err());
    }

    #[test]
    fn more_events_than_a_semaphore_counts_are_refused() {
        let own = Own::with_events(0);
        // SAFETY: SETVAL takes an integer.
        unsafe { libc::semctl(own.1.0, 0, libc::SETVAL, 32_767) };
        assert_eq!(own.1.add(), Err(Errno::ERANGE));
    }
}
