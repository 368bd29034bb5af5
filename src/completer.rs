//! Is there a resident completer? Its token tells: a link that leads somewhere exactly as long as its process lives, and that no
//! other process can make lead anywhere. udev's rules test it, and nobody has to remove it after a crash.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::process::Process;
use crate::uevent::queued;

/// The token's name in dmhelper's runtime directory; 95-dm-notify.rules tests it.
pub(crate) const TOKEN: &str = "completer";
/// The directory beside it that only root may look into: in it the token goes on, by a link that has the process's number.
pub(crate) const PRIVATE: &str = "completer.d";

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
    /// It has died, and none has come after it: the rules run a process for each cookie.
    Dead {
        /// Its process.
        pid: u32,
        /// Whether another process has that number now.
        stranger: bool,
    },
}

impl Completer {
    /// Finds out, by the token in `run` (`/run/dmhelper`). In doubt it lives, and has events left: what it is to complete is
    /// nobody else's to release.
    pub fn find(run: &Path, proc: &Path) -> Self {
        let Some((target, pid)) = fs::read_link(run.join(TOKEN)).ok().and_then(holder) else { return Completer::Absent };
        let process = match Process::read(proc, pid) {
            Ok(Some(process)) if !process.has_ended() => process,
            Ok(_) => return Completer::Dead { pid, stranger: false },
            Err(_) => return Completer::Running { pid, behind: true },
        };
        match leads_on(&run.join(target), proc) {
            Ok(true) => {}
            Ok(false) => return Completer::Dead { pid, stranger: true },
            // An ordinary user sees the process only.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && process.is_roots(proc).is_ok_and(|roots| !roots) => {
                return Completer::Dead { pid, stranger: true };
            }
            Err(_) => {}
        }
        match process.is_stopped() {
            true => Completer::Stopped { pid },
            false => Completer::Running { pid, behind: is_behind(&process, proc) },
        }
    }

    /// Whether it has cookies left to complete, as far as can be seen.
    pub fn is_busy(self) -> bool {
        match self {
            Completer::Absent | Completer::Dead { .. } => false,
            Completer::Running { behind, .. } => behind,
            Completer::Stopped { .. } => true,
        }
    }
}

/// Where a token leads at first, and the process that it names.
fn holder(link: PathBuf) -> Option<(PathBuf, u32)> {
    let pid = link.strip_prefix(PRIVATE).ok()?.to_str()?.parse().ok()?;
    Some((link, pid))
}

/// Whether the rest of the way leads anywhere: only through the process that made it.
fn leads_on(link: &Path, proc: &Path) -> io::Result<bool> {
    let found = fs::read_link(link).and_then(|target| fs::metadata(proc.join(target.strip_prefix("/proc").unwrap_or(&target))));
    match found {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether events wait in one of its sockets. Who may not see them takes it that there are none.
fn is_behind(process: &Process, proc: &Path) -> bool {
    let table = || fs::read(proc.join(format!("{}/net/netlink", process.pid)));
    match process.sockets(proc).and_then(|sockets| Ok((sockets, table()?))) {
        Ok((sockets, table)) => queued::rows(&table).any(|row| row.waiting && sockets.contains(&row.inode)),
        Err(error) => !matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_to_anything_else_is_no_token() {
        for wrong in ["completer.d", "completer.d/x", "completer.d/812/x", "/run/completer.d/812", "withdrawn", "/proc/812/fd/3", ""] {
            assert_eq!(holder(wrong.into()), None, "{wrong}");
        }
        assert_eq!(holder("completer.d/812".into()), Some(("completer.d/812".into(), 812)));
    }

    #[test]
    fn a_completer_is_known_by_its_directory_and_a_stopped_one_by_its_state() {
        let (run, proc) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let process = proc.path().join("812");
        symlink("completer.d/812", run.path().join(TOKEN)).unwrap();
        fs::create_dir(run.path().join(PRIVATE)).unwrap();
        symlink("/proc/812/fd/5/secret", run.path().join(PRIVATE).join("812")).unwrap();
        let find = || Completer::find(run.path(), proc.path());
        assert_eq!(find(), Completer::Dead { pid: 812, stranger: false });
        fs::create_dir_all(process.join("fd")).unwrap();
        let become_ = |state| fs::write(process.join("stat"), format!("812 (dmhelper) {state} 1")).unwrap();
        become_("S");
        assert_eq!(find(), Completer::Dead { pid: 812, stranger: true }, "another process that has got the number");
        symlink("/dev/null", process.join("fd/5")).unwrap();
        assert_eq!(find(), Completer::Dead { pid: 812, stranger: true }, "and the descriptor");
        fs::remove_file(process.join("fd/5")).unwrap();
        symlink(run.path().join(PRIVATE), process.join("fd/5")).unwrap();
        assert_eq!(find(), Completer::Dead { pid: 812, stranger: true }, "and any directory");
        fs::write(run.path().join(PRIVATE).join("secret"), "").unwrap();
        symlink("socket:[7001]", process.join("fd/7")).unwrap();
        assert_eq!(find(), Completer::Running { pid: 812, behind: false });
        fs::create_dir(process.join("net")).unwrap();
        fs::write(process.join("net/netlink"), "0 15 812 00000002 768 0 0 2 0 7001\n").unwrap();
        assert_eq!(find(), Completer::Running { pid: 812, behind: true });
        fs::remove_file(process.join("net/netlink")).unwrap();
        symlink("netlink", process.join("net/netlink")).unwrap();
        assert_eq!(find(), Completer::Running { pid: 812, behind: true }, "what cannot be told may be so");
        become_("T");
        assert_eq!(find(), Completer::Stopped { pid: 812 });
        assert!(find().is_busy());
        become_("Z");
        assert_eq!(find(), Completer::Dead { pid: 812, stranger: false });
    }
}
