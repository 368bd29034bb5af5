//! What `make install` installs and `make uninstall` removes, in which order, and what they refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tempfile::TempDir;

/// Static, as the release is.
const STATIC: &str = env!("CARGO_BIN_EXE_dmhelper");
const LAYOUTS: [&str; 2] = ["RULES_LAYOUT=upstream", "RULES_LAYOUT=debian"];
const RULES: &str = "usr/lib/udev/rules.d";

/// A root to install into, and what was built.
struct Machine {
    root: TempDir,
    built: TempDir,
}

impl Machine {
    /// Nothing was built yet.
    fn unbuilt() -> Self {
        Self { root: tempfile::tempdir().unwrap(), built: tempfile::tempdir().unwrap() }
    }

    fn new() -> Self {
        let machine = Self::unbuilt();
        machine.build("x86_64-unknown-linux-gnu", STATIC);
        machine
    }

    /// Puts a program where cargo puts the one of a target.
    fn build(&self, target: &str, program: &str) {
        let directory = self.built.path().join(target).join("release");
        fs::create_dir_all(&directory).unwrap();
        fs::copy(program, directory.join("dmhelper")).unwrap();
    }

    /// Runs make for a careful administrator, who lets nobody else read what he makes.
    fn make(&self, target: &str, variables: &[&str]) -> Result<(), String> {
        let mut make = Command::new("sh");
        make.args(["-c", r#"umask 077; exec make "$@""#, "make", "-C", env!("CARGO_MANIFEST_DIR"), target, "PREFIX=/usr"]);
        make.arg(format!("DESTDIR={}", self.root.path().display())).args(variables);
        make.env_remove("MAKEFLAGS").env_remove("CARGO_BUILD_TARGET").env("CARGO_TARGET_DIR", self.built.path());
        let output = make.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    fn install(&self, variables: &[&str]) -> Result<(), String> {
        self.make("install", variables)
    }

    fn uninstall(&self, variables: &[&str]) -> Result<(), String> {
        self.make("uninstall", variables)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn has_program(&self) -> bool {
        self.path("usr/sbin/dmhelper").exists()
    }

    /// Somebody else's file.
    fn write(&self, name: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), "not dmhelper's\n").unwrap();
    }

    /// Every file's name.
    fn files(&self) -> Vec<String> {
        let (mut files, mut directories) = (Vec::new(), vec![self.root.path().to_owned()]);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
                if entry.file_type().unwrap().is_dir() { &mut directories } else { &mut files }.push(entry.path());
            }
        }
        files.sort();
        files.iter().map(|file| file.strip_prefix(self.root.path()).unwrap().display().to_string()).collect()
    }
}

/// What happened to the program and to the rules, in order: "created NAME", "renamed NAME", "written NAME", "removed NAME".
/// Names that neither udev nor a shell's `*` reads are left out.
fn watched(machine: &Machine, act: impl FnOnce()) -> Vec<String> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    let every =
        AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVE | AddWatchFlags::IN_ATTRIB;
    for directory in ["usr/sbin", RULES] {
        inotify.add_watch(&machine.path(directory), every).unwrap();
    }
    act();
    let mut happened = Vec::new();
    while let Ok(events) = inotify.read_events() {
        for event in events {
            let name = event.name.unwrap_or_default().into_string().unwrap();
            let what = [
                (AddWatchFlags::IN_CREATE, "created"),
                (AddWatchFlags::IN_MOVED_TO, "renamed"),
                (AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM, "removed"),
            ];
            let what = what.iter().find(|(mask, _)| event.mask.intersects(*mask)).map_or("written", |(_, what)| what);
            if !name.starts_with('.') {
                happened.push(format!("{what} {name}"));
            }
        }
    }
    happened
}

#[test]
fn only_a_static_program_is_installed() {
    let machine = Machine::unbuilt();
    machine.build("x86_64-unknown-linux-gnu", "/usr/bin/env");
    let outcome = machine.install(&[]);
    assert!(outcome.as_ref().is_err_and(|told| told.contains("is linked dynamically")) && !machine.has_program(), "{outcome:?}");
    // Of what readelf can make nothing, as where there is no readelf.
    machine.build("x86_64-unknown-linux-gnu", file!());
    let outcome = machine.install(&[]);
    assert!(outcome.is_err() && !machine.has_program(), "{outcome:?}");
    machine.build("x86_64-unknown-linux-gnu", STATIC);
    assert_eq!(machine.install(&[]), Ok(()));
    assert!(machine.has_program());
}

#[test]
fn of_programs_for_several_targets_the_one_that_is_named_is_installed() {
    let machine = Machine::unbuilt();
    assert!(machine.install(&[]).unwrap_err().contains("nothing to install"));
    machine.build("x86_64-unknown-linux-gnu", "/usr/bin/env");
    machine.build("x86_64-unknown-linux-musl", STATIC);
    let outcome = machine.install(&[]);
    assert!(outcome.as_ref().is_err_and(|told| told.contains("CARGO_BUILD_TARGET")) && !machine.has_program(), "{outcome:?}");
    assert_eq!(machine.install(&["CARGO_BUILD_TARGET=x86_64-unknown-linux-musl"]), Ok(()));
    assert!(machine.has_program());
}

#[test]
fn what_the_readme_names_of_the_documentation_is_installed_beside_it() {
    let machine = Machine::new();
    assert_eq!(machine.install(&[]), Ok(()));
    let folder = machine.path("usr/share/doc/dmhelper");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let named = readme.split(['`', '(', ')']).filter(|word| word.starts_with("docs/") && !word.contains(' '));
    let missing: Vec<_> = named.clone().filter(|name| !folder.join(name).exists()).collect();
    assert!(named.count() >= 3 && missing.is_empty(), "{missing:?}");
}

#[test]
fn uninstall_leaves_no_rule_without_its_program_whatever_layout_it_is_told() {
    for installed in LAYOUTS {
        for told in LAYOUTS {
            let machine = Machine::new();
            assert_eq!(machine.install(&[installed]), Ok(()));
            assert_eq!(machine.uninstall(&[told]), Ok(()));
            assert_eq!(machine.files(), [""; 0], "{installed}, uninstall {told}");
        }
    }
}

#[test]
fn uninstall_keeps_rules_that_are_not_ours_under_either_name() {
    let machine = Machine::new();
    assert_eq!(machine.install(&["RULES_LAYOUT=debian"]), Ok(()));
    let others = ["usr/lib/udev/rules.d/10-dm.rules", "usr/lib/udev/rules.d/56-lvm.rules"];
    others.iter().for_each(|name| machine.write(name));
    assert_eq!(machine.uninstall(&["RULES_LAYOUT=debian"]), Ok(()));
    assert_eq!(machine.files(), others);
}

#[test]
fn install_and_uninstall_refuse_a_layout_that_they_do_not_know() {
    let machine = Machine::new();
    assert_eq!(machine.install(&["RULES_LAYOUT=debian"]), Ok(()));
    let before = machine.files();
    for layout in ["RULES_LAYOUT=debain", "RULES_LAYOUT="] {
        for target in ["install", "uninstall"] {
            let outcome = machine.make(target, &[layout]);
            assert!(outcome.as_ref().is_err_and(|told| told.contains("neither")), "{target} {layout}: {outcome:?}");
        }
    }
    assert_eq!(machine.files(), before);
}

#[test]
fn uninstall_removes_the_rules_before_the_program_that_they_run() {
    let machine = Machine::new();
    assert_eq!(machine.install(&["RULES_LAYOUT=debian"]), Ok(()));
    let happened = watched(&machine, || assert_eq!(machine.uninstall(&["RULES_LAYOUT=debian"]), Ok(())));
    let removed: Vec<_> = happened.iter().filter(|event| event.starts_with("removed")).collect();
    assert_eq!((removed.len(), removed.last().map(|event| event.as_str())), (5, Some("removed dmhelper")), "{happened:?}");
}

#[test]
fn uninstall_removes_of_a_directory_that_is_shared_its_own_files_alone() {
    let machine = Machine::new();
    let others = ["usr/share/doc/README.gz", "usr/share/doc/bash/README.md", "usr/share/doc/docs/other.md"];
    others.iter().for_each(|name| machine.write(name));
    assert_eq!(machine.install(&["DOCDIR=/usr/share/doc"]), Ok(()));
    assert_eq!(machine.uninstall(&["DOCDIR=/usr/share/doc"]), Ok(()));
    assert_eq!(machine.files(), others);

    assert_eq!(machine.install(&[]), Ok(()));
    assert_eq!(machine.uninstall(&[]), Ok(()));
    assert!(!machine.path("usr/share/doc/dmhelper").exists());
}

#[test]
fn where_a_directory_is_empty_nothing_is_installed_and_nothing_removed() {
    // Each with what lies in it. The same names, straight below the root, are somebody else's.
    let directories = [
        ("DOCDIR", "usr/share/doc", ["README.md", "docs/hot-path.md"]),
        ("MANDIR", "usr/share/man", ["man8/dmhelper.8", "man8/dmhelper-info.8"]),
        ("BASHCOMPDIR", "usr/share/bash-completion", ["dmhelper"; 2]),
        ("ZSHCOMPDIR", "usr/share/zsh", ["_dmhelper"; 2]),
        ("FISHCOMPDIR", "usr/share/fish", ["dmhelper.fish"; 2]),
        ("SYSTEMDUNITDIR", "usr/lib/systemd", ["dmhelper-completer.socket", "dmhelper-completer.service"]),
        ("DRACUTDIR", "usr/lib/dracut", ["modules.d/60dm/module-setup.sh", "modules.d/99dmhelper/module-setup.sh"]),
        ("INITRAMFSTOOLSDIR", "usr/share/initramfs-tools", ["hooks/dmhelper", "scripts/dmhelper"]),
    ];
    for (variable, directory, others) in directories {
        let (machine, empty) = (Machine::new(), format!("{variable}="));
        others.iter().for_each(|name| machine.write(name));
        let theirs = machine.files();
        assert_eq!(machine.install(&["RULES_LAYOUT=debian", &empty]), Ok(()));
        assert!(!machine.path(directory).exists(), "{empty}");
        let straight: Vec<_> = machine.files().into_iter().filter(|name| !name.starts_with("usr/")).collect();
        assert_eq!(straight, theirs, "{empty}");
        assert!(theirs.iter().all(|name| fs::read(machine.path(name)).unwrap() == b"not dmhelper's\n"), "{empty}");
        assert_eq!(machine.uninstall(&["RULES_LAYOUT=debian", &empty]), Ok(()));
        assert_eq!(machine.files(), theirs, "{empty}");
    }
}

#[test]
fn without_a_directory_for_the_program_or_the_rules_there_is_no_install_and_no_uninstall() {
    for empty in ["SBINDIR=", "UDEVRULESDIR="] {
        let machine = Machine::new();
        ["dmhelper", "95-dm-notify.rules"].iter().for_each(|name| machine.write(name));
        let theirs = machine.files();
        for target in ["install", "uninstall"] {
            let outcome = machine.make(target, &[empty]);
            assert!(outcome.as_ref().is_err_and(|told| told.contains("is empty")), "{target} {empty}: {outcome:?}");
            assert_eq!(machine.files(), theirs, "{target} {empty}");
        }
    }
}

#[test]
fn everybody_may_read_what_is_installed_whatever_the_umask() {
    let machine = Machine::new();
    assert_eq!(machine.install(&["RULES_LAYOUT=debian"]), Ok(()));
    let files = machine.files();
    assert!(files.len() > 50, "{files:?}");
    for name in &files {
        let runs = ["sbin/", "dracut/", "initramfs-tools/"].iter().any(|folder| name.contains(folder));
        let mut wanted = if runs { 0o755 } else { 0o644 };
        for path in Path::new(name).ancestors().filter(|path| path.parent().is_some()) {
            let mode = fs::metadata(machine.root.path().join(path)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, wanted, "{}", path.display());
            wanted = 0o755;
        }
    }
}

#[test]
fn a_machine_that_runs_has_every_rule_and_the_program_whole_at_every_moment_of_an_install() {
    let machine = Machine::new();
    assert_eq!(machine.install(&["RULES_LAYOUT=debian"]), Ok(()));
    let happened = watched(&machine, || assert_eq!(machine.install(&["RULES_LAYOUT=debian"]), Ok(())));
    // What the rules run comes before them, and the rule that answers the tools before those that only name devices.
    assert_eq!(
        happened,
        [
            "renamed dmhelper",
            "renamed 95-dm-notify.rules",
            "renamed 55-dm.rules",
            "renamed 56-lvm.rules",
            "renamed 60-persistent-storage-dm.rules",
        ]
    );
    let rules: Vec<_> = machine.files().into_iter().filter(|name| name.ends_with(".rules")).collect();
    let calls = rules.iter().filter(|name| fs::read_to_string(machine.path(name)).unwrap().contains("/usr/sbin/dmhelper "));
    assert_eq!((rules.len(), calls.count()), (4, 3), "{rules:?}");
    let left: Vec<_> = machine.files().into_iter().filter(|name| name.contains("/.")).collect();
    assert_eq!(left, [""; 0]);
}
