//! Is there a resident completer? Its token tells: a link that leads somewhere exactly as long as its process lives and
//! holds the socket. udev's rules test it, and nobody has to remove it after a crash.

use std::fs;
use std::path::Path;

use crate::process::Process;
use crate::uevent::queued;

/// The token's name in dmhelper's runtime directory; 95-dm-notify.rules tests it.
pub(crate) const TOKEN: &str = "completer";

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
        let descriptor = proc.join(format!("{pid}/fd/{fd}"));
        // An ordinary user does not see the descriptor, only the process. Anything but a socket is another process's that
        // has got the number.
        let holds = match fs::read_link(descriptor).map(|target| queued::inode(&target)) {
            Ok(Some(inode)) => Some(inode),
            Ok(None) => return Completer::Absent,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
            Err(_) => return Completer::Absent,
        };
        match Process::read(proc, pid).filter(|process| !process.has_ended()) {
            None => Completer::Absent,
            Some(process) if process.is_stopped() => Completer::Stopped { pid },
            Some(_) => Completer::Running { pid, behind: holds.is_some_and(|inode| is_behind(inode, proc)) },
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

fn is_behind(inode: u64, proc: &Path) -> bool {
    let table = fs::read(proc.join("net/netlink")).unwrap_or_default();
    queued::rows(&table).any(|row| row.inode == inode && row.waiting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

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
        become_("S");
        fs::remove_file(proc.path().join("812/fd/999")).unwrap();
        symlink("/dev/null", proc.path().join("812/fd/999")).unwrap();
        assert_eq!(find(), Completer::Absent, "another process that has got the number");
    }
}
