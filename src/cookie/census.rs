//! Every cookie of this IPC namespace, who waits for it, and what that means.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Key;
use super::sem::Set;
use super::sleepers::{sleepers, stopped, stopped_waiters, waiters};
use crate::error::{Error, Result};
use crate::process::{self, unless_ended};
use crate::udevd::Udevd;

/// One line of /proc/sysvipc/sem that is a cookie's. See proc(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The semaphore's key.
    pub key: Key,
    /// The set's identifier.
    pub id: i32,
    /// The user who created it, which nobody can change. Its owner may make root its owner.
    pub creator: u32,
    /// Last operation, seconds since 1970; 0 for none yet.
    pub operated: u64,
    /// Creation or last change of its attributes, seconds since 1970.
    pub changed: u64,
}

impl Row {
    /// Whether it is root's, as those of all tools that change devices are.
    pub fn is_of_root(&self) -> bool {
        self.creator == 0
    }
}

/// The cookies among all semaphore sets, and how many sets there are at all.
pub fn parse(table: &str) -> (Vec<Row>, usize) {
    let lines = table.lines().skip(1);
    let cookies = lines.clone().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [key, id, _mode, _count, _uid, _gid, creator, _cgid, operated, changed, ..] = fields.as_slice() else { return None };
        Some(Row {
            // Printed signed; a cookie's magic keeps it positive.
            key: Key::from_raw(key.parse::<i32>().ok()?.cast_unsigned())?,
            id: id.parse().ok()?,
            creator: creator.parse().ok()?,
            operated: operated.parse().ok()?,
            changed: changed.parse().ok()?,
        })
    });
    (cookies.collect(), lines.count())
}

/// A process, by number and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, at most 15 bytes (`/proc/PID/comm`).
    pub name: String,
}

/// A cookie and everything that can be known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its line in the kernel's table.
    pub row: Row,
    /// The semaphore's value, where this user may read it.
    pub value: Option<u32>,
    /// How many processes wait for it.
    pub waiting: u32,
    /// The processes that wait, where this user may see them.
    pub waiters: Vec<Process>,
    /// Where it is complete and nobody waits: stopped processes that may do so when they go on.
    pub stopped: Rc<[Process]>,
    /// The number of the process that operated on it last.
    pub last_pid: Option<u32>,
    /// That process, if it lives: its creator until udev has completed something.
    pub last: Option<Process>,
}

/// What a cookie's state means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Another user's: no tool of root waits for it.
    Foreign,
    /// Somebody announces events, or is a script between two commands, or the tool that waited is stopped; nobody waits yet.
    InUse,
    /// A tool waits; udev still works, or has only just stopped working.
    Waiting,
    /// A tool waits for notifications that will not come: udev has nothing left to process.
    Stuck,
    /// A tool waits, and no udevd runs (or it is stopped).
    NoUdevd,
    /// Complete, and nobody waits: its tool was killed.
    Left,
    /// Its value may not be read.
    Unknown,
}

/// How long udev must have been idle, and the cookie unchanged, before it is called stuck.
pub const GRACE: Duration = Duration::from_secs(10);

impl Entry {
    /// Time since the last operation on it, or since its creation.
    pub fn age(&self, now: SystemTime) -> Duration {
        let since = self.row.operated.max(self.row.changed);
        let since = UNIX_EPOCH.checked_add(Duration::from_secs(since));
        since.and_then(|since| now.duration_since(since).ok()).unwrap_or_default()
    }

    /// Notifications missing, where the value may be read. A tool on libdevmapper takes the first 1 before it waits; where
    /// this program alone waits, or nobody yet, it is there.
    pub fn missing(&self) -> Option<u32> {
        let ours = self.waiters.iter().filter(|process| process.name == "dmhelper").count();
        let taken = (ours as u32) < self.waiting;
        self.value.map(|value| if taken { value } else { value.saturating_sub(1) })
    }

    /// What its state means.
    pub fn verdict(&self, udevd: Udevd, busy: bool, now: SystemTime) -> Verdict {
        if !self.row.is_of_root() {
            return Verdict::Foreign;
        }
        match (self.value, self.waiting) {
            (None, _) => Verdict::Unknown,
            (Some(0), 0) if self.stopped.is_empty() => Verdict::Left,
            (Some(_), 0) => Verdict::InUse,
            (Some(_), _) => match udevd {
                Udevd::Absent | Udevd::Stopped => Verdict::NoUdevd,
                Udevd::Running | Udevd::OnDemand | Udevd::StandIn if !busy && self.age(now) >= GRACE => Verdict::Stuck,
                _ => Verdict::Waiting,
            },
        }
    }
}

/// Takes the census: one read of the kernel's table, one question for each value, one look at the processes if any waits,
/// and one if any is complete.
pub fn take(proc: &Path) -> Result<(Vec<Entry>, usize)> {
    let (rows, sets) = table(proc)?;
    let failed = |error: io::Error| Error::io("look at", "the processes", &error);
    let mut entries: Vec<Entry> = rows.into_iter().map(|row| entry(proc, row)).collect::<io::Result<_>>().map_err(failed)?;
    if entries.iter().any(|entry| entry.waiting > 0) {
        let sleepers = sleepers(proc).map_err(failed)?;
        for entry in entries.iter_mut().filter(|entry| entry.waiting > 0) {
            entry.waiters = waiters(entry, &sleepers);
        }
    }
    let is_complete = |entry: &Entry| (entry.value, entry.waiting) == (Some(0), 0);
    if entries.iter().any(is_complete) {
        let stopped = stopped(proc).map_err(failed)?;
        for entry in entries.iter_mut().filter(|entry| is_complete(entry)) {
            entry.stopped = stopped_waiters(entry, &stopped);
        }
    }
    Ok((entries, sets))
}

fn table(proc: &Path) -> Result<(Vec<Row>, usize)> {
    let path = proc.join("sysvipc/sem");
    let table = fs::read_to_string(&path).map_err(|error| {
        Error::io("read", path.as_os_str().as_bytes(), &error)
            .advise("the kernel has no System V IPC, or /proc is not mounted: there are no cookies to see")
    })?;
    Ok(parse(&table))
}

/// What the set itself tells.
pub(super) fn entry(proc: &Path, row: Row) -> io::Result<Entry> {
    let set = Set::from_id(row.id);
    let last_pid = set.last_pid().ok().flatten();
    // Without those who wait, the value means nothing.
    let (value, waiting) = match (set.value(), set.waiters()) {
        (Ok(value), Ok((rise, zero))) => (Some(value), rise.saturating_add(zero)),
        _ => (None, 0),
    };
    let last = last_pid.map(|pid| process(proc, pid)).transpose()?.flatten();
    Ok(Entry { row, value, waiting, waiters: Vec::new(), stopped: Rc::default(), last_pid, last })
}

/// Whether nothing has happened to the cookie since: no operation, no other waiter. The kernel's times are whole seconds; within
/// one, the value and who operated last tell.
pub fn is_unchanged(proc: &Path, then: &Entry) -> Result<bool> {
    let (rows, _) = table(proc)?;
    let now = rows.into_iter().find(|row| *row == then.row).map(|row| entry(proc, row)).transpose();
    let now = now.map_err(|error| Error::io("look at", "the processes", &error))?;
    Ok(now.is_some_and(|now| (now.value, now.waiting, now.last_pid) == (then.value, then.waiting, then.last_pid)))
}

pub(super) fn process(proc: &Path, pid: u32) -> io::Result<Option<Process>> {
    let name = unless_ended(fs::read(proc.join(pid.to_string()).join("comm")))?;
    Ok(name.map(|name| Process { pid, name: crate::text::printable(name.trim_ascii_end()) }))
}

/// The kernel's limit on semaphore sets of one namespace (SEMMNI), the fourth number of /proc/sys/kernel/sem.
pub fn limit(proc: &Path) -> Option<usize> {
    fs::read_to_string(proc.join("sys/kernel/sem")).ok()?.split_whitespace().nth(3)?.parse().ok()
}

/// The cookies that processes were started with in their environment: scripts in the middle of a transaction. What a
/// shell has exported since it started shows in its children only. Those of ordinary users do not count: no device is
/// changed by them.
///
/// # Errors
/// A process that could not be looked at: it may be the one.
pub fn exported(proc: &Path) -> Result<Vec<Key>> {
    let failed = |error: io::Error| Error::io("look at", "the processes", &error);
    let mut keys = Vec::new();
    for process in process::Process::all(proc).map_err(failed)? {
        let environment = unless_ended(fs::read(proc.join(process.pid.to_string()).join("environ")));
        let found = environment.as_ref().map_or(Vec::new(), |environment| cookies_in(environment.as_deref().unwrap_or_default()));
        if (environment.is_err() || !found.is_empty()) && !process.is_ordinary(proc).map_err(failed)? {
            environment.map_err(failed)?;
            keys.extend(found);
        }
    }
    Ok(keys)
}

/// The cookies in an environment.
fn cookies_in(environment: &[u8]) -> Vec<Key> {
    let value = |variable: &[u8]| Some(variable.strip_prefix(super::transaction::ENVIRONMENT.as_bytes())?.strip_prefix(b"=")?.to_vec());
    let cookies = environment.split(|&b| b == 0).filter_map(value);
    cookies.filter_map(|value| str::from_utf8(&value).ok()?.parse::<super::Cookie>().ok()?.key()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: u32, waiting: u32, waiter: &str) -> Entry {
        Entry {
            row: Row { key: Key::from_raw(0x0d4d_1234).unwrap(), id: 7, creator: 0, operated: 1000, changed: 990 },
            value: Some(value),
            waiting,
            waiters: (!waiter.is_empty()).then(|| Process { pid: 812, name: waiter.into() }).into_iter().collect(),
            stopped: Rc::default(),
            last_pid: None,
            last: None,
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_kernels_table_gives_the_cookies_alone() {
        let table = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n \
                     223154449          3   600          1     0     0  1000     0       1000        990\n \
                     5          4   600          1     0     0     0     0          0        990\n \
                     223150080          5   600          1     0     0     0     0          0        990\nrubbish\n";
        let (rows, sets) = parse(table);
        assert_eq!(rows, [Row { key: Key::from_raw(0x0d4d_1111).unwrap(), id: 3, creator: 1000, operated: 1000, changed: 990 }]);
        assert!(!rows[0].is_of_root(), "its owner has made root its owner");
        assert_eq!(sets, 4, "a zero base is no cookie, but a set all the same");
    }

    #[test]
    fn the_first_one_is_no_missing_notification() {
        assert_eq!(entry(3, 0, "").missing(), Some(2));
        assert_eq!(entry(2, 1, "lvcreate").missing(), Some(2), "libdevmapper has taken it");
        assert_eq!(entry(3, 1, "dmhelper").missing(), Some(2), "this program leaves it there");
        assert_eq!(entry(2, 2, "dmhelper").missing(), Some(2), "the other one was not found, and may be a tool");
        assert_eq!(Entry { value: None, ..entry(0, 0, "") }.missing(), None);
    }

    #[test]
    fn a_verdict_needs_proof() {
        let verdict = |entry: &Entry, busy, now| entry.verdict(Udevd::Running, busy, at(now));
        let waiting = entry(1, 1, "lvcreate");
        assert_eq!(verdict(&waiting, false, 1005), Verdict::Waiting, "udev may just have finished");
        assert_eq!(verdict(&waiting, true, 9000), Verdict::Waiting, "udev still works");
        assert_eq!(verdict(&waiting, false, 1010), Verdict::Stuck);
        assert_eq!(waiting.verdict(Udevd::Absent, false, at(1001)), Verdict::NoUdevd);
        assert_eq!(waiting.verdict(Udevd::Stopped, true, at(1001)), Verdict::NoUdevd);
        assert_eq!(verdict(&entry(1, 0, ""), false, 9000), Verdict::InUse, "a script between two commands looks the same");
        assert_eq!(verdict(&entry(0, 0, ""), false, 1001), Verdict::Left);
        let stopped = Entry { stopped: entry(0, 1, "lvcreate").waiters.into(), ..entry(0, 0, "") };
        assert_eq!(verdict(&stopped, false, 9000), Verdict::InUse, "the tool goes on with its wait");
        let mut foreign = entry(1, 1, "lvcreate");
        foreign.row.creator = 1000;
        assert_eq!(verdict(&foreign, false, 9000), Verdict::Foreign);
    }

    #[test]
    fn only_the_cookies_of_those_who_may_change_devices_are_kept() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, user) in [(7, 0), (8, 1000)] {
            let write = |name: &str, text: &str| fs::write(proc.path().join(format!("{pid}/{name}")), text).unwrap();
            fs::create_dir(proc.path().join(pid.to_string())).unwrap();
            write("stat", &format!("{pid} (sh) S 1 1"));
            write("status", &format!("Uid:\t{user}\t{user}\t{user}\t{user}\nCapPrm:\t0000000000000000\n"));
            write("environ", &format!("A=1\0DM_UDEV_COOKIE=0xd4d000{pid}\0"));
        }
        assert_eq!(exported(proc.path()).unwrap(), [Key::from_raw(0x0d4d_0007).unwrap()]);
        let hide = |pid: u32| {
            let path = proc.path().join(format!("{pid}/environ"));
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("environ", path).unwrap(); // ELOOP
        };
        hide(8);
        assert_eq!(exported(proc.path()).unwrap().len(), 1);
        hide(7);
        assert!(exported(proc.path()).is_err());
    }

    #[test]
    fn a_census_sees_a_cookie_of_our_own() {
        use super::super::transaction::Transaction;
        let mut transaction = Transaction::begin().unwrap();
        transaction.expect_event(Default::default()).unwrap();
        let (entries, sets) = take(Path::new("/proc")).unwrap();
        let own = entries.iter().find(|entry| Some(entry.row.key) == transaction.cookie().key()).unwrap();
        assert_eq!((own.missing(), own.waiting), (Some(1), 0));
        assert_eq!(own.last.as_ref().map(|process| process.pid), Some(std::process::id()));
        assert!(is_unchanged(Path::new("/proc"), own).unwrap());
        assert!(sets >= entries.len() && limit(Path::new("/proc")).unwrap() >= sets);
    }
}
