use serde_json::{Value, json};

use super::*;
use crate::devno::Devno;
use crate::dm::{Details, Device, Target};
use crate::name::{DmName, DmUuid};
use crate::udevdb::Record;

fn device(name: &[u8], uuid: &str) -> Info {
    Info {
        device: Device {
            devno: Devno::new(253, 0).unwrap(),
            name: DmName::new(name).unwrap(),
            uuid: DmUuid::new(uuid).unwrap(),
            suspended: false,
            details: None,
        },
        size: Some(2048),
        read_only: Some(false),
        diskseq: Some(9),
        targets: None,
        dependencies: Vec::new(),
        dependants: Vec::new(),
        parent: None,
        udev: None,
        udevd: false,
    }
}

fn parsed(info: &Info) -> Value {
    let text = super::info(std::slice::from_ref(info)).unwrap();
    let values: Vec<Value> = serde_json::from_str(&text).unwrap();
    values.into_iter().next().unwrap()
}

#[test]
fn every_key_is_there_when_nothing_is_known() {
    let expected = json!({
        "name": "x", "name_unmangled": "x", "uuid": null, "devno": "253:0", "major": 253, "minor": 0, "subsystem": null,
        "lvm": null, "crypt": null, "multipath": null, "partition": null,
        "state": "active", "suspended": false, "live_table": true, "inactive_table": null, "read_only": false,
        "deferred_remove": null, "internal_suspend": null, "open_count": null, "event_number": null, "diskseq": 9,
        "size_bytes": 1_048_576, "targets": null, "dependencies": [], "dependants": [],
        "udev": {
            "running": false, "processed": false, "initialized_usec": null, "flags": [], "link_priority": 0,
            "links": [], "tags": []
        },
        "needs_root": ["inactive_table", "deferred_remove", "internal_suspend", "open_count", "event_number", "targets"],
    });
    assert_eq!(parsed(&device(b"x", "")), expected);
}

#[test]
fn what_is_known_stands_under_its_key() {
    let mut info = device(b"vg-my--data", "LVM-7vPI6fXEkxBUKCKodQ9MPY82MtD93q6izTRk2Fvgk2zKKKGmj2gWOY162bK3IR6h");
    info.device.details = Some(Details {
        live_table: true,
        inactive_table: true,
        read_only: true,
        deferred_remove: false,
        internal_suspend: false,
        open_count: 3,
        event_number: 9,
        segments: 1,
    });
    info.targets = Some(vec![Target { start: 0, length: 2048, kind: b"linear".to_vec(), status: Vec::new() }]);
    info.dependencies = vec![Related { devno: Devno::new(7, 0).unwrap(), name: Some(b"loop0".to_vec()), device_mapper: false }];
    info.udev = Some(Record::parse(b"S:vg/my-data\nS:mapper/a\nG:systemd\nI:5\nE:DM_UDEV_PRIMARY_SOURCE_FLAG=1\n"));
    let value = parsed(&info);
    assert_eq!(
        value["lvm"],
        json!({
            "vg_name": "vg", "lv_name": "my-data", "layer": null,
            "vg_uuid": "7vPI6f-XEkx-BUKC-KodQ-9MPY-82Mt-D93q6i", "lv_uuid": "zTRk2F-vgk2-zKKK-Gmj2-gWOY-162b-K3IR6h"
        })
    );
    assert_eq!(value["targets"], json!([{ "start_sector": 0, "sectors": 2048, "type": "linear" }]));
    assert_eq!(value["dependencies"], json!([{ "name": "loop0", "devno": "7:0", "device_mapper": false }]));
    assert_eq!((&value["open_count"], &value["event_number"], &value["inactive_table"]), (&json!(3), &json!(9), &json!(true)));
    assert_eq!(value["udev"]["links"], json!(["/dev/mapper/a", "/dev/vg/my-data"]));
    assert_eq!(value["udev"]["flags"], json!(["DM_UDEV_PRIMARY_SOURCE_FLAG"]));
    assert_eq!(value["needs_root"], json!([]));
}

#[test]
fn each_owner_has_its_object() {
    let luks = parsed(&device(b"x", "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-y"));
    assert_eq!(luks["crypt"], json!({ "type": "LUKS2", "payload_uuid": "01234567-89ab-cdef-0123-456789abcdef", "opened_as": "y" }));
    assert_eq!(parsed(&device(b"x", "mpath-36"))["multipath"], json!({ "wwid": "36" }));
    let part = parsed(&device(b"x", "part3-mpath-36"));
    assert_eq!(part["partition"], json!({ "number": 3, "parent_uuid": "mpath-36", "parent": null }));
    assert_eq!(part["subsystem"], "kpartx");
}

#[test]
fn a_name_that_is_no_text_is_an_array_of_its_bytes() {
    let value = parsed(&device(b"a\xff", ""));
    assert_eq!(value["name"], json!([97, 255]));
    let mangled = parsed(&device(b"a\\xff", ""));
    assert_eq!((&mangled["name"], &mangled["name_unmangled"]), (&json!("a\\xff"), &json!([97, 255])));
}

#[test]
fn a_hostile_name_comes_back_whole_and_does_nothing_to_a_terminal() {
    let name = "a\"\\\n\u{1b}[31m\u{7f}\u{9b}31m\u{202e}\u{2028}";
    let text = super::info(&[device(name.as_bytes(), "")]).unwrap();
    assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || is_format(c))), "{text:?}");
    assert_eq!(parsed(&device(name.as_bytes(), ""))["name"], json!(name));
}

#[test]
fn no_device_is_an_empty_array() {
    assert_eq!(super::info(&[]).unwrap(), "[]\n");
}
