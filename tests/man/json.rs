//! Every key of the JSON outputs is in its page, and no other.

use std::collections::BTreeSet;
use std::time::SystemTime;

use dmhelper::cookie::Key;
use dmhelper::cookie::census::{Entry, Process, Row};
use dmhelper::cookie::reap::Circumstances;
use dmhelper::devno::Devno;
use dmhelper::dm::Target;
use dmhelper::emit::{cookies, happening, json};
use dmhelper::info::{Info, Related};
use dmhelper::listen::happening::{Report, What};
use dmhelper::udevd::Udevd;
use dmhelper::udevdb::Record;
use serde_json::Value;

use super::{COOKIE_PAGE, MONITOR_PAGE, assert_same, device, items, items_of, section_of, uuids};

/// The path of every key, as jq would write it.
fn keys(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys(value, &path, out);
                out.insert(path);
            }
        }
        Value::Array(array) => array.iter().for_each(|value| keys(value, &format!("{path}[]"), out)),
        _ => {}
    }
}

#[test]
fn every_json_key_is_in_the_page_and_no_other() {
    let other = Related { devno: Devno::new(7, 0).unwrap(), name: Some(b"loop0".to_vec()), device_mapper: false };
    let mut real = BTreeSet::new();
    for uuid in uuids() {
        let info = Info {
            device: device(&uuid),
            size: Some(8),
            read_only: Some(true),
            diskseq: Some(9),
            targets: Some(vec![Target { start: 0, length: 8, kind: b"linear".to_vec(), status: Vec::new() }]),
            dependencies: vec![other.clone()],
            dependants: vec![other.clone()],
            parent: Some(other.clone()),
            udev: Some(Record::parse(b"S:mapper/x\nG:systemd\n")),
            udevd: true,
        };
        let array: Vec<Value> = serde_json::from_str(&json::info(&[info]).unwrap()).unwrap();
        array.iter().for_each(|object| keys(object, "", &mut real));
    }
    assert!(real.len() > 40, "{real:?}");
    assert_same(&items("JSON", "Va "), &real);
}

#[test]
fn every_json_key_of_a_cookie_is_in_its_page_and_no_other() {
    let process = Process { pid: 812, name: "lvcreate".into() };
    let entry = Entry {
        row: Row { key: Key::from_raw(0x0d4d_0001).unwrap(), id: 1, creator: 0, operated: 1, changed: 1 },
        value: Some(1),
        waiting: 1,
        waiters: vec![process.clone()],
        stopped: std::rc::Rc::default(),
        last_pid: Some(812),
        last: Some(process),
    };
    let circumstances = Circumstances { udevd: Udevd::Running, busy: false, now: SystemTime::now(), older_than: None };
    let usage = cookies::Usage { sets: 1, limit: Some(1) };
    let text = cookies::json(std::slice::from_ref(&entry), usage, &circumstances).unwrap();
    let mut real = BTreeSet::new();
    keys(&serde_json::from_str(&text).unwrap(), "", &mut real);
    assert!(real.len() > 12, "{real:?}");
    assert_same(&items_of(COOKIE_PAGE, "JSON", "Va "), &real);

    let page = section_of(COOKIE_PAGE, "JSON");
    for (udevd, verdict) in [(Udevd::Running, "stuck"), (Udevd::Stopped, "udevd stopped"), (Udevd::Absent, "no udevd")] {
        let text = cookies::json(std::slice::from_ref(&entry), usage, &Circumstances { udevd, ..circumstances }).unwrap();
        let list: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(list["cookies"][0]["verdict"], verdict);
        assert!(page.contains(&format!(".Qq {verdict} ,\n")), "{verdict}");
    }
}

#[test]
fn every_json_key_and_word_of_the_monitor_is_in_its_page() {
    let text = happening::json(&Report::of_rescan(SystemTime::now(), None, What::Overrun(Some(1)))).unwrap();
    let mut real = BTreeSet::new();
    keys(&serde_json::from_str(&text).unwrap(), "", &mut real);
    assert!(real.len() > 16, "{real:?}");
    assert_same(&items_of(MONITOR_PAGE, "JSON", "Va "), &real);

    let page = section_of(MONITOR_PAGE, "JSON");
    let events: Vec<&str> = happening::EVENTS.to_vec();
    assert!(events.contains(&happening::event_word(&What::Activated)));
    for event in events {
        assert!(page.contains(&format!(".Qq {event}")), "{event}");
    }
}
