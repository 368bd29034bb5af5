//! Is there a udevd that will process events?

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::error::{Error, Result};
use crate::process::Process;

/// What can be found out about udevd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Udevd {
    /// It listens on its control socket.
    Running,
    /// It listens, but its process is stopped (SIGSTOP, a debugger).
    Stopped,
    /// Nobody listens: events will not be processed.
    Absent,
}

impl Udevd {
    /// Finds out whether somebody listens on `RUN/control` (`/run/udev/control`): the file alone proves nothing, it
    /// stays behind when udevd is killed. The kernel's list of sockets is asked first, which disturbs nobody; it shows
    /// one network namespace only, and by their paths alone, so that where it says no, or where a udevd elsewhere may
    /// have the same path, connecting decides.
    pub fn find(run: &Path, proc: &Path) -> Result<Self> {
        Look::take(run, proc).udevd
    }
}

/// What one look at all processes tells of udevd.
#[derive(Debug)]
pub struct Look {
    /// As [`Udevd::find`] has it.
    pub udevd: Result<Udevd>,
    /// Whether it has events left to process: it keeps the file `RUN/queue` while it has, and a worker that has outlived
    /// its udevd has one.
    pub busy: bool,
    /// The main processes of the udevd whose directory this is, and workers that have outlived theirs: they go on with what
    /// they have in hand. One in a container has another directory, and is none of our business.
    pub processes: Vec<Process>,
}

impl Look {
    /// Reads of every process: of thousands where there are thousands of devices, for many a device has a kernel thread.
    pub fn take(run: &Path, proc: &Path) -> Self {
        if !run.exists() {
            return Self { udevd: Ok(Udevd::Absent), busy: false, processes: Vec::new() };
        }
        let (elsewhere, processes): (Vec<_>, _) = main_processes(proc).into_iter().partition(|udevd| udevd.sees_other(proc, run));
        let udevd = state(&processes, elsewhere.is_empty(), &run.join("control"), proc);
        Self { udevd, busy: has_queue(run) || processes.len() > 1, processes }
    }
}

fn state(processes: &[Process], alone: bool, path: &Path, proc: &Path) -> Result<Udevd> {
    // Another mount namespace may have a path of that name; here there must be one as well.
    let exists = path.symlink_metadata().is_ok();
    let listed = alone && exists && is_listening(path, &proc.join("net/unix")).unwrap_or(false);
    Ok(match listed || exists && accepts(path)? {
        true if !processes.is_empty() && processes.iter().all(Process::is_stopped) => Udevd::Stopped,
        true => Udevd::Running,
        false => Udevd::Absent,
    })
}

/// Whether there is the file that udevd keeps while it has events left.
pub(crate) fn has_queue(run: &Path) -> bool {
    run.join("queue").exists()
}

/// Whether a connection to the socket is accepted.
fn accepts(path: &Path) -> Result<bool> {
    let failed = |errno: Errno| Error::os("connect", path.as_os_str().as_bytes(), errno);
    let socket =
        socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None).map_err(failed)?;
    let address = UnixAddr::new(path).map_err(failed)?;
    match connect(socket.as_raw_fd(), &address) {
        Ok(()) | Err(Errno::EAGAIN) => Ok(true), // EAGAIN: so busy that its queue of connections is full.
        // Not ours to connect to, and nobody of our network namespace listens: as good as absent.
        Err(Errno::ENOENT | Errno::ECONNREFUSED | Errno::ENOTSOCK | Errno::EPROTOTYPE | Errno::EACCES | Errno::EPERM) => Ok(false),
        Err(errno) => Err(failed(errno)),
    }
}

/// Whether the kernel lists a listening socket of that path (unix(7), /proc/net/unix: `__SO_ACCEPTCON` is 0x10000). It lists
/// the path that was bound: `listen`, which claims udevd's, has bound that with its own number behind a dot, and linked it.
fn is_listening(path: &Path, table: &Path) -> Result<bool> {
    let text = fs::read(table).map_err(|error| Error::io("read", table.as_os_str().as_bytes(), &error))?;
    Ok(text.split(|&b| b == b'\n').any(|line| {
        let mut fields = line.split(|&b| b == b' ').filter(|field| !field.is_empty());
        let number = |rest: &[u8]| rest.strip_prefix(b".").is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
        let is_path = |bound: &[u8]| bound.strip_prefix(path.as_os_str().as_bytes()).is_some_and(|rest| rest.is_empty() || number(rest));
        fields.nth(3) == Some(b"00010000") && fields.nth(3).is_some_and(is_path)
    }))
}

/// What its processes are named: the main one and, in systemd 251 and later, its workers.
const NAMES: [&[u8]; 4] = [b"systemd-udevd", b"udevd", b"eudevd", b"(udev-worker)"];

/// Root's processes named as udevd's whose parent is not: workers are children of the main one.
fn main_processes(proc: &Path) -> Vec<Process> {
    let all: Vec<_> = Process::all(proc).filter(|process| NAMES.contains(&process.name.as_slice()) && process.is_roots(proc)).collect();
    all.iter().filter(|process| all.iter().all(|other| other.pid != process.parent)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, Shutdown, bind, listen, shutdown};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    #[test]
    fn a_file_alone_is_no_udevd() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(Udevd::find(run.path(), Path::new("/proc")).unwrap(), Udevd::Absent);
        fs::write(run.path().join("control"), "").unwrap();
        assert_eq!(Udevd::find(run.path(), Path::new("/proc")).unwrap(), Udevd::Absent);
        assert!(!Look::take(run.path(), Path::new("/none")).busy);
        fs::write(run.path().join("queue"), "").unwrap();
        assert!(Look::take(run.path(), Path::new("/none")).busy);
    }

    #[test]
    fn the_kernels_list_tells_listeners_from_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control");
        let _listener = UnixListener::bind(&path).unwrap();
        assert!(is_listening(&path, Path::new("/proc/net/unix")).unwrap());
        assert!(!is_listening(&directory.path().join("contro"), Path::new("/proc/net/unix")).unwrap());
        let claim = directory.path().join("claim");
        let _claim = UnixListener::bind(claim.with_extension("812")).unwrap();
        assert!(is_listening(&claim, Path::new("/proc/net/unix")).unwrap());
        assert!(!is_listening(&claim.with_extension("81"), Path::new("/proc/net/unix")).unwrap());
        // One that has a path and does not listen is on the list as well.
        let speaker = directory.path().join("speaker");
        let _speaker = UnixDatagram::bind(&speaker).unwrap();
        assert!(fs::read("/proc/net/unix").unwrap().windows(speaker.as_os_str().len()).any(|part| part == speaker.as_os_str().as_bytes()));
        assert!(!is_listening(&speaker, Path::new("/proc/net/unix")).unwrap());
    }

    #[test]
    fn a_udevd_counts_by_its_main_process_and_its_directory() {
        let folder = tempfile::tempdir().unwrap();
        let (proc, run, container) = (folder.path().join("proc"), folder.path().join("run"), folder.path().join("container"));
        [&run, &container].iter().for_each(|path| fs::create_dir(path).unwrap());
        let listener = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&run.join("control")).unwrap()).unwrap();
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        fs::create_dir_all(proc.join("net")).unwrap();
        fs::write(proc.join("net/unix"), format!("0: 2 0 00010000 1 1 7 {}\n", run.join("control").display())).unwrap();
        let process = |pid: u32, stat: &str, root: &Path| {
            fs::create_dir_all(proc.join(pid.to_string())).unwrap();
            fs::write(proc.join(format!("{pid}/stat")), stat).unwrap();
            fs::write(proc.join(format!("{pid}/status")), "Uid:\t0\t0\t0\t0\n").unwrap();
            let _ = symlink(root, proc.join(format!("{pid}/root")));
        };
        let found = || Udevd::find(&run, &proc).unwrap();
        process(7, "7 (bash) S 1", Path::new("/"));
        assert_eq!((found(), Look::take(&run, &proc).processes.len()), (Udevd::Running, 0), "a stand-in");
        process(8, "8 (systemd-udevd) T 1", Path::new("/"));
        process(9, "9 ((udev-worker)) S 8", Path::new("/"));
        assert_eq!((found(), Look::take(&run, &proc).processes.len()), (Udevd::Stopped, 1), "a worker that sleeps on changes nothing");
        process(8, "8 (systemd-udevd) S 1", Path::new("/"));
        assert_eq!(found(), Udevd::Running);
        process(8, "8 (systemd-udevd) T 1", Path::new("/"));
        process(21, "21 (systemd-udevd) S 1", Path::new("/"));
        fs::write(proc.join("21/status"), "Uid:\t1000\t1000\t1000\t1000\n").unwrap();
        assert_eq!((found(), Look::take(&run, &proc).processes.len()), (Udevd::Stopped, 1), "a user's process with its name");
        process(20, "20 (systemd-udevd) S 19", &container);
        assert_eq!((found(), Look::take(&run, &proc).processes.len()), (Udevd::Stopped, 1), "the container's runs, ours does not");
        assert!(!Look::take(&run, &proc).busy);
        process(9, "9 ((udev-worker)) S 1", Path::new("/"));
        assert!(Look::take(&run, &proc).busy, "its udevd was killed, and it goes on");
        // Dropping is not enough: a child of another test has a copy until its program runs.
        shutdown(listener.as_raw_fd(), Shutdown::Both).unwrap();
        assert_eq!(found(), Udevd::Absent, "the list's line is the container's");
    }
}
