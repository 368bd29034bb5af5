//! Is there a resident completer? Its token tells: a link that leads somewhere exactly as long as its process lives and
//! holds the socket. udev's rules test it, and nobody has to remove it after a crash.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::uevent::queued;

/// The token's name in dmhelper's runtime directory; 95-dm-notify.rules tests it.
const TOKEN: &str = "completer";

/// What can be found out about the completer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completer {
    /// None: the rules run a process for each cookie.
    Absent,
    /// It waits for events.
    Running {
        /// Its process.
        pid: u32,
        /// Whether events wait in its socket.
        behind: bool,
    },
    /// Its process is stopped (SIGSTOP, a debugger): nobody completes what the rules leave to it.
    Stopped {
        /// Its process.
        pid: u32,
    },
}

impl Completer {
    /// Finds out, by the token in `run` (`/run/dmhelper`).
    pub fn find(run: &Path, proc: &Path) -> Self {
        let Some((pid, fd)) = fs::read_link(run.join(TOKEN)).ok().and_then(|link| holder(&link)) else { return Completer::Absent };
        let process = proc.join(pid.to_string());
        // An ordinary user does not see the descriptor, only the process.
        let holds = match fs::read_link(process.join("fd").join(fd.to_string())) {
            Ok(target) => Some(target),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
            Err(_) => return Completer::Absent,
        };
        match state(&process) {
            None | Some(b'Z' | b'X') => Completer::Absent,
            Some(b'T' | b't') => Completer::Stopped { pid },
            Some(_) => {
                let inode = holds.and_then(|target| queued::inode(&target));
                Completer::Running { pid, behind: inode.is_some_and(|inode| is_behind(inode, proc)) }
            }
        }
    }

    /// Whether it has cookies left to complete, as far as can be seen.
    pub fn is_busy(self) -> bool {
        match self {
            Completer::Absent => false,
            Completer::Running { behind, .. } => behind,
            Completer::Stopped { .. } => true,
        }
    }
}

/// The process and the descriptor that a token names.
fn holder(link: &Path) -> Option<(u32, u32)> {
    let (pid, fd) = link.to_str()?.strip_prefix("/proc/")?.split_once("/fd/")?;
    Some((pid.parse().ok()?, fd.parse().ok()?))
}

/// A process's state: "PID (COMM) STATE …".
fn state(process: &Path) -> Option<u8> {
    let stat = fs::read(process.join("stat")).ok()?;
    let (_, rest) = stat.split_at_checked(stat.iter().rposition(|&b| b == b')')?)?;
    rest.get(2).copied()
}

fn is_behind(inode: u64, proc: &Path) -> bool {
    let table = fs::read(proc.join("net/netlink")).unwrap_or_default();
    queued::rows(&table).any(|row| row.inode == inode && row.waiting)
}

/// The right to be the completer: no two processes have it at once.
#[derive(Debug)]
pub struct Right {
    run: PathBuf,
    /// The directory, locked until this process ends, whichever way.
    _lock: File,
    /// Whether the one before us went without taking its token back.
    pub crashed: bool,
}

impl Right {
    /// Takes it; makes the directory where there is none.
    ///
    /// # Errors
    /// Somebody has it; a directory that cannot be made.
    pub fn take(run: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("make", run.as_os_str().as_bytes(), &error);
        DirBuilder::new().recursive(true).mode(0o755).create(run).map_err(failed)?;
        let lock = File::open(run).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { crashed: run.join(TOKEN).is_symlink(), run: run.to_path_buf(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::os("listen", "--complete-only", Errno::EADDRINUSE).advise("a completer runs already"))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// From here on the rules leave cookies to whoever reads this socket.
    pub fn publish(&self, socket: &impl AsFd) -> Result<()> {
        let target = format!("/proc/{}/fd/{}", std::process::id(), socket.as_fd().as_raw_fd());
        self.point(Path::new(&target))
    }

    /// From here on the rules run a process again. What they left to us before is still ours.
    pub fn withdraw(&self) -> Result<()> {
        self.point(Path::new("withdrawn"))
    }

    /// Nothing is ours any more.
    pub fn give_up(self) -> Result<()> {
        let token = self.run.join(TOKEN);
        fs::remove_file(&token).map_err(|error| Error::io("remove", token.as_os_str().as_bytes(), &error))
    }

    /// By rename: there is never a token that is no link, nor that of a process before us beside ours.
    fn point(&self, target: &Path) -> Result<()> {
        let (token, new) = (self.run.join(TOKEN), self.run.join(".completer"));
        let _ = fs::remove_file(&new);
        let published = symlink(target, &new).and_then(|()| fs::rename(&new, &token));
        published.map_err(|error| Error::io("make", token.as_os_str().as_bytes(), &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uevent::socket::{QUEUE, Socket};

    #[test]
    fn a_token_stands_while_its_process_holds_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let (run, proc) = (folder.path().join("dmhelper"), Path::new("/proc"));
        let find = || Completer::find(&run, proc);
        assert_eq!(find(), Completer::Absent);
        let right = Right::take(&run).unwrap();
        assert!(!right.crashed);
        assert!(Right::take(&run).is_err(), "there is one right");
        let socket = Socket::open(false, true, QUEUE).unwrap();
        right.publish(&socket).unwrap();
        assert!(run.join(TOKEN).exists(), "what the rules test");
        assert!(matches!(find(), Completer::Running { pid, .. } if pid == std::process::id()));
        drop(socket);
        assert!(!run.join(TOKEN).exists() && find() == Completer::Absent);
        drop(right);
        let next = Right::take(&run).unwrap();
        assert!(next.crashed);
        next.publish(&Socket::open(false, true, QUEUE).unwrap()).unwrap();
        next.withdraw().unwrap();
        assert!(!run.join(TOKEN).exists() && run.join(TOKEN).is_symlink(), "a crash from here on shows");
        next.give_up().unwrap();
        assert!(!run.join(TOKEN).is_symlink());
    }

    #[test]
    fn a_link_to_anything_else_is_no_token() {
        for wrong in ["/proc/1/fd", "/proc/x/fd/3", "/proc/1/fd/3/x", "/dev/null", "proc/1/fd/3", ""] {
            assert_eq!(holder(Path::new(wrong)), None, "{wrong}");
        }
        assert_eq!(holder(Path::new("/proc/812/fd/999")), Some((812, 999)));
    }

    #[test]
    fn a_stopped_completer_is_found_by_its_state() {
        let (run, proc) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink("/proc/812/fd/999", run.path().join(TOKEN)).unwrap();
        let find = || Completer::find(run.path(), proc.path());
        assert_eq!(find(), Completer::Absent);
        fs::create_dir_all(proc.path().join("812/fd")).unwrap();
        symlink("socket:[7001]", proc.path().join("812/fd/999")).unwrap();
        let become_ = |state| fs::write(proc.path().join("812/stat"), format!("812 (dmhelper) {state} 1")).unwrap();
        become_("S");
        assert_eq!(find(), Completer::Running { pid: 812, behind: false });
        fs::create_dir(proc.path().join("net")).unwrap();
        fs::write(proc.path().join("net/netlink"), "0 15 812 00000002 768 0 0 2 0 7001\n").unwrap();
        assert_eq!(find(), Completer::Running { pid: 812, behind: true });
        become_("T");
        assert_eq!(find(), Completer::Stopped { pid: 812 });
        assert!(find().is_busy());
        become_("Z");
        assert_eq!(find(), Completer::Absent);
    }
}
