use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::completer::Completer;
use crate::explain::Service;
use crate::info::system::System;
use crate::rulefiles::{FILES, RuleFiles};
use crate::udevd::Doubt;

/// What is found on a system of three devices, all of them processed and linked but for what `spoil` does.
fn found(udevd: Udevd, spoil: impl Fn(&Places)) -> Vec<(&'static str, Option<String>)> {
    let system = System::new();
    let places = Places { roots: system.roots.clone(), root: system.roots.dev.parent().unwrap().to_path_buf() };
    let rules = places.root.join("usr/lib/udev/rules.d");
    fs::create_dir_all(&rules).unwrap();
    FILES.iter().for_each(|(_, _, name, _)| fs::write(rules.join(name), "# dmhelper(8)\n").unwrap());
    fs::create_dir_all(places.roots.dev.join("mapper")).unwrap();
    fs::create_dir_all(&places.roots.proc).unwrap();
    for (devno, name) in [("254:0", "vg-my--data"), ("254:10", "secret"), ("254:18", "secret1")] {
        let record = format!(
            "E:DM_NAME={name}\nE:DM_UDEV_PRIMARY_SOURCE_FLAG=1\nE:DM_UDEV_RULES_VSN=3\nE:DM_UDEV_DISABLE_DM_RULES_FLAG=1\nE:DM_UDEV_DISABLE_DISK_RULES_FLAG=1\nE:DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG=1\n"
        );
        fs::write(places.roots.run_udev.join(format!("data/b{devno}")), record).unwrap();
    }
    fs::write(places.roots.run_udev.join("control"), "").unwrap();
    spoil(&places);
    let world = World {
        places: &places,
        survey: system.survey(),
        service: Service { udevd, busy: false, idle: true, stopped: None, completer: Completer::Absent },
        rules: RuleFiles::find(&places.root),
    };
    let diagnosis = diagnose(&world, Vec::new());
    assert_eq!(diagnosis.devices, 3);
    let one = |trouble: &Trouble| (trouble.finding.reason.id, trouble.repair.as_ref().map(|repair| repair.words(false)));
    diagnosis.troubles.iter().map(one).collect()
}

#[test]
fn a_machine_that_is_well_has_no_trouble() {
    assert_eq!(found(Udevd::Running, |_| {}), []);
}

#[test]
fn what_is_wrong_with_udevd_is_told_and_nothing_of_its_is_to_be_removed() {
    let ids = |udevd, control: bool| {
        let spoil = |places: &Places| {
            if !control {
                fs::remove_file(places.roots.run_udev.join("control")).unwrap()
            }
        };
        found(udevd, spoil).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    for udevd in [Udevd::Running, Udevd::OnDemand, Udevd::StandIn] {
        assert_eq!(ids(udevd, true), [""; 0], "{udevd:?}");
    }
    assert_eq!(ids(Udevd::Running, false), ["control-missing"]);
    assert_eq!(ids(Udevd::Stopped, true), ["udevd-stopped"]);
    assert_eq!(ids(Udevd::Unknown(Doubt::Holder), true), ["udevd-unknown"]);
    for udevd in [Udevd::Absent, Udevd::Ending] {
        assert_eq!(ids(udevd, true)[0], "control-left", "{udevd:?}");
        assert_eq!(ids(udevd, false)[0], "no-udevd", "{udevd:?}");
    }
    assert!(reason::ALL.iter().flat_map(|reason| reason.steps).all(|step| !step.contains("rm {other}") || !step.contains("control")));
}

/// Its link in /dev/mapper is udev's business.
fn unflagged(places: &Places) {
    let text = "S:mapper/vg-my--data\nE:DM_NAME=vg-my--data\nE:DM_UDEV_PRIMARY_SOURCE_FLAG=1\nE:DM_UDEV_RULES_VSN=3\nE:DM_UDEV_DISABLE_DISK_RULES_FLAG=1\nE:DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG=1\n";
    fs::write(places.roots.run_udev.join("data/b254:0"), text).unwrap();
}

#[test]
fn a_missing_link_is_repaired_where_one_is_due() {
    assert_eq!(found(Udevd::Running, unflagged), [("removed", Some("would link /dev/mapper/vg-my--data to dm-0".to_string()))]);
    // A link to something that is no block device here.
    let dangling = |places: &Places| {
        unflagged(places);
        symlink("../dm-7", places.roots.dev.join("mapper/vg-my--data")).unwrap();
    };
    assert_eq!(found(Udevd::Running, dangling), [("dangling", Some("would link /dev/mapper/vg-my--data to dm-0".to_string()))]);
}

#[test]
fn a_right_link_without_its_node_is_no_link_to_be_made() {
    let contained = |places: &Places| {
        unflagged(places);
        symlink("../dm-0", places.roots.dev.join("mapper/vg-my--data")).unwrap();
    };
    assert_eq!(found(Udevd::Running, contained), [("no-node", Some("would make /dev/dm-0".to_string()))]);
}

#[test]
fn what_is_left_over_is_removed_in_dev_mapper_alone() {
    let spoil = |places: &Places| {
        symlink("../dm-7", places.roots.dev.join("mapper/gone")).unwrap();
        fs::write(places.roots.dev.join("mapper/file"), "").unwrap();
        fs::create_dir_all(places.roots.dev.join("disk/by-label")).unwrap();
        symlink("../../dm-7", places.roots.dev.join("disk/by-label/x")).unwrap();
        symlink("../../sda7", places.roots.dev.join("disk/by-label/y")).unwrap();
        // One that is there, and a link that would lead to it from elsewhere.
        fs::create_dir(places.roots.dev.join("dm-1")).unwrap();
        symlink("../../dm-1", places.roots.dev.join("disk/by-label/right")).unwrap();
        symlink("../dm-1", places.roots.dev.join("disk/by-label/wrong")).unwrap();
    };
    let stale = ("stale-link", None);
    assert_eq!(found(Udevd::Running, spoil), [("stale-link", Some("would remove /dev/mapper/gone".to_string())), stale.clone(), stale]);
}

#[test]
fn a_persons_own_link_to_what_is_not_there_now_is_told_and_left() {
    let spoil = |places: &Places| symlink("/dev/disk/by-id/usb-backup", places.roots.dev.join("mapper/backup")).unwrap();
    assert_eq!(found(Udevd::Running, spoil), [("stale-link", None)]);
}

#[test]
fn devices_that_udev_has_not_processed_are_told_once_each() {
    let forget = |places: &Places| fs::remove_dir_all(places.roots.run_udev.join("data")).unwrap();
    let link = |name: &str, node: &str| ("no-record", Some(format!("would link /dev/mapper/{name} to {node}")));
    // The third has no size: it may have no table.
    assert_eq!(found(Udevd::Running, forget), [link("secret", "dm-10"), link("vg-my--data", "dm-0")]);
}

#[test]
fn troubles_of_one_kind_are_kept_together() {
    let trouble = |reason| Trouble { finding: Finding::new(reason), device: None, repair: None };
    let troubles = vec![trouble(&reason::REMOVED), trouble(&reason::SUSPENDED), trouble(&reason::REMOVED)];
    let diagnosis = Diagnosis { troubles, devices: 3, unknown: None };
    let groups: Vec<_> = diagnosis.groups().into_iter().map(|(id, troubles)| (id, troubles.len())).collect();
    assert_eq!(groups, [("removed", 2), ("suspended", 1)]);
}
