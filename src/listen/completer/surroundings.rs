//! Where the completer is: with which udevd, and whether that has done everything. Other namespaces than udevd's have other
//! semaphores, no event of its, another /proc; another `/run/dmhelper` has no token that its rules would find.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::info::Roots;
use crate::listen::queue::{self, Backlog, Process};
use crate::udevd::Udevd;

/// The namespaces that udevd and the completer need in common.
const KINDS: [&str; 3] = ["ipc", "net", "pid"];

/// Why no udevd's events can be completed from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// Every udevd has another namespace of this kind.
    Namespace(&'static str),
    /// udevd has another `/run/dmhelper`.
    Directory,
}

/// Whether there is any udevd, and each is elsewhere: one in a container concerns nobody outside.
pub fn elsewhere(roots: &Roots) -> Option<Elsewhere> {
    let all = queue::main_processes(&roots.proc);
    let foreign = all.first().and_then(|udevd| differs(&roots.proc, udevd.pid));
    let mut own = own(all, &roots.proc).into_iter().peekable();
    match own.peek() {
        None => foreign.map(Elsewhere::Namespace),
        Some(_) => own.all(|udevd| has_other_directory(roots, udevd.pid)).then_some(Elsewhere::Directory),
    }
}

/// Whether udevd has nothing left to do whatsoever. Each event of before that has been sent on when this is asked.
pub(super) fn is_idle(roots: &Roots) -> bool {
    let own = own(queue::main_processes(&roots.proc), &roots.proc).len();
    match Udevd::find(&roots.run_udev, &roots.proc) {
        // A second one is a worker whose udevd was killed: it goes on with its event.
        Ok(Udevd::Running) => own <= 1 && queue::backlog(&roots.run_udev, &roots.proc) == Backlog::None,
        Ok(Udevd::Stopped) | Err(_) => false,
        Ok(Udevd::Absent) => own == 0,
    }
}

/// Those in our namespaces. What may not be read is taken for ours.
fn own(mut processes: Vec<Process>, proc: &Path) -> Vec<Process> {
    processes.retain(|udevd| differs(proc, udevd.pid).is_none());
    processes
}

fn differs(proc: &Path, pid: u32) -> Option<&'static str> {
    let namespace = |process: &str, kind: &str| fs::read_link(proc.join(process).join("ns").join(kind)).ok();
    KINDS.into_iter().find(|kind| {
        let (own, other) = (namespace("self", kind), namespace(&pid.to_string(), kind));
        own.is_some() && other.is_some() && own != other
    })
}

fn has_other_directory(roots: &Roots, pid: u32) -> bool {
    let root = roots.proc.join(pid.to_string()).join("root");
    let inside = roots.run_dmhelper.strip_prefix("/").map_or_else(|_| root.clone(), |path| root.join(path));
    let identity = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    match (identity(&roots.run_dmhelper), identity(&inside)) {
        (Ok(own), Ok(other)) => own != other,
        (Ok(_), Err(error)) => error.kind() == std::io::ErrorKind::NotFound && root.exists(),
        (Err(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    struct Stage {
        folder: tempfile::TempDir,
        roots: Roots,
    }

    impl Stage {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| -> PathBuf { folder.path().join(name) };
            let roots = Roots { proc: at("proc"), run_udev: at("udev"), run_dmhelper: at("run"), ..Roots::default() };
            fs::create_dir(at("run")).unwrap();
            let stage = Self { folder, roots };
            stage.process("self", "1", None);
            stage
        }

        /// A udevd with namespaces of this number, and with `/` there.
        fn process(&self, pid: &str, namespace: &str, root: Option<&Path>) {
            let process = self.roots.proc.join(pid);
            fs::create_dir_all(process.join("ns")).unwrap();
            KINDS.iter().for_each(|kind| symlink(format!("{kind}:[{namespace}]"), process.join("ns").join(kind)).unwrap());
            fs::write(process.join("stat"), format!("{pid} (systemd-udevd) S 1 1")).unwrap();
            if let Some(root) = root {
                symlink(root, process.join("root")).unwrap();
            }
        }
    }

    #[test]
    fn a_udevd_elsewhere_matters_only_where_it_is_the_only_one() {
        let stage = Stage::new();
        let found = || elsewhere(&stage.roots);
        assert_eq!(found(), None, "there may be one yet");
        stage.process("7", "2", None);
        assert_eq!(found(), Some(Elsewhere::Namespace("ipc")));
        stage.process("8", "1", Some(Path::new("/")));
        assert_eq!(found(), None, "ours is there as well");
        assert_eq!(own(queue::main_processes(&stage.roots.proc), &stage.roots.proc).len(), 1);
    }

    #[test]
    fn a_udevd_that_would_not_find_the_token_is_noticed() {
        let stage = Stage::new();
        let other = stage.folder.path().join("root");
        fs::create_dir(&other).unwrap();
        stage.process("8", "1", Some(&other));
        assert_eq!(elsewhere(&stage.roots), Some(Elsewhere::Directory), "it has none");
        let inside = other.join(stage.roots.run_dmhelper.strip_prefix("/").unwrap());
        fs::create_dir_all(&inside).unwrap();
        assert_eq!(elsewhere(&stage.roots), Some(Elsewhere::Directory), "it has another");
        fs::remove_dir(&inside).unwrap();
        symlink(&stage.roots.run_dmhelper, &inside).unwrap();
        assert_eq!(elsewhere(&stage.roots), None);
    }
}
