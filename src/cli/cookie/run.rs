use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};

use argh::{ArgsInfo, FromArgs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{RUN_UDEV, Timeout, wait};
use crate::cookie;
use crate::cookie::transaction::{Backend, ENVIRONMENT, Semaphore, Transaction};
use crate::error::{Error, Result};
use crate::udevd::Udevd;

/// Run a command whose device-mapper tools all share one cookie, and wait for udev once, at its end.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "run")]
pub(super) struct Run {
    /// how long to wait for udev at most: 500ms, 30s, 2min, 0 (do not wait), infinity; default 3min
    #[argh(option, default = "Timeout::DEFAULT", arg_name = "TIME")]
    timeout: Timeout,

    /// run although no udevd is running: something else completes
    #[argh(switch)]
    without_udevd: bool,

    /// the command and its arguments
    #[argh(positional, greedy, arg_name = "COMMAND")]
    command: Vec<String>,
}

/// Remove a cookie when standard input ends: for cookies that must not outlive their script.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "guard")]
pub(super) struct Guard {
    /// the cookie
    #[argh(positional, arg_name = "COOKIE")]
    cookie: cookie::Cookie,
}

impl Run {
    pub(super) fn run(self) -> Result<u8> {
        let words = self.command.strip_prefix(&["--".to_string()]).unwrap_or(&self.command);
        let [program, arguments @ ..] = words else {
            return Err(Error::usage("command", "cookie run", "no command to run; see dmhelper cookie run --help"));
        };
        if !self.without_udevd && Udevd::is_absent_from(Path::new(RUN_UDEV), Path::new("/proc")) {
            return Err(Error::no_udevd("run", program).advise("start it first, or give --without-udevd"));
        }
        let transaction = Transaction::begin()?;
        let semaphore = Semaphore::open(transaction.cookie())?;
        let cookie = transaction.cookie().to_string();
        // From here on the guard removes the cookie if this process dies, of whatever it may be.
        let _guard = spawn_guard(&cookie)?;
        let signals = forward_signals(semaphore)?;

        let mut command = Command::new(program);
        let mut child = command.args(arguments).env(ENVIRONMENT, &cookie).spawn().map_err(|error| Error::spawn("run", program, &error))?;
        signals.started(&child);
        let status = child.wait().map_err(|error| Error::io("run", program, &error))?;
        signals.ended();

        // A command that a signal has stopped has nothing to wait for; one that took it in its stride has.
        if signals.received().is_some() && !status.success() {
            return transaction.cancel().map(|()| own_status(status));
        }
        let waited = wait::wait(&semaphore, self.timeout, self.without_udevd);
        let removed = semaphore.missing().is_err();
        transaction.cancel()?;
        if let Some(signal) = signals.received().filter(|_| removed) {
            return Ok(exit_code(128 + signal));
        }
        // The command's own failure says more than what udev has not done for it.
        match waited {
            Err(error) if status.success() => Err(error),
            Err(error) => {
                log::error!("{error}");
                Ok(own_status(status))
            }
            Ok(_) => Ok(own_status(status)),
        }
    }
}

impl Guard {
    pub(super) fn run(self) -> Result<()> {
        // Gone already: nothing to guard.
        let Ok(semaphore) = Semaphore::open(self.cookie) else { return Ok(()) };
        // Whoever waits for us to be on guard reads a line.
        super::super::print("on guard\n")?;
        // Whatever comes is not for us; an error means that nobody is there any more.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        semaphore.remove()
    }
}

/// A process of its own that outlives us by a moment: it sees our end of the pipe close, even when we are killed.
/// On guard when this returns.
fn spawn_guard(cookie: &str) -> Result<Child> {
    let own = std::env::current_exe().map_err(|error| Error::io("find", "own program", &error))?;
    let failed = |error: std::io::Error| Error::spawn("run", own.as_os_str().as_encoded_bytes(), &error);
    let mut command = Command::new(&own);
    command.args(["cookie", "guard", cookie]).stdin(Stdio::piped()).stdout(Stdio::piped());
    // Out of the terminal's reach: ^C is for the command.
    let mut guard = command.process_group(0).spawn().map_err(failed)?;
    let ready = guard.stdout.take().map(|mut output| output.read(&mut [0; 64]));
    match ready {
        Some(Ok(length)) if length > 0 => Ok(guard),
        Some(Err(error)) => Err(failed(error)),
        _ => Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
    }
}

/// The command's process, 0 while there is none, and the last signal that came for us.
struct Forwarding {
    child: &'static AtomicI32,
    signal: &'static AtomicI32,
    semaphore: Semaphore,
}

impl Forwarding {
    fn received(&self) -> Option<i32> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// A signal that came before there was a command to pass it on to is passed on now.
    fn started(&self, child: &Child) {
        self.child.store(i32::try_from(child.id()).unwrap_or(0), Ordering::SeqCst);
        if let Some(signal) = self.received() {
            pass_on(signal, self.child, self.semaphore);
        }
    }

    /// From here on a signal ends our wait.
    fn ended(&self) {
        self.child.store(ENDED, Ordering::SeqCst);
    }
}

/// In place of the command's process: it has ended.
const ENDED: i32 = -1;

/// Passes signals on to the command while it runs; afterwards ends our wait by removing the cookie.
fn forward_signals(semaphore: Semaphore) -> Result<Forwarding> {
    static CHILD: AtomicI32 = AtomicI32::new(0);
    static SIGNAL: AtomicI32 = AtomicI32::new(0);
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(|error| Error::io("catch", "signals", &error))?;
    let forward = move || {
        for number in signals.forever() {
            SIGNAL.store(number, Ordering::SeqCst);
            pass_on(number, &CHILD, semaphore);
        }
    };
    let started = std::thread::Builder::new().spawn(forward);
    started.map_err(|error| Error::spawn("start", "a thread", &error))?;
    Ok(Forwarding { child: &CHILD, signal: &SIGNAL, semaphore })
}

fn pass_on(number: i32, child: &AtomicI32, semaphore: Semaphore) {
    match (child.load(Ordering::SeqCst), Signal::try_from(number)) {
        (ENDED, _) => drop(semaphore.remove()),
        (pid, Ok(signal)) if pid > 0 => drop(kill(Pid::from_raw(pid), signal)),
        // Not started yet: passed on then.
        _ => {}
    }
}

/// A command's status as a shell shows it: 128 and the signal's number when a signal ended it.
fn own_status(status: ExitStatus) -> u8 {
    exit_code(status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1))
}

fn exit_code(status: i32) -> u8 {
    u8::try_from(status).unwrap_or(1)
}
