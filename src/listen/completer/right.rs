//! The right to be the completer, and the token that says who is.
//!
//! A process's number becomes another's, and any user can give a process of his the number of one that died, and the
//! descriptor. So the token leads, through a descriptor of the completer's directory, to a file in it whose name nobody but
//! root can know: `completer -> completer.d/PID -> /proc/PID/fd/N/NAME`.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::completer::{PRIVATE, TOKEN};
use crate::error::{Error, Result};

/// Who has locked it is the completer. Only root can open it: a lock needs no more than that.
const LOCK: &str = "completer.lock";

/// The right to be the completer: no two processes have it at once.
#[derive(Debug)]
pub struct Right {
    run: PathBuf,
    /// What only root may look into; the token leads through this descriptor.
    private: File,
    /// Locked until this process ends, whichever way.
    _lock: File,
    /// Whether the one before us went without taking its token back.
    pub crashed: bool,
}

impl Right {
    /// Takes it; makes the directories where there are none.
    ///
    /// # Errors
    /// Somebody has it; a directory that cannot be made.
    pub fn take(run: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io("make", run.as_os_str().as_bytes(), &error);
        DirBuilder::new().recursive(true).mode(0o755).create(run).map_err(failed)?;
        let path = run.join(LOCK);
        match lock(&path) {
            Ok(Some(lock)) => {
                let private = private(&run.join(PRIVATE)).map_err(failed)?;
                Ok(Self { crashed: run.join(TOKEN).is_symlink(), run: run.to_path_buf(), private, _lock: lock })
            }
            Ok(None) => Err(Error::os("listen", "--complete-only", Errno::EADDRINUSE).advise("a completer runs already")),
            Err(error) => Err(Error::io("lock", path.as_os_str().as_bytes(), &error)),
        }
    }

    /// From here on the rules leave cookies to this process.
    pub fn publish(&self) -> Result<()> {
        let directory = self.run.join(PRIVATE);
        let failed = |error: io::Error| Error::io("make", directory.as_os_str().as_bytes(), &error);
        let (pid, secret) = (std::process::id().to_string(), secret().map_err(failed)?);
        File::create_new(directory.join(&secret)).map_err(failed)?;
        let target = format!("/proc/{pid}/fd/{}/{secret}", self.private.as_raw_fd());
        symlink(target, directory.join(&pid)).map_err(failed)?;
        self.point(&Path::new(PRIVATE).join(pid))
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

/// The directory, for root alone, and emptied: what is in it is of those before us, whose tokens lead nowhere from then on.
fn private(path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let directory = File::open(path)?;
    directory.set_permissions(Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(directory)
}

/// A name that nobody can guess.
fn secret() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
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

    #[test]
    fn a_token_stands_while_its_process_lives_and_no_other_has_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let (run, proc) = (folder.path().join("dmhelper"), Path::new("/proc"));
        let find = || Completer::find(&run, proc);
        assert_eq!(find(), Completer::Absent);
        let right = Right::take(&run).unwrap();
        assert!(!right.crashed);
        assert!(Right::take(&run).is_err(), "there is one right");
        right.publish().unwrap();
        assert!(run.join(TOKEN).exists(), "what the rules test");
        let own = std::process::id();
        assert!(matches!(find(), Completer::Running { pid, .. } if pid == own));
        // Its process is dead: this one is another that has got its number and the descriptor.
        let descriptor = right.private.as_raw_fd();
        let secrets = || fs::read_dir(run.join(PRIVATE)).unwrap().count();
        assert_eq!(secrets(), 2);
        // A child of another test has a copy of the lock until its program runs.
        right._lock.unlock().unwrap();
        let mut stranger = right;
        stranger.private = File::open(folder.path()).unwrap();
        assert_ne!(stranger.private.as_raw_fd(), descriptor);
        assert!(!run.join(TOKEN).exists());
        assert_eq!(find(), Completer::Dead { pid: own, stranger: true });
        drop(stranger);
        let next = Right::take(&run).unwrap();
        assert!(next.crashed);
        assert_eq!(secrets(), 0, "what the one before has left");
        next.publish().unwrap();
        next.withdraw().unwrap();
        assert!(!run.join(TOKEN).exists() && run.join(TOKEN).is_symlink(), "a crash from here on shows");
        assert_eq!(find(), Completer::Absent);
        next.give_up().unwrap();
        assert!(!run.join(TOKEN).is_symlink());
    }

    #[test]
    fn only_root_may_take_the_right_and_see_what_the_token_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        // Any user can open the directory, and lock it.
        let directory = File::open(run).unwrap();
        directory.try_lock().unwrap();
        fs::create_dir(run.join(PRIVATE)).unwrap();
        let _right = Right::take(run).unwrap();
        let mode = |name: &str| fs::metadata(run.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(LOCK), mode(PRIVATE)), (0o600, 0o700));
        assert_ne!(secret().unwrap(), secret().unwrap());
    }
}
