mod around;

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
fn a_record_that_could_not_be_written_is_written_with_the_next_event() {
    let mut rig = Rig::new();
    rig.event("add", 1, "");
    assert!(rig.record(1).is_some());
    rig.set(device(1, "one", "ONE-1"));
    std::os::unix::fs::symlink("/dev/full", rig.directory.path().join("run/data/.#b253:1")).unwrap();
    assert!(rig.try_event("change", 1, "DM_COOKIE=4194304\0").unwrap_err().to_string().contains("No space left"));
    assert_eq!(rig.target("mapper/one").as_deref(), Some("../dm-1"), "the links are there");
    assert!(rig.record(1).is_none(), "no record says that it is not active");
    rig.event("change", 1, "");
    assert!(rig.record(1).unwrap().flags().contains(Flags::PRIMARY_SOURCE));
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
fn a_refresh_clears_what_a_tool_asked_for_unless_the_device_is_suspended() {
    const REFRESH: &str = "SYNTH_UUID=8c3a\0SYNTH_ARG_DMHELPERACTIVATE=1\0";
    let mut rig = Rig::new();
    rig.set(Device { suspended: true, ..device(0, "x", "") });
    rig.change(0, 1);
    rig.event("change", 0, REFRESH);
    assert_eq!(rig.target("mapper/x"), None);
    rig.set(device(0, "x", ""));
    rig.event("change", 0, "SYNTH_UUID=8c3a\0");
    assert_eq!(rig.target("mapper/x"), None, "asked without the argument");
    rig.event("change", 0, REFRESH);
    assert!(rig.target("mapper/x").is_some());
    assert_eq!(rig.record(0).unwrap().flags(), Flags::PRIMARY_SOURCE);
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
