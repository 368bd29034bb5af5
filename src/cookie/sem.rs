//! The semaphore behind a cookie: System V IPC, which no safe crate offers.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;

use super::Key;

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

/// Completes one event of the cookie: subtracts 1 without waiting. Two system calls; interrupted ones are made again.
pub fn complete(key: Key) -> Result<Completion, Errno> {
    // SAFETY: `int semget(key_t key, int nsems, int semflg)` takes integers only. Without IPC_CREAT it makes nothing.
    let set = match Errno::result(unsafe { libc::semget(key.value() as libc::key_t, 1, 0) }) {
        Err(Errno::ENOENT) => return Ok(Completion::Gone),
        other => other?,
    };
    let mut subtract_one = libc::sembuf { sem_num: 0, sem_op: -1, sem_flg: libc::IPC_NOWAIT as libc::c_short };
    loop {
        // SAFETY: `int semop(int semid, struct sembuf *sops, size_t nsops)` reads one sembuf, which outlives the call.
        match Errno::result(unsafe { libc::semop(set, &mut subtract_one, 1) }) {
            Ok(_) => return Ok(Completion::Done),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(Completion::Exhausted),
            Err(Errno::EIDRM | Errno::EINVAL) => return Ok(Completion::Gone),
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::Cookie;

    /// A set of the test's own, removed when the test ends, whichever way.
    struct Set(i32);

    impl Set {
        fn with_value(key: Key, value: i32) -> Self {
            // SAFETY: integers only.
            let set = unsafe { libc::semget(key.value() as libc::key_t, 1, 0o600 | libc::IPC_CREAT | libc::IPC_EXCL) };
            assert!(set >= 0, "semget {key}: {}", Errno::last());
            // SAFETY: SETVAL takes an integer as the variadic union's `val`.
            assert_eq!(unsafe { libc::semctl(set, 0, libc::SETVAL, value) }, 0);
            Set(set)
        }

        fn value(&self) -> i32 {
            // SAFETY: GETVAL takes no further argument.
            unsafe { libc::semctl(self.0, 0, libc::GETVAL) }
        }
    }

    impl Drop for Set {
        fn drop(&mut self) {
            // SAFETY: IPC_RMID takes no further argument.
            unsafe { libc::semctl(self.0, 0, libc::IPC_RMID) };
        }
    }

    /// A key for this test process: tests of several processes may run at once.
    fn own_key(salt: u32) -> Key {
        let base = (std::process::id() ^ salt.wrapping_mul(0x9e37)) & 0xffff;
        Cookie::new(base.max(1)).key().unwrap()
    }

    #[test]
    fn completing_subtracts_one_until_nothing_is_left() {
        let key = own_key(1);
        let set = Set::with_value(key, 2);
        assert_eq!(complete(key), Ok(Completion::Done));
        assert_eq!(set.value(), 1);
        assert_eq!(complete(key), Ok(Completion::Done));
        assert_eq!(complete(key), Ok(Completion::Exhausted));
        assert_eq!(set.value(), 0);
    }

    #[test]
    fn a_set_that_was_removed_is_gone() {
        let key = own_key(2);
        drop(Set::with_value(key, 1));
        assert_eq!(complete(key), Ok(Completion::Gone));
    }
}
