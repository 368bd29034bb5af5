//! Has udevd processed everything that the kernel has announced? Evidence, without asking udevd for anything.
//!
//! An event is in one of three places: in the queue of udevd's netlink socket, in udevd's hands between reading it and
//! saying so, or among those for which udevd keeps the file `RUN/queue`. The first shows in /proc/net/netlink, the last
//! is a file; and in between udevd runs, while with nothing to do it sleeps.

use std::fs;
use std::path::Path;

use crate::udevd::Udevd;
use crate::uevent::queued;

/// What udevd has left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// Nothing: every event sent before this was found out is processed.
    None,
    /// Events are left; `RUN/queue` disappears when they are done.
    Some {
        /// udevd is stopped.
        stopped: bool,
    },
    /// Not known this moment: udevd runs, or is stopped. Nothing announces that this ends.
    Unsure {
        /// udevd is stopped.
        stopped: bool,
    },
}

/// Finds out, in this order: events that are read meanwhile are not mistaken for processed ones.
pub fn backlog(run_udev: &Path, proc: &Path) -> Backlog {
    let processes = main_processes(proc);
    let stopped = processes.iter().any(|process| matches!(process.state, b'T' | b't'));
    if Udevd::is_busy(run_udev) {
        return Backlog::Some { stopped };
    }
    for process in processes {
        let sockets = sockets(&proc.join(process.pid.to_string()));
        let waiting = fs::read(proc.join("net/netlink")).is_ok_and(|table| is_waiting(&table, sockets.as_deref()));
        // An event that waits is read at once, unless udevd is stopped: then `queue` appears, and disappears.
        if waiting || state(proc, process.pid) != Some(b'S') {
            return Backlog::Unsure { stopped };
        }
    }
    if Udevd::is_busy(run_udev) { Backlog::Some { stopped } } else { Backlog::None }
}

/// A process as /proc/PID/stat shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    parent: u32,
    state: u8,
}

/// The processes named as udevd whose parent is not: workers are children of the main one.
pub fn main_processes(proc: &Path) -> Vec<Process> {
    let entries = fs::read_dir(proc).into_iter().flatten().filter_map(|entry| entry.ok());
    let named = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all: Vec<_> = named.filter_map(|pid| parse(pid, &fs::read(proc.join(format!("{pid}/stat"))).ok()?)).collect();
    all.iter().filter(|process| all.iter().all(|other| other.pid != process.parent)).copied().collect()
}

fn state(proc: &Path, pid: u32) -> Option<u8> {
    parse(pid, &fs::read(proc.join(format!("{pid}/stat"))).ok()?).map(|process| process.state)
}

/// "PID (COMM) STATE PPID …" of a udevd; the kernel cuts names after 15 bytes.
fn parse(pid: u32, stat: &[u8]) -> Option<Process> {
    let (head, rest) = stat.split_at_checked(stat.iter().rposition(|&b| b == b')')?)?;
    [&b"(systemd-udevd"[..], b"(udevd", b"(eudevd"].iter().any(|name| head.ends_with(name)).then_some(())?;
    let mut fields = str::from_utf8(rest.get(2..)?).ok()?.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    Some(Process { pid, parent: fields.next()?.parse().ok()?, state })
}

/// The inodes of a process's sockets; `None` for those who may not see them.
fn sockets(process: &Path) -> Option<Vec<u64>> {
    let entries = fs::read_dir(process.join("fd")).ok()?;
    let inode = |entry: std::io::Result<fs::DirEntry>| queued::inode(&fs::read_link(entry.ok()?.path()).ok()?);
    Some(entries.filter_map(inode).collect())
}

/// Whether kernel events wait in one of these sockets, or, where they are not known, in that of any other subscriber to
/// the kernel's events alone.
fn is_waiting(table: &[u8], sockets: Option<&[u64]>) -> bool {
    queued::rows(table).any(|row| {
        let own = sockets.map_or(row.groups == 1, |sockets| row.groups & 1 != 0 && sockets.contains(&row.inode));
        own && row.waiting
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
        0000000000000000 15  812        00000001 768      0        0     2        0        7001\n\
        0000000000000000 15  900        00000003 1536     0        0     2        0        7002\n\
        0000000000000000 0   812        00000001 99       0        0     2        0        7003\n";

    #[test]
    fn an_event_that_waits_in_udevds_socket_is_seen() {
        assert!(is_waiting(TABLE.as_bytes(), Some(&[7001])));
        assert!(!is_waiting(TABLE.as_bytes(), Some(&[7003])), "another protocol");
        assert!(!is_waiting(TABLE.as_bytes(), Some(&[])));
        assert!(is_waiting(TABLE.as_bytes(), None));
        assert!(!is_waiting(TABLE.replace(" 768 ", " 0   ").as_bytes(), None), "the other one subscribes to more");
    }

    #[test]
    fn nothing_is_left_only_while_udevd_sleeps_and_its_queue_is_gone() {
        let (proc, run) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let process = |pid: u32, stat: &str| {
            fs::create_dir_all(proc.path().join(format!("{pid}/fd"))).unwrap();
            fs::write(proc.path().join(format!("{pid}/stat")), stat).unwrap();
        };
        let found = || backlog(run.path(), proc.path());
        process(7, "7 (bash) R 1 7");
        process(8, "8 (systemd-udevd) S 1 8");
        process(9, "9 (systemd-udevd) R 8 8");
        assert_eq!(found(), Backlog::None, "a worker may run, for its event is in the queue");
        process(8, "8 (systemd-udevd) R 1 8");
        assert_eq!(found(), Backlog::Unsure { stopped: false });
        process(8, "8 (systemd-udevd) T 1 8");
        assert_eq!(found(), Backlog::Unsure { stopped: true });
        fs::write(run.path().join("queue"), "").unwrap();
        assert_eq!(found(), Backlog::Some { stopped: true });
    }
}
