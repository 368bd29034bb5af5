//! What one process costs: page faults and system calls. For the benchmark and for the guard against growth.
#![allow(unsafe_code)] // wait4(2) tells the resources of one child; std and nix have no safe form of it.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};

use nix::libc;

/// A program with its arguments and its whole environment.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) words: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Program {
    pub(crate) fn new(words: &[&str], environment: &[(&'static str, String)]) -> Self {
        Self { words: words.iter().map(|word| (*word).to_owned()).collect(), environment: environment.to_vec() }
    }

    pub(crate) fn command(&self, before: &[&str]) -> Command {
        let mut words = before.iter().copied().chain(self.words.iter().map(String::as_str));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs it to its successful end and tells its minor page faults.
    pub(crate) fn run(&self) -> Result<i64, String> {
        let failed = |error: io::Error| format!("{}: {error}", self.words.join(" "));
        let child = self.command(&[]).spawn().map_err(failed)?;
        let pid = libc::pid_t::try_from(child.id()).map_err(|error| error.to_string())?;
        let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
        // SAFETY: pid_t wait4(pid_t pid, int *wstatus, int options, struct rusage *rusage); both point to live memory of
        // the right type. The child is waited for here alone; `child` is dropped without a wait of its own.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        if waited != pid {
            return Err(failed(io::Error::last_os_error()));
        }
        if !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) != 0 {
            return Err(format!("{}: wait status {status:#x}", self.words.join(" ")));
        }
        // SAFETY: all-zero bytes are a valid rusage, and the kernel has filled it in.
        let usage = unsafe { usage.assume_init() };
        Ok(usage.ru_minflt)
    }

    /// Its system calls, counted by strace: execve and exit among them. `None` without strace.
    pub(crate) fn system_calls(&self) -> Result<Option<usize>, String> {
        let log = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        let path = log.path().display().to_string();
        let status = match self.command(&["strace", "-f", "-qq", "-e", "signal=none", "-o", &path]).status() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| format!("strace: {error}"))?,
        };
        if !status.success() {
            return Err(format!("strace {}: {status}", self.words.join(" ")));
        }
        let text = fs::read_to_string(log.path()).map_err(|error| error.to_string())?;
        Ok(Some(text.lines().filter(|line| !line.contains(" resumed>")).count()))
    }
}
