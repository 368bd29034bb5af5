use std::path::Path;

use argh::{ArgsInfo, FromArgs};

use super::{RUN_UDEV, Timeout};
use crate::cookie;
use crate::cookie::transaction::{Backend, Semaphore};
use crate::cookie::wait::Ended;
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
        if matches!(waited, Ok(true)) || self.cancel {
            semaphore.remove()?;
        }
        waited.map(drop)
    }
}

impl Wait {
    pub(super) fn run(self) -> Result<()> {
        let semaphore = Semaphore::open(self.cookie)?;
        let ours = wait(&semaphore, self.timeout, self.without_udevd)?;
        if ours && !self.no_remove { semaphore.remove() } else { Ok(()) }
    }
}

/// Waits with a deadline; on failure the cookie is as it was and the message says what is missing. Tells whether the cookie
/// is ours to remove.
pub(super) fn wait(semaphore: &Semaphore, timeout: Timeout, without_udevd: bool) -> Result<bool> {
    let cookie = semaphore.cookie().to_string();
    let missing = || cookie::wait::missing(semaphore.set());
    if !without_udevd && missing() > 0 && Udevd::is_absent_from(Path::new(RUN_UDEV), Path::new("/proc")) {
        return Err(Error::no_udevd("wait for cookie", cookie).advise("--without-udevd waits for others that complete"));
    }
    match cookie::wait::wait(semaphore, timeout.deadline())? {
        Ended::Ours => Ok(true),
        Ended::Others => Ok(false),
        Ended::Removed => {
            log::warn!("wait for cookie {cookie}: somebody removed it; whether udev was done is not known");
            Ok(false)
        }
        Ended::TimedOut(missing) => {
            let missing = match missing {
                1 => "1 notification is missing".to_string(),
                n => format!("{n} notifications are missing"),
            };
            Err(Error::timed_out("wait for cookie", cookie, format!("{missing} after {timeout}")).advise("see `dmhelper cookie list`"))
        }
    }
}
