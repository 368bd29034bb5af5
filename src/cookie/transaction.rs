//! Synchronisation with udev for programs: begin, cause events, wait for udev to have processed them.
//!
//! ```no_run
//! use std::time::{Duration, Instant};
//! use dmhelper::cookie::{Flags, transaction::{Outcome, Transaction}};
//!
//! # fn main() -> Result<(), dmhelper::error::Error> {
//! let mut transaction = Transaction::begin()?;
//! // The `event_nr` of a DM_DEV_SUSPEND, DM_DEV_RENAME or DM_DEV_REMOVE ioctl …
//! let event_nr = transaction.expect_event(Flags::default())?;
//! # let uevent_generated = true;
//! // … whose reply says whether the kernel has sent an event at all.
//! if !uevent_generated {
//!     transaction.retract_event()?;
//! }
//! match transaction.wait(Some(Instant::now() + Duration::from_secs(30)))? {
//!     Outcome::Complete => println!("udev has processed {event_nr:#x}"),
//!     Outcome::Removed => println!("somebody removed the cookie"),
//!     Outcome::TimedOut(transaction) => {
//!         println!("{} notifications are missing", transaction.missing()?);
//!         transaction.cancel()?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::geteuid;

use super::sem::{Completion, Set, Waited};
use super::{Cookie, Flags, Key};
use crate::error::{Error, Result};

/// The environment variable by which dmsetup and libdevmapper's tools join a running transaction.
pub const ENVIRONMENT: &str = "DM_UDEV_COOKIE";

/// What carries the notifications from udev back to who waits. libdevmapper uses semaphores ([`Semaphore`]);
/// another one can take their place without a change for callers of [`Transaction`].
pub trait Backend: Sized {
    /// Makes a fresh one, with nothing to wait for.
    fn begin() -> Result<Self>;
    /// The cookie that tells the completing side where to notify.
    fn cookie(&self) -> Cookie;
    /// One more event to wait for.
    fn add(&self) -> Result<()>;
    /// One event less: what udev does when it has processed one.
    fn complete(&self) -> Result<()>;
    /// Events not completed.
    fn missing(&self) -> Result<u32>;
    /// Waits until nothing is missing, at most until the deadline; leaves everything as it is.
    fn wait(&self, deadline: Option<Instant>) -> Result<Waited>;
    /// Gives its resources back. Somebody else may have done so already.
    fn remove(&self) -> Result<()>;
}

/// How a transaction ended.
#[derive(Debug)]
pub enum Outcome<B: Backend = Semaphore> {
    /// udev has processed every event.
    Complete,
    /// Somebody removed the cookie. libdevmapper would call this success; nobody knows whether it is.
    Removed,
    /// The deadline passed. The transaction goes on: wait again, or cancel it.
    TimedOut(Transaction<B>),
}

/// Events that a program causes and then waits for. Dropping it unfinished cancels it: nothing is left behind.
#[derive(Debug)]
pub struct Transaction<B: Backend = Semaphore> {
    /// Taken when the transaction ends by other means than being dropped.
    backend: Option<B>,
    cookie: Cookie,
}

impl Transaction {
    /// Begins one over libdevmapper's semaphores.
    pub fn begin() -> Result<Self> {
        Self::begin_with()
    }
}

impl<B: Backend> Transaction<B> {
    /// Begins one over the backend that the caller names.
    pub fn begin_with() -> Result<Self> {
        B::begin().map(Self::from_backend)
    }

    fn from_backend(backend: B) -> Self {
        Self { cookie: backend.cookie(), backend: Some(backend) }
    }

    fn backend(&self) -> Result<&B> {
        self.backend.as_ref().ok_or_else(|| Error::os("use", self.cookie.to_string(), Errno::EIDRM))
    }

    /// The value for [`ENVIRONMENT`] of programs that are to join.
    pub fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// Announces one event. Returns the `event_nr` of the ioctl that will cause it: flags above, the cookie's base
    /// below; PRIMARY_SOURCE is always among the flags.
    pub fn expect_event(&mut self, flags: Flags) -> Result<u32> {
        self.backend()?.add()?;
        Ok(self.cookie.with_flags(flags.union(Flags::PRIMARY_SOURCE)).value())
    }

    /// Takes an announced event back: the ioctl failed, or its reply lacks `DM_UEVENT_GENERATED_FLAG`.
    pub fn retract_event(&mut self) -> Result<()> {
        self.backend()?.complete()
    }

    /// How many notifications are missing.
    pub fn missing(&self) -> Result<u32> {
        self.backend()?.missing()
    }

    /// Waits until udev has processed all events, at most until the deadline, and ends the transaction.
    pub fn wait(mut self, deadline: Option<Instant>) -> Result<Outcome<B>> {
        match self.backend()?.wait(deadline)? {
            Waited::TimedOut => Ok(Outcome::TimedOut(self)),
            Waited::Complete => self.end().map(|()| Outcome::Complete),
            Waited::Removed => {
                self.backend = None;
                Ok(Outcome::Removed)
            }
        }
    }

    /// Ends the transaction without waiting. Tools that wait for it as well will believe that all is done.
    pub fn cancel(mut self) -> Result<()> {
        self.end()
    }

    /// Lets the cookie live on without this value, for a script that will release it.
    pub fn keep(mut self) -> Cookie {
        self.backend = None;
        self.cookie
    }

    fn end(&mut self) -> Result<()> {
        self.backend.take().map_or(Ok(()), |backend| backend.remove())
    }
}

impl<B: Backend> Drop for Transaction<B> {
    fn drop(&mut self) {
        let _ = self.end(); // Nobody to tell; `cookie list` shows what is left.
    }
}

/// libdevmapper's backend: one System V semaphore for each cookie.
#[derive(Debug, Clone, Copy)]
pub struct Semaphore {
    key: Key,
    set: Set,
}

impl Semaphore {
    /// The semaphore of a cookie that somebody else has made: root, or this user. Any user can make one of any number, and
    /// who waits for it believes what that user writes into it.
    pub fn open(cookie: Cookie) -> Result<Self> {
        let key =
            cookie.key().ok_or_else(|| Error::usage("cookie", cookie.to_string(), "its lower 16 bits are zero: it names no semaphore"))?;
        let found = Set::open(key).and_then(|set| Ok((set, set.creator()?)));
        let (set, creator) = found.map_err(|errno| match errno {
            Errno::ENOENT | Errno::EIDRM | Errno::EINVAL => Error::no_cookie(cookie.to_string()),
            other => Error::os("open cookie", cookie.to_string(), other),
        })?;
        if creator != 0 && creator != geteuid().as_raw() {
            let cause = format!("it was created by user {creator}, not by root: no tool that changes devices waits for it");
            return Err(Error::malformed("open cookie", cookie.to_string(), cause));
        }
        Ok(Self { key, set })
    }

    /// The set itself.
    pub fn set(&self) -> Set {
        self.set
    }

    pub(super) fn failed(&self, operation: &'static str) -> impl Fn(Errno) -> Error {
        let cookie = self.cookie();
        move |errno| Error::os(operation, cookie.to_string(), errno)
    }
}

impl Backend for Semaphore {
    /// Tries random bases until one is free, as libdevmapper does.
    fn begin() -> Result<Self> {
        // Of 65535 bases the kernel's limits let a few thousand be in use: this many in a row are a squatter's work.
        const ATTEMPTS: usize = 10_000;
        for _ in 0..ATTEMPTS {
            let key = Cookie::new(u32::from(random_base()?)).key();
            let Some(key) = key else { continue };
            match Set::create(key) {
                Ok(set) => return Ok(Self { key, set }),
                Err(Errno::EEXIST) => {}
                Err(Errno::ENOSPC) => {
                    return Err(Error::os("create", "cookie", Errno::ENOSPC)
                        .advise("the kernel's semaphore limits are reached: see `dmhelper cookie list` and /proc/sys/kernel/sem"));
                }
                Err(errno) => return Err(Error::os("create", "cookie", errno)),
            }
        }
        Err(Error::os("create", "cookie", Errno::EEXIST).advise("nearly all keys are taken: see `dmhelper cookie list`"))
    }

    fn cookie(&self) -> Cookie {
        Cookie::new(self.key.value())
    }

    fn add(&self) -> Result<()> {
        self.set.add().map_err(self.failed("add an event to cookie"))
    }

    fn complete(&self) -> Result<()> {
        match self.set.complete().map_err(self.failed("complete cookie"))? {
            Completion::Done => Ok(()),
            Completion::Gone => Err(self.failed("complete cookie")(Errno::EIDRM)),
            Completion::Exhausted => Err(self.failed("complete cookie")(Errno::EAGAIN)),
        }
    }

    fn missing(&self) -> Result<u32> {
        // The first 1 is nobody's notification.
        Ok(self.set.value().map_err(self.failed("read cookie"))?.saturating_sub(1))
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<Waited> {
        match self.set.value() {
            // Nothing that can still come would make this end well.
            Ok(0) => Err(self.failed("wait for cookie")(Errno::ERANGE).advise("it was completed once too often: no first 1 is left")),
            Ok(_) => self.set.watch(deadline).map_err(self.failed("wait for cookie")),
            Err(Errno::EIDRM | Errno::EINVAL) => Ok(Waited::Removed),
            Err(errno) => Err(self.failed("wait for cookie")(errno)),
        }
    }

    fn remove(&self) -> Result<()> {
        match self.set.remove() {
            Ok(()) | Err(Errno::EIDRM | Errno::EINVAL) => Ok(()),
            Err(errno) => Err(self.failed("remove cookie")(errno)),
        }
    }
}

/// A base from the kernel's random numbers; 0 is possible and not a base.
fn random_base() -> Result<u16> {
    use std::io::Read;
    let mut bytes = [0; 2];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    read.map_err(|error| Error::io("read", "/dev/urandom", &error))?;
    Ok(u16::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests;
