//! One error type, one line: `operation object: cause`, with the value that was wrong and, where known, what to do.

use std::borrow::Cow;
use std::fmt;

use dmhelper_core::fault::Fault;
use nix::errno::Errno;

use crate::text::printable;

/// Result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed; decides the exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The caller's words cannot be understood: status 2.
    Usage(String),
    /// There is no such device: status 3.
    NotFound,
    /// There is no such cookie: status 3.
    NoCookie,
    /// The caller may not: status 4.
    Denied,
    /// The deadline passed; the text says what was missing: status 5.
    TimedOut(String),
    /// No udevd is running: what is waited for cannot come. Status 6.
    NoUdevd,
    /// All was done that could be, and something is left for the caller to see to; the text says what: status 7.
    Remains(String),
    /// Any other error of the system: status 1.
    Os(Errno),
    /// A reply or a record that is not what its source documents: status 1.
    Malformed(String),
}

/// A failed operation, the object it was about, the cause, and advice where there is any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    operation: &'static str,
    object: String,
    cause: Cause,
    advice: Option<Cow<'static, str>>,
}

impl Error {
    /// An error of the operating system; `object` is escaped for a terminal.
    pub fn os(operation: &'static str, object: impl AsRef<[u8]>, errno: Errno) -> Self {
        let cause = match errno {
            Errno::EACCES | Errno::EPERM => Cause::Denied,
            other => Cause::Os(other),
        };
        Self::new(operation, object, cause)
    }

    /// An error of the standard library's input and output.
    pub fn io(operation: &'static str, object: impl AsRef<[u8]>, error: &std::io::Error) -> Self {
        Self::os(operation, object, error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }

    /// A process or a thread that could not be started.
    pub fn spawn(operation: &'static str, object: impl AsRef<[u8]>, error: &std::io::Error) -> Self {
        let failed = Self::io(operation, object, error);
        match failed.cause {
            Cause::Os(Errno::EAGAIN) => failed.advise("the limit of tasks is reached (ulimit -u, TasksMax=)"),
            _ => failed,
        }
    }

    /// Words of the caller that cannot be understood.
    pub fn usage(operation: &'static str, object: impl AsRef<[u8]>, cause: impl Into<String>) -> Self {
        Self::new(operation, object, Cause::Usage(cause.into()))
    }

    /// A device that is not there.
    pub fn not_found(operation: &'static str, object: impl AsRef<[u8]>) -> Self {
        Self::new(operation, object, Cause::NotFound)
    }

    /// A cookie that is not there.
    pub fn no_cookie(object: impl AsRef<[u8]>) -> Self {
        Self::new("cookie", object, Cause::NoCookie)
    }

    /// A deadline that passed, and what was missing then.
    pub fn timed_out(operation: &'static str, object: impl AsRef<[u8]>, missing: impl Into<String>) -> Self {
        Self::new(operation, object, Cause::TimedOut(missing.into()))
    }

    /// A wait that cannot end because no udevd is running.
    pub fn no_udevd(operation: &'static str, object: impl AsRef<[u8]>) -> Self {
        Self::new(operation, object, Cause::NoUdevd)
    }

    /// Something that is left for the caller to see to.
    pub fn remains(operation: &'static str, object: impl AsRef<[u8]>, what: impl Into<String>) -> Self {
        Self::new(operation, object, Cause::Remains(what.into()))
    }

    /// Bytes that break their format.
    pub fn malformed(operation: &'static str, object: impl AsRef<[u8]>, cause: impl Into<String>) -> Self {
        Self::new(operation, object, Cause::Malformed(cause.into()))
    }

    fn new(operation: &'static str, object: impl AsRef<[u8]>, cause: Cause) -> Self {
        Self { operation, object: printable(object.as_ref()), cause, advice: None }
    }

    /// The same error with what the reader can do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The same error as that of a larger operation, which is what the caller asked for.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        self.operation = operation;
        self
    }

    /// Why it failed.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Whether the same may succeed a moment later: memory or another limit was short, or nobody knows why it failed.
    pub fn may_pass(&self) -> bool {
        use Errno::{EAGAIN, EINTR, EIO, EMFILE, ENFILE, ENOBUFS, ENOMEM};
        matches!(self.cause, Cause::Os(EAGAIN | EINTR | EIO | EMFILE | ENFILE | ENOBUFS | ENOMEM))
    }

    /// Whether the reader of our output has gone away: nothing to complain about.
    pub fn is_closed_pipe(&self) -> bool {
        self.cause == Cause::Os(Errno::EPIPE)
    }

    /// The documented exit status: dmhelper(8), EXIT STATUS. Of several failures the highest is the program's.
    pub fn status(&self) -> u8 {
        match self.cause {
            Cause::Os(_) | Cause::Malformed(_) => 1,
            Cause::Usage(_) => 2,
            Cause::NotFound | Cause::NoCookie => 3,
            Cause::Denied => 4,
            Cause::TimedOut(_) => 5,
            Cause::NoUdevd => 6,
            Cause::Remains(_) => 7,
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Usage { what, object, cause } => {
                Self { operation: what, object: object.to_string(), cause: Cause::Usage(cause.to_string()), advice: None }
            }
            Fault::Reply(cause) => Self::malformed("device-mapper", "reply", cause.as_str()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A word that is empty is seen by its quotes alone.
        write!(f, "{} {}: ", self.operation, if self.object.is_empty() { "\"\"" } else { &self.object })?;
        match &self.cause {
            Cause::Usage(text) | Cause::Malformed(text) | Cause::TimedOut(text) | Cause::Remains(text) => f.write_str(text)?,
            Cause::NoCookie => f.write_str("no such cookie in this IPC namespace")?,
            Cause::NoUdevd => f.write_str("udevd is not running, nothing will complete this")?,
            Cause::NotFound => f.write_str("no such device-mapper device")?,
            Cause::Denied => f.write_str("permission denied")?,
            Cause::Os(errno) => write!(f, "{}", errno.desc())?,
        }
        self.advice.as_ref().map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}

impl std::error::Error for Error {}
