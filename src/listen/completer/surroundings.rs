//! Where the completer is: with which udevd, and whether that has done everything. Other namespaces than udevd's have other
//! semaphores, no event of its, another /proc; another `/run/dmhelper` has no token that its rules would find. A udevd with
//! another `/run/udev`, in a container, is nobody's business here.

use std::fs;
use std::path::Path;

use crate::info::Roots;
use crate::queue::{self, Backlog};
use crate::udevd::{Look, Udevd};

/// The namespaces that udevd and the completer need in common.
const KINDS: [&str; 3] = ["ipc", "net", "pid"];

/// Why udevd's events cannot be completed from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// It has another namespace of this kind.
    Namespace(&'static str),
    /// It has another `/run/dmhelper`.
    Directory,
}

/// Whether there is a udevd that is elsewhere, though it has our `/run/udev`.
pub fn elsewhere(roots: &Roots) -> Option<Elsewhere> {
    Look::take(&roots.run_udev, &roots.proc).processes.into_iter().find_map(|udevd| {
        let directory = udevd.sees_other(&roots.proc, &roots.run_dmhelper).then_some(Elsewhere::Directory);
        differs(&roots.proc, udevd.pid).map(Elsewhere::Namespace).or(directory)
    })
}

/// Whether udevd has nothing left to do whatsoever. Each event of before that has been sent on when this is asked.
pub(super) fn is_idle(Roots { run_udev, proc, .. }: &Roots) -> bool {
    let look = Look::take(run_udev, proc);
    match look.udevd {
        Udevd::Running | Udevd::OnDemand | Udevd::StandIn => queue::of(&look, run_udev, proc) == Backlog::None,
        // One that was killed leaves the file behind that says that it is busy.
        Udevd::Absent => true,
        Udevd::Stopped | Udevd::Ending | Udevd::Unknown(_) => false,
    }
}

/// The kind of namespace that the process does not share with us; where that may not be read, none.
fn differs(proc: &Path, pid: u32) -> Option<&'static str> {
    let namespace = |process: &str, kind: &str| fs::read_link(proc.join(process).join("ns").join(kind)).ok();
    KINDS.into_iter().find(|kind| {
        let (own, other) = (namespace("self", kind), namespace(&pid.to_string(), kind));
        own.is_some() && other.is_some() && own != other
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A udevd with namespaces of this number, and with `/` there.
    fn process(roots: &Roots, pid: &str, namespace: &str, root: &Path) {
        let process = roots.proc.join(pid);
        fs::create_dir_all(process.join("ns")).unwrap();
        KINDS.iter().for_each(|kind| symlink(format!("{kind}:[{namespace}]"), process.join("ns").join(kind)).unwrap());
        fs::write(process.join("stat"), format!("{pid} (systemd-udevd) S 1 1")).unwrap();
        fs::write(process.join("status"), "Uid:\t0\t0\t0\t0\n").unwrap();
        symlink(root, process.join("root")).unwrap();
    }

    #[test]
    fn a_udevd_that_would_not_find_the_token_or_our_semaphores_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| -> PathBuf { folder.path().join(name) };
        let roots = Roots { proc: at("proc"), run_udev: at("udev"), run_dmhelper: at("run"), ..Roots::default() };
        ["udev", "run", "container"].iter().for_each(|name| fs::create_dir(at(name)).unwrap());
        process(&roots, "self", "1", Path::new("/"));
        assert_eq!(elsewhere(&roots), None, "there may be one yet");
        process(&roots, "7", "2", &at("container"));
        assert_eq!(elsewhere(&roots), None, "one in a container does not matter");
        process(&roots, "8", "1", Path::new("/"));
        assert_eq!(elsewhere(&roots), None);
        // Its /run/udev is ours, its /run/dmhelper is not.
        let inside = |name: &str| at("root").join(at(name).strip_prefix("/").unwrap());
        fs::create_dir_all(inside("run")).unwrap();
        symlink(at("udev"), inside("udev")).unwrap();
        process(&roots, "9", "1", &at("root"));
        assert_eq!(elsewhere(&roots), Some(Elsewhere::Directory));
        fs::remove_dir_all(roots.proc.join("9")).unwrap();
        process(&roots, "9", "2", Path::new("/"));
        assert_eq!(elsewhere(&roots), Some(Elsewhere::Namespace("ipc")));
    }
}
