//! What installs packages for the tests (`make test`, `make demo`, `make bench-icount`) leaves no service of theirs behind, however
//! it ends. Nothing is installed here: another root, and an apt-get that notes what it finds and enables what packages would.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

const POLICY: &str = "usr/sbin/policy-rc.d";
const PRESET: &str = "run/systemd/system-preset/00-dmhelper-tests.preset";
const WANTS: &str = "etc/systemd/system/sysinit.target.wants";
const SERVICES: &str = "apt-get update\napt-get install --yes --no-install-recommends lvm2 mdadm\n";

/// As a package's script does: asks whether it may start its service, and enables it without asking.
const ENABLE: &str = r#"
[ "$1" = update ] && exit
"$ROOT/usr/sbin/policy-rc.d" multipathd.service start; echo "policy $?" >>"$ROOT/seen"
cat "$ROOT/run/systemd/system-preset/00-dmhelper-tests.preset" >>"$ROOT/seen"
ln -s /usr/lib/x.service "$ROOT/etc/systemd/system/sysinit.target.wants/new.service"
ln -s ../init.d/new "$ROOT/etc/rc2.d/S01new"
ln -s ../init.d/new "$ROOT/etc/rc0.d/K01new"
"#;

/// No process starts while a script is written: its child would have the script open, and then nothing can run it.
static WRITING: Mutex<()> = Mutex::new(());

struct Machine {
    root: TempDir,
}

impl Machine {
    fn new(apt_get: &str) -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        for directory in ["usr/sbin", "bin", WANTS, "etc/rc2.d", "etc/rc0.d"] {
            fs::create_dir_all(machine.path(directory)).unwrap();
        }
        symlink("/usr/lib/old.service", machine.path(WANTS).join("old.service")).unwrap();
        machine.script("bin/apt-get", &format!("echo apt-get $* >>\"$ROOT/calls\"\n{apt_get}"));
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        fs::write(self.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(0o755)).unwrap();
    }

    fn start(&self) -> Child {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        // A shell cannot trap what was ignored when it started, as SIGINT is below a job in the background.
        Command::new("env")
            .args(["--default-signal=INT,TERM,HUP"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/install-packages"))
            .args(["setup", "lvm2", "mdadm"])
            .env("INSTALL_PACKAGES_ROOT", self.root.path())
            .env("ROOT", self.root.path())
            .env("PATH", path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap()
    }

    /// Its status, and all that it said.
    fn install(&self) -> (Option<i32>, String) {
        let output = self.start().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Whatever is there to make a service start.
    fn enabled(&self) -> Vec<String> {
        let links = [WANTS, "etc/rc2.d"].map(|directory| fs::read_dir(self.path(directory)).unwrap());
        links.into_iter().flatten().map(|link| link.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn assert_clean(&self) {
        assert!(!self.path(POLICY).exists() && !self.path(PRESET).exists());
        assert_eq!(self.enabled(), ["old.service"]);
    }
}

#[test]
fn no_service_is_started_or_enabled_and_what_is_said_comes_first() {
    let machine = Machine::new(ENABLE);
    let (status, said) = machine.install();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.starts_with("setup: installing with apt-get: lvm2 mdadm\n"), "{said}");
    assert!(said.ends_with("setup: not enabled: new\nsetup: not enabled: new.service\n"), "{said}");
    assert_eq!(machine.read("calls"), SERVICES);
    let seen = machine.read("seen");
    assert!(seen.starts_with("policy 101\n") && seen.ends_with("\ndisable *\n"), "{seen}");
    machine.assert_clean();
    assert!(machine.path("etc/rc0.d/K01new").is_symlink(), "what stops a service stays");
}

#[test]
fn what_fails_leaves_nothing_either_and_says_why() {
    let machine = Machine::new(&format!("{ENABLE}\necho E: no network >&2; exit 100"));
    let (status, said) = machine.install();
    assert_eq!(status, Some(1));
    assert!(said.contains("E: no network\nsetup: apt-get failed; its last words are above\n"), "{said}");
    machine.assert_clean();
}

#[test]
fn nor_does_what_is_interrupted() {
    for (signal, status) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let machine = Machine::new(&format!("{ENABLE}\necho yes >\"$ROOT/here\"; exec sleep 60"));
        let mut child = machine.start();
        for _ in 0..1000 {
            if machine.path("here").exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(machine.path(POLICY).exists());
        killpg(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status), "{signal}");
        machine.assert_clean();
    }
}

#[test]
fn the_administrators_policy_decides_and_stays() {
    let refusing = Machine::new(ENABLE);
    refusing.script(POLICY, "exit 101");
    assert_eq!(refusing.install().0, Some(0));
    assert_eq!((refusing.read(POLICY), refusing.enabled()), ("#!/bin/sh\nexit 101\n".into(), vec!["old.service".into()]));

    // Whether it permits all, one of them, or cannot be run.
    for text in ["exit 0", "case $1 in mdadm) exit 104;; esac; exit 101"] {
        let permitting = Machine::new(ENABLE);
        permitting.script(POLICY, text);
        let before = permitting.read(POLICY);
        let (status, said) = permitting.install();
        assert_eq!(status, Some(1));
        assert!(said.ends_with("install them yourself: apt-get install --no-install-recommends lvm2 mdadm\n"), "{said}");
        assert_eq!((permitting.read(POLICY), permitting.read("calls")), (before, String::new()));
    }
}

#[test]
fn what_the_administrator_enables_meanwhile_stays_enabled() {
    let machine = Machine::new(&format!(
        r#"{ENABLE}
        for name in own.service own@one.service; do ln -s x "$ROOT/etc/systemd/system/sysinit.target.wants/$name"; done
        ln -s ../init.d/own "$ROOT/etc/rc2.d/S02own""#
    ));
    for unit in ["usr/lib/systemd/system/own.service", "usr/lib/systemd/system/own@.service", "etc/init.d/own"] {
        fs::create_dir_all(machine.path(unit).parent().unwrap()).unwrap();
        fs::write(machine.path(unit), "").unwrap();
    }
    let (status, said) = machine.install();
    assert!(status == Some(0) && !said.contains("own"), "{said}");
    let mut enabled = machine.enabled();
    enabled.sort();
    assert_eq!(enabled, ["S02own", "old.service", "own.service", "own@one.service"]);
}

#[test]
fn what_a_killed_one_has_left_is_no_administrators() {
    // It outlives the one that it kills, and must not read on in what is written below.
    let machine = Machine::new("[ $1 = update ] || { kill -KILL $PPID; exit; }");
    assert_eq!(machine.install().0, None);
    assert_eq!(Command::new(machine.path(POLICY)).status().unwrap().code(), Some(0), "it forbids nothing any more");
    machine.script("bin/apt-get", ENABLE);
    let (status, said) = machine.install();
    assert_eq!(status, Some(0), "{said}");
    machine.assert_clean();
}
