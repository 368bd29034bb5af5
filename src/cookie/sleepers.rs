//! Which processes wait for a cookie: the kernel says how many, and what each process sleeps in.
//!
//! Of those that are stopped it counts none: a stop interrupts semop(2), and the tool begins to wait again when it goes on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::libc;

use super::census::{self, Entry, Process};
use crate::process::{self, unless_hidden};

/// A process asleep in semop(2), or stopped, and the set it sleeps on where the kernel tells.
pub(super) struct Sleeper {
    process: Process,
    set: Option<i32>,
}

/// Processes that are stopped. All of them may wait for the same thousands of cookies.
pub(super) struct Stopped {
    sleepers: Vec<Sleeper>,
    all: Rc<[Process]>,
}

/// Who sleeps on this entry's set. Where the kernel does not tell the set, the last one to operate on it is taken, or
/// the only one there is.
pub(super) fn waiters(entry: &Entry, sleepers: &[Sleeper]) -> Vec<Process> {
    let sure = sure(entry, sleepers);
    if !sure.is_empty() {
        return sure;
    }
    let mut unsure = sleepers.iter().filter(|sleeper| sleeper.set.is_none()).map(|s| &s.process);
    match unsure.clone().find(|process| Some(*process) == entry.last.as_ref()) {
        Some(process) => vec![process.clone()],
        None if unsure.clone().count() == 1 => unsure.next().cloned().into_iter().collect(),
        None => Vec::new(),
    }
}

/// Who may wait for this entry when it goes on: the one whose system call tells, or all. A thread of any may wait, or the
/// tool may have been stopped between two calls.
pub(super) fn stopped_waiters(entry: &Entry, stopped: &Stopped) -> Rc<[Process]> {
    let sure = sure(entry, &stopped.sleepers);
    if sure.is_empty() { Rc::clone(&stopped.all) } else { sure.into() }
}

fn sure(entry: &Entry, sleepers: &[Sleeper]) -> Vec<Process> {
    sleepers.iter().filter(|sleeper| sleeper.set == Some(entry.row.id)).map(|s| s.process.clone()).collect()
}

/// Processes that sleep in semop(2), as far as this user may see it.
pub(super) fn sleepers(proc: &Path) -> io::Result<Vec<Sleeper>> {
    let own = namespace(proc, "self")?;
    let mut sleepers = Vec::new();
    for pid in process::Process::numbers(proc)? {
        if let Some(set) = asleep(&proc.join(pid.to_string()))?
            && namespace(proc, &pid.to_string())? == own
            && let Some(process) = census::process(proc, pid)?
        {
            sleepers.push(Sleeper { process, set });
        }
    }
    Ok(sleepers)
}

/// Root's processes that are stopped, in this IPC namespace for all that is known.
pub(super) fn stopped(proc: &Path) -> io::Result<Stopped> {
    let own = namespace(proc, "self")?;
    let mut sleepers = Vec::new();
    for process in process::Process::all(proc)?.into_iter().filter(process::Process::is_stopped) {
        let other = namespace(proc, &process.pid.to_string())?;
        if process.is_roots(proc)?
            && other.is_none_or(|other| Some(other) == own)
            && let Some(named) = census::process(proc, process.pid)?
        {
            sleepers.push(Sleeper { process: named, set: asleep(&proc.join(process.pid.to_string()))?.flatten() });
        }
    }
    Ok(Stopped { all: sleepers.iter().map(|sleeper| sleeper.process.clone()).collect(), sleepers })
}

/// The IPC namespace of a process; `None` when it has ended, or may not be looked at.
fn namespace(proc: &Path, process: &str) -> io::Result<Option<PathBuf>> {
    unless_hidden(fs::read_link(proc.join(process).join("ns/ipc")))
}

/// Whether the process sleeps in semop or semtimedop: by its system call's number and first argument, or, on kernels
/// without that file, by its kernel stack. What may not be read tells of none.
fn asleep(directory: &Path) -> io::Result<Option<Option<i32>>> {
    if let Some(call) = unless_hidden(fs::read_to_string(directory.join("syscall")))? {
        return Ok(set_of(&call));
    }
    let stack = unless_hidden(fs::read_to_string(directory.join("stack")))?;
    Ok(stack.filter(|stack| stack.contains("semtimedop")).map(|_| None))
}

/// The set that a process operates on whose system call is this one (proc(5), /proc/PID/syscall).
fn set_of(call: &str) -> Option<Option<i32>> {
    let mut words = call.split_whitespace();
    let number: libc::c_long = words.next()?.parse().ok()?;
    let set = words.next()?.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok())?;
    (number == libc::SYS_semop || number == libc::SYS_semtimedop).then(|| i32::try_from(set).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_is_found_by_its_system_call_or_its_stack() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        assert_eq!(asleep(directory.path()).unwrap(), None);
        write("stack", "[<0>] __do_semtimedop+0x6ca/0x789\n");
        assert_eq!(asleep(directory.path()).unwrap(), Some(None));
        write("syscall", &format!("{} 0x7 0x7ffe 0x1 0x0 0x0 0x0 0x7ffe 0x7f\n", libc::SYS_semop));
        assert_eq!(asleep(directory.path()).unwrap(), Some(Some(7)));
        write("syscall", "0 0x7 0x7ffe 0x1 0x0 0x0 0x0 0x7ffe 0x7f\n");
        assert_eq!(asleep(directory.path()).unwrap(), None);
        write("syscall", "running\n");
        assert_eq!(asleep(directory.path()).unwrap(), None);
        fs::remove_file(directory.path().join("syscall")).unwrap();
        std::os::unix::fs::symlink("syscall", directory.path().join("syscall")).unwrap(); // ELOOP
        assert!(asleep(directory.path()).is_err());
    }

    #[test]
    fn any_stopped_process_of_roots_may_wait_unless_one_is_known_to() {
        use super::super::{Key, census::Row};

        let proc = tempfile::tempdir().unwrap();
        for (pid, state, user) in [(7, "T", 0), (8, "S", 0), (9, "t", 0), (10, "T", 1000)] {
            let write = |name: &str, text: &str| fs::write(proc.path().join(format!("{pid}/{name}")), text).unwrap();
            fs::create_dir(proc.path().join(pid.to_string())).unwrap();
            write("stat", &format!("{pid} (tool) {state} 1 1"));
            write("status", &format!("Uid:\t{user}\t{user}\t{user}\t{user}\n"));
            write("comm", "tool\n");
        }
        let row = Row { key: Key::from_raw(0x0d4d_0001).unwrap(), id: 5, creator: 0, operated: 1, changed: 1 };
        let found = || {
            let mut pids: Vec<_> =
                stopped_waiters(&census::entry(proc.path(), row).unwrap(), &stopped(proc.path()).unwrap()).iter().map(|p| p.pid).collect();
            pids.sort_unstable();
            pids
        };
        assert_eq!(found(), [7, 9]);
        fs::write(proc.path().join("7/syscall"), format!("{} 0x6 0x7ffe\n", libc::SYS_semtimedop)).unwrap();
        assert_eq!(found(), [7, 9], "another set, but its other threads are not known");
        fs::write(proc.path().join("9/syscall"), format!("{} 0x5 0x7ffe\n", libc::SYS_semtimedop)).unwrap();
        assert_eq!(found(), [9]);
    }
}
