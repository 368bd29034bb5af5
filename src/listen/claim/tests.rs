use super::*;
use crate::udevd::socket::{Bound, bound};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, UnixAddr, bind, connect, listen, socket};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Instant;

const PROC: &str = "/proc";

fn claim(run: &Path) -> Result<Claim> {
    Claim::new(run, Path::new(PROC))
}

/// A child of another test has a copy of every descriptor until its program runs.
fn nobody_soon(run: &Path) {
    let end = Instant::now() + Duration::from_secs(20);
    while !Udevd::find(run, Path::new(PROC)).is_absent() {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(5));
    }
}

fn names(run: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_claim_is_seen_refuses_a_second_one_and_is_given_up() {
    let run = tempfile::tempdir().unwrap();
    let first = claim(run.path()).unwrap();
    assert!(first.is_ours() && !Udevd::find(run.path(), Path::new(PROC)).is_absent());
    assert!(claim(run.path()).unwrap_err().to_string().contains("a udevd may be running"));
    assert_eq!(names(run.path()), ["control", "io.systemd.Udev"]);
    drop(first);
    nobody_soon(run.path());
    assert_eq!(names(run.path()), [""; 0]);
}

#[test]
fn a_caller_may_go_on_talking_after_the_answer() {
    let run = tempfile::tempdir().unwrap();
    let mut claim = claim(run.path()).unwrap();
    let call = || {
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        connect(socket.as_raw_fd(), &UnixAddr::new(&run.path().join("control")).unwrap()).unwrap();
        UnixStream::from(socket)
    };
    let mut caller = call();
    claim.hear();
    assert_eq!(claim.sources().count(), 3);
    claim.answer();
    for _ in 0..3 {
        caller.write_all(b"a question").unwrap();
    }
    assert_eq!(caller.read(&mut [0; 8]).unwrap(), 0, "no end of the connection");
    claim.hear();
    assert_eq!(claim.callers.len(), 1);
    // Dropping is not enough: a child of another test has a copy until its program runs.
    caller.shutdown(Shutdown::Both).unwrap();
    claim.hear();
    assert_eq!(claim.callers.len(), 0, "who has hung up is forgotten");
    let mut many = Vec::new();
    for _ in 0..CALLERS_MAX + 6 {
        many.push(call());
        claim.hear();
        claim.answer();
    }
    assert_eq!(claim.callers.len(), CALLERS_MAX);
}

#[test]
fn a_udevadm_of_systemd_262_is_answered_when_all_is_done() {
    let run = tempfile::tempdir().unwrap();
    let mut claim = claim(run.path()).unwrap();
    let mut udevadm = UnixStream::connect(run.path().join("io.systemd.Udev")).unwrap();
    udevadm.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    claim.hear();
    claim.answer();
    udevadm.write_all(b"{\"method\":\"io.systemd.service.Ping\"}\0").unwrap();
    claim.hear();
    let mut buffer = [0; 8];
    assert!(udevadm.read(&mut buffer).is_err(), "not before");
    claim.answer();
    assert_eq!((udevadm.read(&mut buffer).unwrap(), &buffer[..3]), (3, b"{}\0".as_slice()));
    udevadm.shutdown(Shutdown::Both).unwrap();
    claim.hear();
    assert_eq!(claim.callers.len(), 0);
}

/// Starts as udevd does up to systemd 261: what is in its way is removed.
fn start_udevd(run: &Path) -> OwnedFd {
    let path = run.join("control");
    let udevd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let mut tries = 0;
    while bind(udevd.as_raw_fd(), &UnixAddr::new(&path).unwrap()).is_err() {
        tries += 1;
        assert!(tries < 1000);
        let _ = fs::remove_file(&path);
    }
    listen(&udevd, Backlog::new(1).unwrap()).unwrap();
    udevd
}

/// Starts as that of systemd 262 does, by hand: the link is made only where nothing is.
fn start_udevd_262(run: &Path) -> OwnedFd {
    let path = run.join("io.systemd.Udev");
    let mut tries = 0;
    let udevd = loop {
        let _ = fs::remove_file(&path);
        match UnixListener::bind(&path) {
            Ok(udevd) => break udevd,
            Err(_) => tries += 1,
        }
        assert!(tries < 1000);
    };
    let _ = symlink(&path, run.join("control"));
    udevd.into()
}

type Start = fn(&Path) -> OwnedFd;
const KINDS: [(&str, Start); 2] = [("control", start_udevd), ("io.systemd.Udev", start_udevd_262)];

#[test]
fn a_udevd_that_takes_a_path_over_keeps_it() {
    for (name, start) in KINDS {
        let run = tempfile::tempdir().unwrap();
        let claim = claim(run.path()).unwrap();
        let _udevd = start(run.path());
        let there = identity(&run.path().join(name));
        assert!(!claim.is_ours(), "{name}");
        drop(claim);
        // The tools find it, and what they find leads to it.
        assert_eq!(fs::canonicalize(run.path().join("control")).unwrap(), run.path().join(name));
        assert_eq!(identity(&run.path().join(name)), there);
    }
}

#[test]
fn a_udevd_that_starts_while_the_place_is_claimed_keeps_it() {
    for (name, start) in KINDS {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join(name);
        for round in 0..60 {
            drop(start(run.path())); // Killed.
            if round % 3 == 0 {
                let _ = fs::remove_file(run.path().join("control"));
            }
            thread::sleep(Duration::from_millis(5));
            thread::scope(|scope| {
                let udevd = scope.spawn(|| {
                    thread::sleep(Duration::from_micros(round * 500));
                    (start(run.path()), identity(&path))
                });
                let claim = claim(run.path());
                let (_udevd, bound) = udevd.join().unwrap();
                assert_eq!(identity(&path), bound, "{name}, round {round}: {claim:?}");
                if let Ok(claim) = claim {
                    assert!(!claim.is_ours());
                }
                assert_eq!(identity(&path), bound, "{name}, round {round}, at the end of the claim");
                assert_eq!(fs::canonicalize(run.path().join("control")).unwrap(), path, "{name}, round {round}");
            });
        }
        assert!(names(run.path()).iter().all(|name| ["control", "io.systemd.Udev"].contains(&name.as_str())), "nothing else stays");
    }
}

#[test]
fn what_a_killed_one_has_left_is_no_obstacle_and_its_link_stays() {
    let run = tempfile::tempdir().unwrap();
    let control = run.path().join("control");
    // Nobody ever listens on it: had somebody, a child of another test would for him until its program runs.
    let killed = |path: &PathBuf, kind| {
        let killed = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(killed.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        drop(killed);
        nobody_soon(run.path());
    };
    killed(&control, SockType::SeqPacket);
    claim(run.path()).unwrap();
    nobody_soon(run.path());
    for target in [run.path().join("io.systemd.Udev"), "io.systemd.Udev".into()] {
        killed(&run.path().join("io.systemd.Udev"), SockType::Stream);
        symlink(&target, &control).unwrap();
        let claim = claim(run.path()).unwrap();
        assert!(claim.is_ours() && bound(&control) == Bound::Somebody);
        drop(claim);
        nobody_soon(run.path());
        assert_eq!(fs::read_link(&control).unwrap(), target);
        assert!(!control.exists(), "libdevmapper finds no udevd");
        fs::remove_file(&control).unwrap();
    }
    symlink("/nowhere", &control).unwrap();
    let error = claim(run.path()).unwrap_err().to_string();
    assert!(error.contains("it leads to /nowhere"), "{error}");
    assert_eq!(fs::read_link(&control).unwrap(), Path::new("/nowhere"));
}
