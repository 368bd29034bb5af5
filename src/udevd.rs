//! Is there a udevd that will process events?

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::error::{Error, Result};

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
    /// one network namespace only, so that where it says no, connecting decides.
    pub fn find(run: &Path, proc: &Path) -> Result<Self> {
        let path = run.join("control");
        // Another mount namespace may have a path of that name; here there must be one as well.
        let listens = path.exists() && is_listening(&path, &proc.join("net/unix")).unwrap_or(false) || accepts(&path)?;
        Ok(match listens {
            true if is_stopped(proc) => Udevd::Stopped,
            true => Udevd::Running,
            false => Udevd::Absent,
        })
    }

    /// Whether a process bears udevd's name: where none does, who listens in its place is another program.
    pub fn has_process(proc: &Path) -> bool {
        udevd_states(proc).is_ok_and(|states| !states.is_empty())
    }

    /// Whether udevd has events left to process: it keeps the file `RUN/queue` while it has.
    pub fn is_busy(run: &Path) -> bool {
        run.join("queue").exists()
    }
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

/// Whether the kernel lists a listening socket of that path (unix(7), /proc/net/unix: `__SO_ACCEPTCON` is 0x10000).
fn is_listening(path: &Path, table: &Path) -> Result<bool> {
    let text = fs::read(table).map_err(|error| Error::io("read", table.as_os_str().as_bytes(), &error))?;
    Ok(text.split(|&b| b == b'\n').any(|line| {
        let mut fields = line.split(|&b| b == b' ').filter(|field| !field.is_empty());
        fields.nth(3) == Some(b"00010000") && fields.nth(3) == Some(path.as_os_str().as_bytes())
    }))
}

/// Whether a process named as udevd is stopped and none runs.
fn is_stopped(proc: &Path) -> bool {
    let states: Vec<u8> = udevd_states(proc).unwrap_or_default();
    !states.is_empty() && states.iter().all(|state| matches!(state, b'T' | b't'))
}

/// States of udevd's main processes (its workers are their children and bear the same name).
fn udevd_states(proc: &Path) -> io::Result<Vec<u8>> {
    let mut states = Vec::new();
    for entry in fs::read_dir(proc)? {
        let Ok(stat) = fs::read(entry?.path().join("stat")) else { continue };
        // "PID (COMM) STATE PPID …"; the kernel cuts names after 15 bytes.
        let Some((head, rest)) = stat.iter().rposition(|&b| b == b')').and_then(|at| stat.split_at_checked(at)) else { continue };
        if [&b"(systemd-udevd"[..], b"(udevd", b"(eudevd"].iter().any(|name| head.ends_with(name)) {
            states.extend(rest.get(2));
        }
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_file_alone_is_no_udevd() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(Udevd::find(run.path(), Path::new("/proc")).unwrap(), Udevd::Absent);
        fs::write(run.path().join("control"), "").unwrap();
        assert_eq!(Udevd::find(run.path(), Path::new("/proc")).unwrap(), Udevd::Absent);
        assert!(!Udevd::is_busy(run.path()));
        fs::write(run.path().join("queue"), "").unwrap();
        assert!(Udevd::is_busy(run.path()));
    }

    #[test]
    fn the_kernels_list_tells_listeners_from_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(is_listening(&path, Path::new("/proc/net/unix")).unwrap());
        assert!(!is_listening(&directory.path().join("contro"), Path::new("/proc/net/unix")).unwrap());
        drop(listener);
        assert!(!is_listening(&path, Path::new("/proc/net/unix")).unwrap());
    }

    #[test]
    fn a_stopped_udevd_is_found_by_its_state() {
        let proc = tempfile::tempdir().unwrap();
        let process = |pid: &str, stat: &str| {
            fs::create_dir(proc.path().join(pid)).unwrap();
            fs::write(proc.path().join(pid).join("stat"), stat).unwrap();
        };
        process("7", "7 (bash) S 1");
        assert!(!is_stopped(proc.path()));
        process("8", "8 (systemd-udevd) T 1");
        assert!(is_stopped(proc.path()));
        process("9", "9 (systemd-udevd) S 8");
        assert!(!is_stopped(proc.path()));
    }
}
