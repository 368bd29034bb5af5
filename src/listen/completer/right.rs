//! The right to be the completer, and the token that says who is.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::completer::TOKEN;
use crate::error::{Error, Result};

/// Who has locked it is the completer. Only root can open it: a lock needs no more than that.
const LOCK: &str = "completer.lock";

/// The right to be the completer: no two processes have it at once.
#[derive(Debug)]
pub struct Right {
    run: PathBuf,
    /// Locked until this process ends, whichever way.
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
        let failed = |error: io::Error| Error::io("make", run.as_os_str().as_bytes(), &error);
        DirBuilder::new().recursive(true).mode(0o755).create(run).map_err(failed)?;
        let path = run.join(LOCK);
        match lock(&path) {
            Ok(Some(lock)) => Ok(Self { crashed: run.join(TOKEN).is_symlink(), run: run.to_path_buf(), _lock: lock }),
            Ok(None) => Err(Error::os("listen", "--complete-only", Errno::EADDRINUSE).advise("a completer runs already")),
            Err(error) => Err(Error::io("lock", path.as_os_str().as_bytes(), &error)),
        }
    }

    /// From here on the rules leave cookies to whoever reads this socket.
    pub fn publish(&self, socket: &impl AsFd) -> Result<()> {
        let target = format!("/proc/{}/fd/{}", std::process::id(), socket.as_fd().as_raw_fd());
        self.point(Path::new(&target))
    }

    /// From here on the rules run a process again. What they left to us before is still ours. If this process ends
    /// before it gives the right up, the next one sees a crash.
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

/// The file, locked; `None` where another process has it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completer::Completer;
    use crate::uevent::socket::{QUEUE, Socket};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_stands_while_its_process_holds_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let (run, proc) = (folder.path().join("dmhelper"), Path::new("/proc"));
        let find = || Completer::find(&run, proc);
        assert_eq!(find(), Completer::Absent);
        let right = Right::take(&run).unwrap();
        assert!(!right.crashed);
        assert!(Right::take(&run).is_err(), "there is one right");
        // A number that no other test of this process gets in between.
        let socket = Socket::open(false, true, QUEUE).unwrap().raised(900).unwrap();
        right.publish(&socket).unwrap();
        assert!(run.join(TOKEN).exists(), "what the rules test");
        assert!(matches!(find(), Completer::Running { pid, .. } if pid == std::process::id()));
        drop(socket);
        assert!(!run.join(TOKEN).exists() && find() == Completer::Absent);
        // A child of another test has a copy of it until its program runs.
        right._lock.unlock().unwrap();
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
    fn only_who_may_open_the_lock_can_take_the_right() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        // Any user can open the directory, and lock it.
        let directory = File::open(run).unwrap();
        directory.try_lock().unwrap();
        let _right = Right::take(run).unwrap();
        assert_eq!(fs::metadata(run.join(LOCK)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
