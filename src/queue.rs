//! Has udevd processed everything that the kernel has announced? Evidence, without asking udevd for anything.
//!
//! An event is in one of three places: in the queue of udevd's netlink socket, in udevd's hands between reading it and
//! saying so, or among those for which udevd keeps the file `RUN/queue`. The first shows in /proc/net/netlink, the last
//! is a file; and in between udevd runs, while with nothing to do it sleeps.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::process::Process;
use crate::udevd::{self, Look, Udevd};
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
    /// Not known this moment: udevd runs, or is stopped, or a worker has outlived it. Nothing announces that this ends.
    Unsure {
        /// udevd is stopped.
        stopped: bool,
    },
}

/// Finds it out.
pub fn backlog(run_udev: &Path, proc: &Path) -> Backlog {
    of(&Look::take(run_udev, proc), run_udev, proc)
}

/// The same, of processes that were just looked for; in this order: events that are read meanwhile are not mistaken for
/// processed ones.
pub fn of(Look { udevd, processes, holder, .. }: &Look, run_udev: &Path, proc: &Path) -> Backlog {
    let stopped = processes.iter().any(Process::is_stopped);
    if udevd::has_queue(run_udev) {
        return Backlog::Some { stopped };
    }
    if processes.len() > 1 || *udevd == Udevd::Ending {
        return Backlog::Unsure { stopped };
    }
    // Somebody holds its place, or nobody knows who does: systemd, until it starts udevd, or `dmhelper listen`, which subscribes
    // to udevd's events as well.
    let is_left = |table: Vec<u8>| queued::rows(&table).any(|row| row.groups & 1 != 0 && row.waiting);
    let anybody = || table(proc, holder.as_ref()).is_none_or(is_left);
    if processes.is_empty() && !udevd.is_absent() && anybody() {
        return Backlog::Unsure { stopped };
    }
    for process in processes {
        let sockets = process.sockets(proc).ok();
        let waiting = table(proc, Some(process)).is_none_or(|table| is_waiting(&table, sockets.as_deref()));
        // An event that waits is read at once, unless udevd is stopped: then `queue` appears, and disappears.
        if waiting || !matches!(Process::read(proc, process.pid), Ok(Some(process)) if process.is_asleep()) {
            return Backlog::Unsure { stopped };
        }
    }
    if udevd::has_queue(run_udev) { Backlog::Some { stopped } } else { Backlog::None }
}

/// Whether one of them has subscribed to the kernel's events: what is sent from now on reaches it.
pub(crate) fn is_subscribed(processes: &[Process], proc: &Path) -> bool {
    processes.iter().any(|process| {
        let (table, sockets) = (table(proc, Some(process)).unwrap_or_default(), process.sockets(proc).unwrap_or_default());
        queued::rows(&table).any(|row| row.groups & 1 != 0 && sockets.contains(&row.inode))
    })
}

/// The kernel's table of netlink sockets, which is of one network namespace: the process's. `None` where it cannot be read: an
/// event may wait then.
fn table(proc: &Path, process: Option<&Process>) -> Option<Vec<u8>> {
    let theirs = process.and_then(|process| fs::read(proc.join(format!("{}/net/netlink", process.pid))).ok());
    match theirs.map_or_else(|| fs::read(proc.join("net/netlink")), Ok) {
        Err(error) if error.kind() != ErrorKind::NotFound => None,
        table => Some(table.unwrap_or_default()),
    }
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
    fn an_event_that_waits_for_who_listens_in_udevds_place_is_seen() {
        let (proc, run) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let found = |udevd| of(&Look { udevd, busy: false, processes: Vec::new(), holder: None }, run.path(), proc.path());
        assert_eq!(found(Udevd::OnDemand), Backlog::None);
        fs::create_dir(proc.path().join("net")).unwrap();
        fs::write(proc.path().join("net/netlink"), TABLE).unwrap();
        assert_eq!(found(Udevd::OnDemand), Backlog::Unsure { stopped: false });
        assert_eq!(found(Udevd::Absent), Backlog::None, "whoever subscribes is no udevd");
        fs::write(proc.path().join("net/netlink"), TABLE.replace(" 768 ", " 0   ")).unwrap();
        assert_eq!(found(Udevd::StandIn), Backlog::Unsure { stopped: false }, "`listen` subscribes to more");
        let holder = Process::read(Path::new("/proc"), std::process::id()).unwrap();
        fs::create_dir_all(proc.path().join(format!("{}/net", std::process::id()))).unwrap();
        fs::write(proc.path().join(format!("{}/net/netlink", std::process::id())), "").unwrap();
        let elsewhere = Look { udevd: Udevd::StandIn, busy: false, processes: Vec::new(), holder };
        assert_eq!(of(&elsewhere, run.path(), proc.path()), Backlog::None, "in its own network namespace none waits");
        assert_eq!(found(Udevd::Ending), Backlog::Unsure { stopped: false }, "a worker goes on");
    }

    #[test]
    fn who_has_subscribed_to_the_kernels_events_is_told_from_who_will() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir_all(proc.path().join("net")).unwrap();
        fs::create_dir_all(proc.path().join("8/fd")).unwrap();
        fs::write(proc.path().join("8/stat"), "8 (systemd-udevd) S 1 8").unwrap();
        let subscribed = |inode: u64| {
            let _ = fs::remove_file(proc.path().join("8/fd/3"));
            std::os::unix::fs::symlink(format!("socket:[{inode}]"), proc.path().join("8/fd/3")).unwrap();
            is_subscribed(&Process::read(proc.path(), 8).unwrap().into_iter().collect::<Vec<_>>(), proc.path())
        };
        assert!(!subscribed(7001), "no table");
        fs::write(proc.path().join("net/netlink"), TABLE).unwrap();
        assert!(subscribed(7001));
        assert!(!subscribed(7003), "another protocol");
        fs::write(proc.path().join("net/netlink"), TABLE.replace("00000001 768", "00000000 0  ")).unwrap();
        assert!(!subscribed(7001), "made, and not bound");
    }

    #[test]
    fn nothing_is_left_only_while_udevd_sleeps_and_its_queue_is_gone() {
        let (proc, run) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let process = |pid: u32, stat: &str| {
            fs::create_dir_all(proc.path().join(format!("{pid}/fd"))).unwrap();
            fs::write(proc.path().join(format!("{pid}/stat")), stat).unwrap();
            fs::write(proc.path().join(format!("{pid}/status")), "Uid:\t0\t0\t0\t0\n").unwrap();
        };
        let found = || backlog(run.path(), proc.path());
        process(7, "7 (bash) R 1 7");
        process(8, "8 (systemd-udevd) S 1 8");
        process(9, "9 ((udev-worker)) R 8 8");
        assert_eq!(found(), Backlog::None, "a worker may run, for its event is in the queue");
        process(9, "9 ((udev-worker)) S 1 8");
        assert_eq!(found(), Backlog::Unsure { stopped: false }, "its udevd was killed");
        process(9, "9 ((udev-worker)) S 8 8");
        process(8, "8 (systemd-udevd) R 1 8");
        assert_eq!(found(), Backlog::Unsure { stopped: false });
        process(8, "8 (systemd-udevd) T 1 8");
        assert_eq!(found(), Backlog::Unsure { stopped: true });
        fs::write(run.path().join("queue"), "").unwrap();
        assert_eq!(found(), Backlog::Some { stopped: true });
    }
}
