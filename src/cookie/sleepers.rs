//! Which processes wait for a cookie: the kernel says how many, and what each process sleeps in.

use std::fs;
use std::path::Path;

use nix::libc;

use super::census::{Entry, Process, process};

/// A process asleep in semop(2), and the set it sleeps on where the kernel tells.
pub(super) struct Sleeper {
    process: Process,
    set: Option<i32>,
}

/// Who sleeps on this entry's set. Where the kernel does not tell the set, the last one to operate on it is taken, or
/// the only one there is.
pub(super) fn waiters(entry: &Entry, sleepers: &[Sleeper]) -> Vec<Process> {
    let sure: Vec<_> = sleepers.iter().filter(|sleeper| sleeper.set == Some(entry.row.id)).map(|s| s.process.clone()).collect();
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

pub(super) fn sleepers(proc: &Path) -> Vec<Sleeper> {
    let own = fs::read_link(proc.join("self/ns/ipc")).ok();
    let pids = fs::read_dir(proc).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let directory = proc.join(pid.to_string());
        let set = asleep(&directory)?;
        let here = fs::read_link(directory.join("ns/ipc")).ok() == own;
        here.then(|| process(proc, pid)).flatten().map(|process| Sleeper { process, set })
    })
    .collect()
}

/// Whether the process sleeps in semop or semtimedop: by its system call's number and first argument, or, on kernels
/// without that file, by its kernel stack.
fn asleep(directory: &Path) -> Option<Option<i32>> {
    if let Ok(call) = fs::read_to_string(directory.join("syscall")) {
        let mut words = call.split_whitespace();
        let number: libc::c_long = words.next()?.parse().ok()?;
        let set = words.next()?.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok())?;
        return (number == libc::SYS_semop || number == libc::SYS_semtimedop).then(|| i32::try_from(set).ok());
    }
    let stack = fs::read_to_string(directory.join("stack")).ok()?;
    stack.contains("semtimedop").then_some(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_is_found_by_its_system_call_or_its_stack() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        assert_eq!(asleep(directory.path()), None);
        write("stack", "[<0>] __do_semtimedop+0x6ca/0x789\n");
        assert_eq!(asleep(directory.path()), Some(None));
        write("syscall", &format!("{} 0x7 0x7ffe 0x1 0x0 0x0 0x0 0x7ffe 0x7f\n", libc::SYS_semop));
        assert_eq!(asleep(directory.path()), Some(Some(7)));
        write("syscall", "0 0x7 0x7ffe 0x1 0x0 0x0 0x0 0x7ffe 0x7f\n");
        assert_eq!(asleep(directory.path()), None);
        write("syscall", "running\n");
        assert_eq!(asleep(directory.path()), None);
    }
}
