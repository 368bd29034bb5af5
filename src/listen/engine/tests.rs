use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::rc::Rc;

use super::*;
use crate::dm::Details;
use crate::name::{DmName, DmUuid};

/// An engine over a directory of its own and devices that the test makes up.
struct Rig {
    directory: tempfile::TempDir,
    engine: Engine,
    devices: Rc<RefCell<BTreeMap<Devno, Device>>>,
}

fn devno(minor: u32) -> Devno {
    Devno::new(253, minor).unwrap()
}

fn node(minor: u32) -> Node {
    Node::from(&format!("dm-{minor}")).unwrap()
}

fn device(minor: u32, name: &str, uuid: &str) -> Device {
    let details = Details {
        live_table: true,
        inactive_table: false,
        read_only: false,
        deferred_remove: false,
        internal_suspend: false,
        open_count: 0,
        event_number: 0,
        segments: 1,
    };
    Device {
        devno: devno(minor),
        name: DmName::new(name).unwrap(),
        uuid: DmUuid::new(uuid).unwrap(),
        suspended: false,
        details: Some(details),
    }
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let devices = Rc::new(RefCell::new(BTreeMap::<Devno, Device>::new()));
        let asked = Rc::clone(&devices);
        let query: Query =
            Box::new(move |devno| asked.borrow().get(&devno).cloned().ok_or_else(|| Error::not_found("query", devno.to_string())));
        let places = Places { dev: directory.path().join("dev"), run_udev: directory.path().join("run"), prober: None };
        fs::create_dir(&places.dev).unwrap();
        // Stand-ins for devtmpfs's nodes, which only root could make.
        (0..4).for_each(|minor| fs::write(places.dev.join(format!("dm-{minor}")), "").unwrap());
        Self { engine: Engine::new(places, query), directory, devices }
    }

    fn set(&self, device: Device) {
        self.devices.borrow_mut().insert(device.devno, device);
    }

    fn event(&mut self, action: &str, minor: u32, more: &str) {
        self.try_event(action, minor, more).unwrap();
    }

    fn try_event(&mut self, action: &str, minor: u32, more: &str) -> Result<()> {
        let text = format!(
            "{action}@/devices/virtual/block/dm-{minor}\0ACTION={action}\0DEVPATH=/devices/virtual/block/dm-{minor}\0SUBSYSTEM=block\0\
             MAJOR=253\0MINOR={minor}\0{more}"
        );
        self.engine.handle(Uevent::from_kernel(text.as_bytes()).unwrap())
    }

    /// A change that a tool caused, with these flags.
    fn change(&mut self, minor: u32, flags: u32) {
        self.event("change", minor, &format!("DM_COOKIE={}\0", (flags | 0x40) << 16 | 1));
    }

    fn target(&self, link: &str) -> Option<String> {
        Some(fs::read_link(self.directory.path().join("dev").join(link)).ok()?.to_str().unwrap().to_string())
    }

    fn record(&self, minor: u32) -> Option<Record> {
        Record::read(&self.directory.path().join("run"), devno(minor)).unwrap()
    }
}

#[test]
fn a_device_lives_from_add_to_remove() {
    let mut rig = Rig::new();
    rig.set(device(0, "vg-lv", "LVM-x"));
    rig.event("add", 0, "");
    assert_eq!(rig.target("mapper/vg-lv"), None, "no table yet");
    rig.change(0, 0);
    assert_eq!(rig.target("mapper/vg-lv").as_deref(), Some("../dm-0"));
    assert_eq!(rig.target("vg/lv").as_deref(), Some("../dm-0"));
    assert_eq!(rig.target("disk/by-id/dm-uuid-LVM-x").as_deref(), Some("../../dm-0"));
    let record = rig.record(0).unwrap();
    assert_eq!(record.property("DM_VG_NAME"), Some(&b"vg"[..]));
    assert!(record.flags().contains(Flags::PRIMARY_SOURCE) && record.property(".DM_SUSPENDED").is_none());
    rig.event("remove", 0, "");
    assert_eq!((rig.target("mapper/vg-lv"), rig.target("vg/lv"), rig.record(0)), (None, None, None));
    assert!(!rig.directory.path().join("dev/vg").exists(), "empty directories go too");
}

#[test]
fn a_rename_moves_the_links() {
    let mut rig = Rig::new();
    rig.set(device(0, "old", ""));
    rig.change(0, 0);
    rig.set(device(0, "new", ""));
    rig.change(0, 0);
    assert_eq!(rig.target("mapper/old"), None);
    assert_eq!(rig.target("mapper/new").as_deref(), Some("../dm-0"));
}

#[test]
fn of_two_claimants_the_higher_priority_has_the_link_and_the_loser_gets_it_back() {
    let mut rig = Rig::new();
    // Two devices cannot have one name; two volumes can have one VG/LV.
    rig.set(device(0, "vg-lv", "LVM-a"));
    rig.set(device(1, "vg-lv-", "LVM-b"));
    rig.change(0, 0);
    rig.set(device(1, "vg-lv", "LVM-b"));
    rig.change(1, 1 << 4);
    assert_eq!(rig.target("vg/lv").as_deref(), Some("../dm-0"), "the second asked for a low priority");
    rig.event("remove", 0, "");
    assert_eq!(rig.target("vg/lv").as_deref(), Some("../dm-1"));
    rig.set(device(2, "vg-lv", "LVM-c"));
    rig.change(2, 1 << 4);
    assert_eq!(rig.target("vg/lv").as_deref(), Some("../dm-2"), "among equals the latest wins");
    rig.change(2, 0);
    rig.set(device(3, "vg-lv", "LVM-d"));
    rig.change(3, 0);
    assert_eq!(rig.target("vg/lv").as_deref(), Some("../dm-3"));
    rig.change(3, 1 << 4);
    assert_eq!(rig.target("vg/lv").as_deref(), Some("../dm-2"), "who lowers its priority gives the link up");
}

#[test]
fn a_spurious_event_keeps_the_flags_that_the_tool_asked_for() {
    let mut rig = Rig::new();
    rig.set(device(0, "x", ""));
    rig.change(0, 1 << 2);
    rig.event("change", 0, "SYNTH_UUID=0\0");
    assert_eq!(rig.target("disk/by-id/dm-name-x"), None);
    assert_eq!(rig.target("mapper/x").as_deref(), Some("../dm-0"));
    assert!(rig.record(0).unwrap().flags().contains(Flags::DISABLE_DISK_RULES));
}

#[test]
fn a_disk_that_became_read_only_loses_its_links_as_under_udevd() {
    let mut rig = Rig::new();
    rig.set(device(0, "x", ""));
    rig.change(0, 0);
    rig.event("change", 0, "DISK_RO=1\0");
    assert_eq!(rig.target("mapper/x"), None);
    rig.change(0, 0);
    assert_eq!(rig.target("mapper/x").as_deref(), Some("../dm-0"));
}

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
fn a_coldplug_of_a_live_device_that_nobody_recorded_activates_it() {
    let mut rig = Rig::new();
    rig.set(device(0, "x", ""));
    rig.set(Device { suspended: true, ..device(1, "y", "") });
    rig.set(device(2, "z", ""));
    rig.event("add", 2, "");
    for minor in 0..3 {
        rig.event("add", minor, "SYNTH_UUID=0\0");
    }
    assert_eq!(rig.target("disk/by-id/dm-name-x").as_deref(), Some("../../dm-0"));
    assert_eq!(rig.target("mapper/y"), None, "its activation is under way");
    assert_eq!(rig.target("mapper/z"), None, "recorded as not activated");
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
fn a_volume_that_is_not_wiped_yet_may_be_read_from_the_next_event_on() {
    let mut rig = Rig::new();
    rig.set(device(1, "vg-lv", "LVM-x"));
    let noscan = |rig: &Rig| {
        let record = rig.record(1).unwrap();
        let keys = ["DM_SUBSYSTEM_UDEV_FLAG0", "DM_NOSCAN", "DM_UDEV_DISABLE_OTHER_RULES_FLAG", "DM_ACTIVATION"];
        keys.map(|key| record.property(key).is_some())
    };
    rig.change(1, 0x100);
    assert_eq!(noscan(&rig), [true, true, true, true]);
    rig.event("change", 1, "");
    assert_eq!(noscan(&rig), [false, false, false, false]);
    assert_eq!(rig.target("vg/lv").as_deref(), Some("../dm-1"));
}

#[test]
fn the_record_of_a_part_of_a_volume_says_that_it_is_private() {
    let mut rig = Rig::new();
    rig.set(device(1, "vg-lv-real", "LVM-x"));
    rig.change(1, 0);
    let record = rig.record(1).unwrap();
    for key in ["DM_UDEV_DISABLE_DISK_RULES_FLAG", "DM_UDEV_DISABLE_OTHER_RULES_FLAG"] {
        assert_eq!(record.property(key), Some(&b"1"[..]), "{key}");
    }
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
    rig.engine.places.prober = Some(Prober { program, timeout: std::time::Duration::from_millis(100) });
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
