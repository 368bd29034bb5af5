//! What is found by looking at all devices: what happened while nobody listened, or whose event was lost.

use super::*;

#[test]
fn looking_around_adopts_live_devices_and_forgets_those_that_are_gone() {
    let mut rig = Rig::new();
    rig.set(device(3, "gone", ""));
    rig.change(3, 0);
    let seen = |device: Device, node: &str| Seen { device, node: Node::from(node).unwrap(), diskseq: Some(9) };
    let mut without_table = device(1, "bare", "");
    without_table.details = without_table.details.map(|details| Details { live_table: false, ..details });
    let suspended = Device { suspended: true, ..device(2, "asleep", "") };
    let failures = rig.engine.look_around(
        &[devno(0), devno(1), devno(2)],
        &[seen(device(0, "vg-lv-real", "LVM-x"), "dm-0"), seen(without_table, "dm-1"), seen(suspended, "dm-2")],
    );
    assert_eq!(failures, []);
    assert_eq!(rig.target("mapper/vg-lv-real").as_deref(), Some("../dm-0"));
    assert_eq!(rig.target("disk/by-id/dm-name-vg-lv-real"), None, "a part of a volume stays private");
    assert_eq!((rig.target("mapper/bare"), rig.target("mapper/asleep"), rig.target("mapper/gone")), (None, None, None));
    assert_eq!(rig.engine.devices(), 1);
}

#[test]
fn a_device_that_got_the_number_of_another_gets_nothing_of_it_when_looking_around() {
    let mut rig = Rig::new();
    rig.set(device(0, "x", "CRYPT-PLAIN-x"));
    rig.change(0, 0);
    let record = rig.record(0).unwrap();
    assert!(rig.target("mapper/x").is_some() && record.property("DM_UUID") == Some(b"CRYPT-PLAIN-x"));
    let mut other = device(0, "y", "CRYPT-PLAIN-y");
    other.details = other.details.map(|details| Details { live_table: false, ..details });
    assert_eq!(rig.engine.look_around(&[devno(0)], &[Seen { device: other, node: node(0), diskseq: None }]), []);
    assert_eq!((rig.target("mapper/x"), rig.target("mapper/y"), rig.record(0)), (None, None, None));
}

#[test]
fn an_activation_whose_event_was_lost_is_seen_when_looking_around() {
    let mut rig = Rig::new();
    rig.set(device(0, "x", ""));
    rig.event("add", 0, "");
    let failures = rig.engine.look_around(&[devno(0)], &[Seen { device: device(0, "x", ""), node: node(0), diskseq: None }]);
    assert_eq!(failures, []);
    assert_eq!(rig.target("disk/by-id/dm-name-x").as_deref(), Some("../../dm-0"), "the flags of the add hold no longer");
}

#[test]
fn a_record_of_an_earlier_run_is_taken_over() {
    let mut rig = Rig::new();
    rig.set(device(0, "x", ""));
    rig.change(0, 1 << 2);
    let places = Places { dev: rig.directory.path().join("dev"), run_udev: rig.directory.path().join("run"), prober: None };
    let asked = Rc::clone(&rig.devices);
    let mut second = Engine::new(places, Box::new(move |devno| Ok(asked.borrow()[&devno].clone())));
    second.remember(devno(0), Some(node(0))).unwrap();
    second.look_around(&[devno(0)], &[Seen { device: device(0, "renamed", ""), node: node(0), diskseq: None }]);
    assert_eq!(rig.target("mapper/x"), None);
    assert_eq!(rig.target("mapper/renamed").as_deref(), Some("../dm-0"));
    assert_eq!(rig.target("disk/by-id/dm-name-renamed"), None, "the tool's flags hold");
}

#[test]
fn a_device_that_went_while_nobody_looked_leaves_no_link() {
    let mut rig = Rig::new();
    rig.set(device(1, "x", ""));
    rig.change(1, 0);
    let places = Places { dev: rig.directory.path().join("dev"), run_udev: rig.directory.path().join("run"), prober: None };
    let mut second = Engine::new(places, Box::new(|devno| Err(Error::not_found("query", devno.to_string()))));
    second.remember(devno(1), None).unwrap();
    assert_eq!(second.look_around(&[], &[]), []);
    assert_eq!((rig.target("mapper/x"), rig.record(1)), (None, None));
}

#[test]
fn a_device_that_could_not_be_looked_at_is_not_gone() {
    let mut rig = Rig::new();
    rig.set(device(1, "x", ""));
    rig.change(1, 0);
    assert_eq!(rig.engine.look_around(&[devno(1)], &[]), []);
    assert_eq!(rig.target("mapper/x").as_deref(), Some("../dm-1"));
}

#[test]
fn a_new_device_under_an_old_number_inherits_nothing() {
    let mut rig = Rig::new();
    rig.set(device(0, "old", "OLD-1"));
    rig.change(0, 1 << 2);
    // Its remove event was lost.
    rig.set(device(0, "new", "NEW-1"));
    let failures = rig.engine.look_around(&[devno(0)], &[Seen { device: device(0, "new", "NEW-1"), node: node(0), diskseq: None }]);
    assert_eq!(failures, []);
    assert_eq!(rig.target("mapper/old"), None);
    assert_eq!(rig.target("disk/by-id/dm-name-new").as_deref(), Some("../../dm-0"), "the old device's flags are not its own");
    rig.event("add", 0, "");
    assert_eq!(rig.target("mapper/new"), None, "a genuine add has no table yet, whatever is recorded");
}

#[test]
fn a_suspended_moment_and_a_subsystems_flag_do_not_stay() {
    let mut rig = Rig::new();
    rig.set(device(0, "vg-lv", "LVM-x"));
    rig.change(0, 1 << 8);
    rig.set(Device { suspended: true, ..device(0, "vg-lv", "LVM-x") });
    rig.event("change", 0, "SYNTH_UUID=0\0");
    rig.set(device(0, "vg-lv", "LVM-x"));
    rig.engine.look_around(&[devno(0)], &[Seen { device: device(0, "vg-lv", "LVM-x"), node: node(0), diskseq: None }]);
    let flags = rig.record(0).unwrap().flags();
    assert!(!flags.contains(Flags::DISABLE_OTHER_RULES) && !flags.contains(Flags::LVM_NOSCAN));
    assert_eq!(rig.record(0).unwrap().property("DM_COOKIE_DISABLE_OTHER_RULES_FLAG"), None);
}

#[test]
fn a_prober_that_did_not_answer_is_asked_again_when_the_device_has_changed() {
    let mut rig = Rig::new();
    let program = rig.directory.path().join("blkid");
    // Written by a process of its own: what this one still had open for writing while another test forks could not be run.
    let made = "printf '#!/bin/sh\nexec sleep 60\n' >\"$0\" && chmod 755 \"$0\"";
    assert!(std::process::Command::new("sh").args(["-c", made]).arg(&program).status().unwrap().success());
    rig.engine.places.prober = Some(Prober { program, timeout: "100ms".parse().unwrap() });
    rig.set(device(0, "x", ""));
    // That there was no answer is said each time.
    assert!(rig.try_event("change", 0, &format!("DM_COOKIE={}\0", 0x40 << 16 | 1)).is_err());
    assert_eq!(rig.target("mapper/x").as_deref(), Some("../dm-0"), "the links do not depend on it");
    rig.event("change", 0, "SYNTH_UUID=0\0");
    let seen = [Seen { device: device(0, "x", ""), node: node(0), diskseq: None }];
    assert_eq!(rig.engine.look_around(&[devno(0)], &seen), []);
    assert!(rig.try_event("change", 0, "DM_ACTION=PATH_REINSTATED\0").is_err());
    rig.event("remove", 0, "");
    assert!(rig.try_event("change", 0, "").is_err(), "another device of that number");
}
