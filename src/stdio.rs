//! Standard input, output and error, made safe to use: what std does before a Rust `main` (see main.rs), where it is
//! needed. udevd opens all three for what its rules run, and nobody else reads there.

use std::io::Stdout;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc::{SIGPIPE, STDERR_FILENO, STDOUT_FILENO};
use nix::sys::stat::Mode;

use crate::error::{Error, Result};

/// Whether standard output was closed when the program started.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Standard output.
///
/// # Errors
/// It was closed: what is written would reach nobody, and std would call that a success.
pub fn stdout() -> Result<Stdout> {
    match CLOSED.load(Ordering::Relaxed) {
        true => Err(Error::os("write", "standard output", Errno::EBADF).advise("it is closed")),
        false => Ok(std::io::stdout()),
    }
}

/// Call it after [`crate::log::start`], before any file is opened. What fails is left as it is: nothing that is asked
/// of the program depends on it.
pub fn prepare() {
    if crate::log::is_system() {
        return;
    }
    // The next file that is opened would become a closed standard stream, and our messages would be written into it.
    // Programs that we start inherit the three.
    while let Ok(null) = open("/dev/null", OFlag::O_RDWR, Mode::empty()) {
        if null.as_raw_fd() > STDERR_FILENO {
            break;
        }
        CLOSED.fetch_or(null.as_raw_fd() == STDOUT_FILENO, Ordering::Relaxed);
        let _stays_open = null.into_raw_fd();
    }
    // A reader that has gone away is an error of the write, not our death. Programs that we start are not affected.
    let _ = signal_hook::flag::register(SIGPIPE, Arc::new(AtomicBool::new(false)));
}
