//! A process, as procfs shows it to everybody.
//!
//! One that ends while it is looked at is none. Whatever else fails is an error: that a process could not be looked at must
//! never be taken for its not being there.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::uevent::queued;

/// A process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name; the kernel cuts names after 15 bytes.
    pub name: Vec<u8>,
    /// Its parent's number.
    pub parent: u32,
    state: u8,
}

impl Process {
    /// The process of that number; `None` where there is none.
    pub fn read(proc: &Path, pid: u32) -> io::Result<Option<Self>> {
        let stat = unless_ended(fs::read(proc.join(format!("{pid}/stat"))))?;
        Ok(stat.and_then(|stat| Self::parse(pid, &stat)))
    }

    /// All that are there.
    pub fn all(proc: &Path) -> io::Result<Vec<Self>> {
        let mut processes = Vec::new();
        for pid in Self::numbers(proc)? {
            processes.extend(Self::read(proc, pid)?);
        }
        Ok(processes)
    }

    /// The numbers of all that are there.
    pub fn numbers(proc: &Path) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(proc)? {
            numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        Ok(numbers)
    }

    /// "PID (NAME) STATE PARENT …" of /proc/PID/stat. A name may hold anything, brackets as well.
    fn parse(pid: u32, stat: &[u8]) -> Option<Self> {
        let (start, end) = (stat.iter().position(|&b| b == b'(')? + 1, stat.iter().rposition(|&b| b == b')')?);
        let mut fields = str::from_utf8(stat.get(end + 2..)?).ok()?.split(' ');
        let state = *fields.next()?.as_bytes().first()?;
        Some(Self { pid, name: stat.get(start..end)?.to_vec(), parent: fields.next()?.parse().ok()?, state })
    }

    /// Whether it is stopped: SIGSTOP, a debugger.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Whether it waits for something to happen.
    pub fn is_asleep(&self) -> bool {
        self.state == b'S'
    }

    /// Whether only its exit status is left of it.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Whether it has another directory at that path than we have, or none: in a container. Who has no right to look takes
    /// a process of a PID namespace below ours for that.
    pub fn sees_other(&self, proc: &Path, path: &Path) -> bool {
        let root = proc.join(self.pid.to_string()).join("root");
        let identity = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        match (identity(path), identity(&root.join(path.strip_prefix("/").unwrap_or(path)))) {
            (Ok(own), Ok(other)) => own != other,
            (Ok(_), Err(error)) if error.kind() == ErrorKind::NotFound => root.exists(),
            (Ok(_), Err(_)) => self.is_below(proc),
            (Err(error), Ok(_)) => error.kind() == ErrorKind::NotFound,
            (Err(_), Err(_)) => false,
        }
    }

    /// Whether it cannot complete cookies of ours: it has another IPC namespace. Who has no right to look takes a process of a PID
    /// namespace below ours for that.
    pub fn has_other_cookies(&self, proc: &Path) -> bool {
        let namespace = |process: &str| fs::read_link(proc.join(process).join("ns/ipc"));
        match (namespace("self"), namespace(&self.pid.to_string())) {
            (Ok(own), Ok(other)) => own != other,
            _ => self.is_below(proc),
        }
    }

    /// Whether root has started it: anybody's may have any name. The real user tells (the first of `Uid:`, the second is the
    /// effective one), as long as it runs no set-uid program, which may set that itself: sudo does while it asks for a password.
    pub fn is_roots(&self, proc: &Path) -> io::Result<bool> {
        if !self.status(proc, "Uid:")?.get(..2).is_some_and(|users| users.iter().all(|user| user == "0")) {
            return Ok(false);
        }
        let program = unless_hidden(fs::metadata(proc.join(format!("{}/exe", self.pid))))?;
        Ok(program.is_none_or(|program| program.mode() & 0o4000 == 0))
    }

    /// The numbers of its sockets.
    pub fn sockets(&self, proc: &Path) -> io::Result<Vec<u64>> {
        let mut sockets = Vec::new();
        for entry in fs::read_dir(proc.join(format!("{}/fd", self.pid)))? {
            // One that has been closed meanwhile is none.
            let target = unless_ended(entry.and_then(|entry| fs::read_link(entry.path())))?;
            sockets.extend(target.and_then(|target| queued::inode(&target)));
        }
        Ok(sockets)
    }

    /// Whether it can do nothing as root: not one of its users is (real, effective, saved, of the file system), nor has it
    /// CAP_SYS_ADMIN, which device-mapper wants. What it has in a user namespace of its own is nothing here.
    pub fn is_ordinary(&self, proc: &Path) -> io::Result<bool> {
        const SYS_ADMIN: u32 = 21; // linux/capability.h
        let users = self.status(proc, "Uid:")?;
        if users.len() != 4 || users.iter().any(|user| user == "0") {
            return Ok(false);
        }
        // What is effective is permitted as well.
        let permitted = self.status(proc, "CapPrm:")?;
        let Some(permitted) = permitted.first().and_then(|set| u64::from_str_radix(set, 16).ok()) else { return Ok(false) };
        if permitted & 1 << SYS_ADMIN == 0 {
            return Ok(true);
        }
        let namespace = |process: &str| fs::read_link(proc.join(process).join("ns/user"));
        match (namespace("self"), namespace(&self.pid.to_string())) {
            (Ok(own), Ok(other)) => Ok(own != other),
            (Err(error), _) | (_, Err(error)) if error.kind() != ErrorKind::PermissionDenied => Err(error),
            _ => Ok(false),
        }
    }

    /// Whether it has blocked this signal.
    pub fn blocks(&self, proc: &Path, signal: i32) -> bool {
        let blocked = self.status(proc, "SigBlk:").unwrap_or_default();
        let blocked = blocked.first().and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or_default();
        signal > 0 && blocked >> (signal - 1) & 1 == 1
    }

    /// Whether it has more numbers than the one that we see: one for each PID namespace.
    fn is_below(&self, proc: &Path) -> bool {
        self.status(proc, "NSpid:").is_ok_and(|numbers| numbers.len() > 1)
    }

    /// The words of a line of /proc/PID/status.
    fn status(&self, proc: &Path, line: &str) -> io::Result<Vec<String>> {
        let status = unless_ended(fs::read(proc.join(format!("{}/status", self.pid))))?.unwrap_or_default();
        let status = String::from_utf8_lossy(&status); // its name may hold anything
        let words = status.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_default();
        Ok(words.split_whitespace().map(str::to_owned).collect())
    }
}

/// What a file of a process tells; `None` when the process has ended meanwhile, or the kernel has no such file.
pub fn unless_ended<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same where everybody may look at his own processes only: `None` for others as well.
pub fn unless_hidden<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        other => unless_ended(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_name_that_plays_a_state_is_a_name() {
        let process = Process::parse(7, b"7 (a) R (b) T 1 7").unwrap();
        assert_eq!((process.name.as_slice(), process.parent), (&b"a) R (b"[..], 1));
        assert!(process.is_stopped() && !process.is_asleep() && !process.has_ended());
        for cut in ["", "7", "7 (a", "7 (a)", "7 (a) S", "7 (a) S x"] {
            assert_eq!(Process::parse(7, cut.as_bytes()), None, "{cut}");
        }
    }

    #[test]
    fn another_directory_of_the_same_path_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (proc, root, path) = (folder.path().join("proc"), folder.path().join("root"), folder.path().join("run"));
        [proc.join("8"), root.clone(), path.clone()].iter().for_each(|path| fs::create_dir_all(path).unwrap());
        let process = Process::parse(8, b"8 (x) S 1").unwrap();
        let other = || process.sees_other(&proc, &path);
        assert!(!other(), "nobody tells");
        symlink(&root, proc.join("8/root")).unwrap();
        assert!(other(), "it has none");
        let inside = root.join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(&inside).unwrap();
        assert!(other(), "it has another");
        fs::remove_dir(&path).unwrap();
        assert!(other(), "it alone has one");
        fs::remove_dir(&inside).unwrap();
        assert!(!other(), "nobody has one");
        fs::create_dir(&path).unwrap();
        symlink(&path, &inside).unwrap();
        assert!(!other());
    }

    #[test]
    fn sockets_are_told_from_other_descriptors() {
        let proc = tempfile::tempdir().unwrap();
        let process = Process::parse(8, b"8 (x) S 1").unwrap();
        assert!(process.sockets(proc.path()).is_err());
        fs::create_dir_all(proc.path().join("8/fd")).unwrap();
        for (number, target) in ["socket:[7001]", "pipe:[7002]", "/dev/null"].iter().enumerate() {
            symlink(target, proc.path().join(format!("8/fd/{number}"))).unwrap();
        }
        assert_eq!(process.sockets(proc.path()).unwrap(), [7001]);
    }

    #[test]
    fn a_blocked_signal_is_a_bit_of_the_mask() {
        let proc = tempfile::tempdir().unwrap();
        let process = Process::parse(8, b"8 (x) S 1").unwrap();
        fs::create_dir(proc.path().join("8")).unwrap();
        fs::write(proc.path().join("8/status"), "SigPnd:\t0000000000000200\nSigBlk:\t0008000000004203\n").unwrap();
        let blocked: Vec<_> = (0..65).filter(|&signal| process.blocks(proc.path(), signal)).collect();
        assert_eq!(blocked, [1, 2, 10, 15, 52]);
    }

    #[test]
    fn a_process_of_a_pid_namespace_below_has_several_numbers() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("8")).unwrap();
        let process = Process::parse(8, b"8 (x) S 1").unwrap();
        for (status, below) in [("Name:\tx\nNSpid:\t8\n", false), ("NSpid:\t8\t1\n", true), ("", false)] {
            fs::write(proc.path().join("8/status"), status).unwrap();
            assert_eq!(process.is_below(proc.path()), below, "{status}");
        }
    }

    #[test]
    fn roots_process_is_told_by_its_users_and_by_its_program() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("8")).unwrap();
        let process = Process::parse(8, b"8 (x) S 1").unwrap();
        for (status, roots) in
            [("Uid:\t0\t0\t0\t0\n", true), ("Uid:\t1000\t0\t0\t0\n", false), ("Uid:\t0\t1000\t0\t0\n", false), ("", false)]
        {
            fs::write(proc.path().join("8/status"), status).unwrap();
            assert_eq!(process.is_roots(proc.path()).unwrap(), roots, "{status}");
        }
        fs::write(proc.path().join("8/status"), "Uid:\t0\t0\t0\t0\n").unwrap();
        fs::write(proc.path().join("8/exe"), "").unwrap();
        assert!(process.is_roots(proc.path()).unwrap());
        fs::set_permissions(proc.path().join("8/exe"), fs::Permissions::from_mode(0o4755)).unwrap();
        assert!(!process.is_roots(proc.path()).unwrap(), "sudo that asks for a password has root's number everywhere");
    }

    #[test]
    fn an_ordinary_process_has_nothing_of_roots() {
        let proc = tempfile::tempdir().unwrap();
        let process = Process::parse(8, b"8 (x) S 1").unwrap();
        for name in ["self", "8"] {
            fs::create_dir_all(proc.path().join(name).join("ns")).unwrap();
            symlink("user:[1]", proc.path().join(name).join("ns/user")).unwrap();
        }
        let is_ordinary = |users: &str, permitted: &str| {
            fs::write(proc.path().join("8/status"), format!("Name:\tx\nUid:\t{users}\nCapPrm:\t{permitted}\n")).unwrap();
            process.is_ordinary(proc.path()).unwrap()
        };
        let (none, all, admin) = ("0000000000000000", "000001ffffffffff", "0000000000200000");
        assert!(is_ordinary("7\t7\t7\t7", none));
        for users in ["0\t7\t7\t7", "7\t0\t7\t7", "7\t7\t0\t7", "7\t7\t7\t0", "", "7"] {
            assert!(!is_ordinary(users, none), "{users}");
        }
        for permitted in [all, admin, "", "x"] {
            assert!(!is_ordinary("7\t7\t7\t7", permitted), "{permitted}");
        }
        assert!(is_ordinary("7\t7\t7\t7", "000001ffffdfffff"), "all but that");
        fs::remove_file(proc.path().join("8/ns/user")).unwrap();
        symlink("user:[2]", proc.path().join("8/ns/user")).unwrap();
        assert!(is_ordinary("7\t7\t7\t7", all), "root in a user namespace of its own");
        assert!(!is_ordinary("0\t0\t0\t0", all), "root all the same");
    }

    #[test]
    fn what_cannot_be_looked_at_is_an_error_and_what_has_ended_is_none() {
        let proc = tempfile::tempdir().unwrap();
        assert_eq!(Process::read(proc.path(), 8).unwrap(), None);
        fs::create_dir(proc.path().join("8")).unwrap();
        symlink("stat", proc.path().join("8/stat")).unwrap(); // ELOOP
        assert!(Process::read(proc.path(), 8).is_err() && Process::all(proc.path()).is_err());
        assert!(Process::numbers(Path::new("/nonexistent")).is_err());
        let error = |errno| Err::<(), _>(io::Error::from_raw_os_error(errno));
        for errno in [nix::libc::ENOENT, nix::libc::ESRCH] {
            assert_eq!(unless_ended(error(errno)).unwrap(), None);
        }
        for errno in [nix::libc::EMFILE, nix::libc::ENFILE, nix::libc::ENOMEM, nix::libc::EIO] {
            assert!(unless_ended(error(errno)).is_err() && unless_hidden(error(errno)).is_err());
        }
        assert!(unless_ended(error(nix::libc::EACCES)).is_err());
        assert_eq!(unless_hidden(error(nix::libc::EACCES)).unwrap(), None);
    }

    #[test]
    fn this_process_is_among_all() {
        let own = Process::all(Path::new("/proc")).unwrap().into_iter().find(|process| process.pid == std::process::id()).unwrap();
        assert!(!own.sees_other(Path::new("/proc"), Path::new("/")) && !own.is_below(Path::new("/proc")));
    }
}
