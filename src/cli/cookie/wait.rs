use std::path::Path;

use argh::{ArgsInfo, FromArgs};

use super::{RUN_UDEV, Timeout};
use crate::cookie;
use crate::cookie::sem::Waited;
use crate::cookie::transaction::{Backend, Semaphore};
use crate::error::{Error, Result};
use crate::udevd::Udevd;

/// End a script's transaction: wait until no notification is missing, then remove the cookie. With --cancel it is
/// removed as well when the time is over.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "release")]
pub(super) struct Release {
    /// how long at most: 500ms, 30s, 2min, 0 (do not wait), infinity; default 3min
    #[argh(option, default = "Timeout::DEFAULT", arg_name = "TIME")]
    timeout: Timeout,

    /// remove the cookie even when the time is over
    #[argh(switch)]
    cancel: bool,

    /// wait although no udevd is running: something else completes
    #[argh(switch)]
    without_udevd: bool,

    /// the cookie
    #[argh(positional, arg_name = "COOKIE")]
    cookie: cookie::Cookie,
}

/// Wait until no notification is missing, then remove the cookie. With --no-remove it stays, and more events can be
/// announced on it.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "wait")]
pub(super) struct Wait {
    /// how long at most: 500ms, 30s, 2min, 0 (do not wait), infinity; default 3min
    #[argh(option, default = "Timeout::DEFAULT", arg_name = "TIME")]
    timeout: Timeout,

    /// leave the cookie for further events
    #[argh(switch)]
    no_remove: bool,

    /// wait although no udevd is running: something else completes
    #[argh(switch)]
    without_udevd: bool,

    /// the cookie
    #[argh(positional, arg_name = "COOKIE")]
    cookie: cookie::Cookie,
}

impl Release {
    pub(super) fn run(self) -> Result<()> {
        let semaphore = Semaphore::open(self.cookie)?;
        let waited = wait(&semaphore, self.timeout, self.without_udevd);
        if matches!(waited, Ok(Whose::Ours)) || self.cancel {
            semaphore.remove()?;
        }
        waited.map(drop)
    }
}

impl Wait {
    pub(super) fn run(self) -> Result<()> {
        let semaphore = Semaphore::open(self.cookie)?;
        match wait(&semaphore, self.timeout, self.without_udevd)? {
            Whose::Ours if !self.no_remove => semaphore.remove(),
            _ => Ok(()),
        }
    }
}

/// Who removes a cookie that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// We do.
    Ours,
    /// Somebody else waits for it too, or has removed it already.
    Others,
}

/// Waits with a deadline; on failure the cookie is as it was and the message says what is missing.
pub(super) fn wait(semaphore: &Semaphore, timeout: Timeout, without_udevd: bool) -> Result<Whose> {
    let cookie = semaphore.cookie().to_string();
    let set = semaphore.set();
    // A tool that waits already has taken the first 1: what is left is what is missing.
    let beside = set.waiters().is_ok_and(|(rise, zero)| rise + zero > 0);
    let missing = || if beside { set.value().unwrap_or(0) } else { semaphore.missing().unwrap_or(0) };
    if !without_udevd && missing() > 0 && Udevd::find(Path::new(RUN_UDEV), Path::new("/proc"))? == Udevd::Absent {
        return Err(Error::no_udevd("wait for cookie", cookie).advise("--without-udevd waits for others that complete"));
    }
    let waited = match beside {
        true => set.wait_beside(timeout.deadline()).map_err(|errno| Error::os("wait for cookie", &cookie, errno))?,
        false => semaphore.wait(timeout.deadline())?,
    };
    match waited {
        Waited::Complete if beside => Ok(Whose::Others),
        Waited::Complete => Ok(Whose::Ours),
        // The other tool was done first, and has cleaned up.
        Waited::Removed if beside => Ok(Whose::Others),
        Waited::Removed => {
            log::warn!("wait for cookie {cookie}: somebody removed it; whether udev was done is not known");
            Ok(Whose::Others)
        }
        Waited::TimedOut => {
            let missing = match missing() {
                1 => "1 notification is missing".to_string(),
                n => format!("{n} notifications are missing"),
            };
            Err(Error::timed_out("wait for cookie", cookie, format!("{missing} after {timeout}")).advise("see `dmhelper cookie list`"))
        }
    }
}
