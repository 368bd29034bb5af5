use std::fs;
use std::os::unix::fs::symlink;

use super::subject::resolve;
use super::world::World;
use super::*;
use crate::info::system::System;
use crate::rulefiles::FILES;

/// A system whose volume `vg-my--data` (254:0) udev has not processed, seen by an ordinary user.
fn world<'a>(system: &'a System, places: &'a Places, udevd: Udevd) -> World<'a> {
    World {
        places,
        survey: system.survey(),
        service: Service { udevd, busy: false, idle: true, stopped: None, completer: Completer::Absent },
        rules: RuleFiles::find(&places.root),
    }
}

fn places(system: &System) -> Places {
    let root = system.roots.dev.parent().unwrap().to_path_buf();
    Places { roots: system.roots.clone(), root }
}

/// The rules of this program, in the system's own root.
fn install_rules(places: &Places) {
    let folder = places.root.join("usr/lib/udev/rules.d");
    fs::create_dir_all(&folder).unwrap();
    FILES.iter().for_each(|(_, _, name, _)| fs::write(folder.join(name), "# dmhelper(8)\n").unwrap());
}

/// The reasons given for a word.
fn reasons(udevd: Udevd, word: &str, prepare: impl Fn(&Places)) -> Vec<&'static str> {
    let system = System::new();
    let places = places(&system);
    install_rules(&places);
    prepare(&places);
    let report = resolve(&world(&system, &places, udevd), word).unwrap();
    assert!(!report.findings.iter().any(|finding| finding.answer().contains('?')), "{report:?}");
    assert!(report.steps().iter().all(|step| !step.contains(['{', '?'])), "{report:?}");
    report.findings.iter().map(|finding| finding.reason.id).collect()
}

fn record(places: &Places, text: &str) {
    fs::write(places.roots.run_udev.join("data/b254:0"), text).unwrap();
}

const ACTIVE: &str = "E:DM_NAME=vg-my--data\nE:DM_UDEV_PRIMARY_SOURCE_FLAG=1\nE:DM_UDEV_RULES_VSN=3\n";

#[test]
fn what_udev_has_not_processed_is_said_before_anything_else() {
    let nothing = |_: &Places| {};
    for word in ["vg-my--data", "254:0", "dm-0", "/dev/mapper/vg-my--data", "vg/my-data", "disk/by-id/dm-name-vg-my--data"] {
        assert_eq!(reasons(Udevd::Running, word, nothing)[..1], ["no-record"], "{word}");
        assert_eq!(reasons(Udevd::Stopped, word, nothing)[..1], ["udevd-stopped"], "{word}");
        assert_eq!(reasons(Udevd::Absent, word, nothing)[..1], ["no-udevd"], "{word}");
        let no_rules = |places: &Places| fs::remove_dir_all(places.root.join("usr/lib/udev")).unwrap();
        assert_eq!(reasons(Udevd::Running, word, no_rules)[..1], ["no-rules"], "{word}");
    }
}

#[test]
fn a_record_that_names_no_link_and_one_whose_link_is_gone_are_told_apart() {
    let made = |places: &Places| record(places, &format!("S:mapper/vg-my--data\n{ACTIVE}"));
    assert_eq!(reasons(Udevd::Running, "/dev/mapper/vg-my--data", made), ["removed"]);
    let not_made = |places: &Places| record(places, ACTIVE);
    assert_eq!(reasons(Udevd::Running, "/dev/mapper/vg-my--data", not_made), ["not-made"]);
    let flag = |places: &Places| record(places, &format!("{ACTIVE}E:DM_UDEV_DISABLE_DM_RULES_FLAG=1\n"));
    assert_eq!(reasons(Udevd::Running, "/dev/mapper/vg-my--data", flag), ["flag-dm-rules"]);
    let no_file = |places: &Places| {
        record(places, ACTIVE);
        fs::remove_file(places.root.join("usr/lib/udev/rules.d/56-lvm.rules")).unwrap();
    };
    assert_eq!(reasons(Udevd::Running, "vg/my-data", no_file), ["rule-missing"]);
}

#[test]
fn a_rule_file_that_is_missing_is_told_whatever_it_keeps_from_being_done() {
    let without = |file: &'static str, text: &'static str| {
        move |places: &Places| {
            record(places, &format!("{text}{ACTIVE}"));
            fs::remove_file(places.root.join("usr/lib/udev/rules.d").join(file)).unwrap();
        }
    };
    let (notify, disk) = ("95-dm-notify.rules", "60-persistent-storage-dm.rules");
    assert_eq!(reasons(Udevd::Running, "/dev/mapper/vg-my--data", without(notify, "S:mapper/vg-my--data\n")), ["removed", "rule-missing"]);
    // What no rule has read is where nobody knows.
    assert_eq!(reasons(Udevd::Running, "UUID=1-2", without(disk, "")), ["rule-missing", "not-read"]);
    let unread = |text: &str| {
        let system = System::new();
        let places = places(&system);
        install_rules(&places);
        record(&places, text);
        let report = resolve(&world(&system, &places, Udevd::Running), "UUID=1-2").unwrap();
        report.findings.iter().any(|finding| finding.reason.id == "not-read" && finding.answer().contains("vg-my--data"))
    };
    assert!(unread(ACTIVE) && !unread(&format!("S:disk/by-id/dm-name-vg-my--data\n{ACTIVE}")));
}

#[test]
fn a_directory_that_is_nobodys_link_is_not_to_be_moved_away() {
    let full = |places: &Places| fs::create_dir_all(places.roots.dev.join("vg")).unwrap();
    for word in ["vg", "/dev/vg", "/dev/vg/"] {
        assert_eq!(reasons(Udevd::Running, word, full), ["not-device-mapper"], "{word}");
    }
    let system = System::new();
    assert!(resolve(&world(&system, &places(&system), Udevd::Running), "").is_err());
}

#[test]
fn a_system_with_nothing_in_it_is_explained_as_well() {
    let empty = |places: &Places| {
        for folder in [&places.roots.run_udev, &places.roots.sys, &places.root.join("usr")] {
            fs::remove_dir_all(folder).unwrap();
        }
    };
    for word in ["root", "/dev/mapper/root", "vg/root", "UUID=1-2", "disk/by-label/x", "254:7", "vg-root"] {
        assert_eq!(reasons(Udevd::Absent, word, empty), ["no-disks"], "{word}");
    }
}

#[test]
fn hostile_words_records_and_names_do_no_harm() {
    let mess = |places: &Places| {
        record(places, "S:../../etc/passwd\nS:\x1b[31m\nS:mapper/\nE:DM_NAME=\x1b]0;x\x07\nE:DM_UDEV_RULES_VSN=3\nL:x\n");
        fs::create_dir_all(places.roots.dev.join("mapper")).unwrap();
        symlink("\x1b[2J", places.roots.dev.join("mapper/vg-my--data")).unwrap();
        fs::create_dir_all(places.root.join("run/lvm/pvs_lookup")).unwrap();
        fs::write(places.root.join("run/lvm/pvs_lookup/evil\x1bvg"), "a\nb\n").unwrap();
    };
    let system = System::new();
    let places = places(&system);
    mess(&places);
    for word in ["vg-my--data", "\x1b[31m", "../../etc", "/dev/../etc/passwd", "evil\x1bvg-x", "mapper/", "''", "{device}", "/dev/"] {
        let Ok(report) = resolve(&world(&system, &places, Udevd::Running), word) else { continue };
        let text = crate::emit::explain::text(&report, crate::terminal::Terminal { width: None, colour: false, unicode: false });
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{word:?}: {text:?}");
        let json = crate::emit::explain::json(&report).unwrap();
        assert!(json.chars().all(|c| c == '\n' || !c.is_control()), "{word:?}: {json:?}");
    }
}

#[test]
fn a_cookie_needs_no_device_mapper() {
    let system = System::new();
    let places = places(&system);
    fs::create_dir_all(places.roots.proc.join("sysvipc")).unwrap();
    fs::write(places.roots.proc.join("misc"), "237 loop-control\n").unwrap();
    let sem = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n 223150081 2147483647   600          1     0     0     0     0          0 1700000000\n";
    fs::write(places.roots.proc.join("sysvipc/sem"), sem).unwrap();
    let asked = |word: &str| {
        let report = subject::explain(&places, word).unwrap();
        (report.exists, report.asked, report.findings.iter().map(|finding| finding.reason.id).collect::<Vec<_>>())
    };
    let there = "0x0d4d0001";
    assert_eq!(asked(there), (true, there.into(), vec!["cookie-unreadable", "no-device-mapper"]));
    let gone = "0x0d4d0bad";
    assert_eq!(asked(gone), (false, gone.into(), vec!["no-device-mapper", "cookie-gone"]));
    assert_eq!(asked("root"), (false, "root".into(), vec!["no-device-mapper"]));
}
