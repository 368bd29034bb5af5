//! A device for a program: the same keys always, `null` for what is not known. dmhelper(8) documents every key.

use serde::{Serialize, Serializer};

use crate::emit::columns::value::Value;
use crate::emit::columns::{Column, state_word};
use crate::error::{Error, Result};
use crate::info::{Info, Related};
use crate::name::{self, Owner, dashed_lvm_uuid, dashed_uuid};
use crate::text::is_format;

/// The keys whose values only the control node tells: `needs_root` names those that stay `null` for others.
const NEEDS_ROOT: [&str; 6] = ["inactive_table", "deferred_remove", "internal_suspend", "open_count", "event_number", "targets"];

/// An array of objects, one for each device, ending with a newline.
pub fn info(devices: &[Info]) -> Result<String> {
    let objects: Vec<_> = devices.iter().map(Object::new).collect();
    pretty(&objects)
}

/// An array of objects, one for each row, whose keys are the columns' names.
pub fn listing(columns: &[&Column], rows: &[Vec<Value>]) -> Result<String> {
    struct Row<'a>(&'a [&'a Column], &'a [Value]);
    impl Serialize for Row<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|column| column.name).zip(self.1))
        }
    }
    pretty(&rows.iter().map(|row| Row(columns, row)).collect::<Vec<_>>())
}

/// Indented, harmless to a terminal, ending with a newline.
pub(super) fn pretty(value: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string_pretty(value).map_err(|error| Error::malformed("print", "JSON", error.to_string()))?;
    Ok(harmless(&json) + "\n")
}

/// serde_json leaves DEL, C1 and bidirectional controls as they are; inside a string they can as well be escapes,
/// and outside of strings JSON has none.
pub(super) fn harmless(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\n' => out.push(character),
            hostile if hostile.is_control() || is_format(hostile) => out.push_str(&format!("\\u{:04x}", u32::from(hostile))),
            harmless => out.push(harmless),
        }
    }
    out
}

/// Bytes of the kernel's or of udev's: a string where they are UTF-8, else an array of numbers, as journalctl does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(Vec<u8>);

impl Text {
    pub(super) fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_seq(&self.0),
        }
    }
}

#[derive(Serialize)]
struct Object {
    name: Text,
    name_unmangled: Text,
    uuid: Option<Text>,
    devno: String,
    major: u32,
    minor: u32,
    subsystem: Option<String>,
    lvm: Option<Lvm>,
    crypt: Option<Crypt>,
    multipath: Option<Multipath>,
    partition: Option<Partition>,
    state: Option<&'static str>,
    suspended: bool,
    live_table: Option<bool>,
    inactive_table: Option<bool>,
    read_only: Option<bool>,
    deferred_remove: Option<bool>,
    internal_suspend: Option<bool>,
    open_count: Option<i32>,
    event_number: Option<u32>,
    diskseq: Option<u64>,
    size_bytes: Option<u64>,
    targets: Option<Vec<Range>>,
    dependencies: Vec<Neighbour>,
    dependants: Vec<Neighbour>,
    udev: Udev,
    needs_root: Vec<&'static str>,
}

#[derive(Serialize)]
struct Lvm {
    vg_name: Text,
    lv_name: Text,
    layer: Option<Text>,
    vg_uuid: Text,
    lv_uuid: Text,
}

#[derive(Serialize)]
struct Crypt {
    #[serde(rename = "type")]
    kind: Text,
    payload_uuid: Option<Text>,
    opened_as: Text,
}

#[derive(Serialize)]
struct Multipath {
    wwid: Text,
}

#[derive(Serialize)]
struct Partition {
    number: u32,
    parent_uuid: Text,
    parent: Option<Neighbour>,
}

#[derive(Serialize)]
struct Range {
    start_sector: u64,
    sectors: u64,
    #[serde(rename = "type")]
    kind: Text,
}

#[derive(Serialize)]
pub(super) struct Neighbour {
    name: Option<Text>,
    devno: String,
    device_mapper: bool,
}

#[derive(Serialize)]
struct Udev {
    running: bool,
    processed: bool,
    initialized_usec: Option<u64>,
    flags: Vec<&'static str>,
    link_priority: i32,
    links: Vec<Text>,
    tags: Vec<Text>,
}

impl Neighbour {
    pub(super) fn new(other: &Related) -> Self {
        Self { name: other.name.as_ref().map(Text::new), devno: other.devno.to_string(), device_mapper: other.device_mapper }
    }
}

impl Object {
    fn new(info: &Info) -> Self {
        let device = &info.device;
        let details = device.details;
        let mut needs_root = Vec::new();
        if details.is_none() {
            needs_root.extend(info.live_table().is_none().then_some("live_table"));
            needs_root.extend(NEEDS_ROOT);
        }
        Self {
            name: Text::new(device.name.as_bytes()),
            name_unmangled: Text(name::unmangled(&device.name).unwrap_or_else(|| device.name.as_bytes().to_vec())),
            uuid: device.uuid.as_ref().map(|uuid| Text::new(uuid.as_bytes())),
            devno: device.devno.to_string(),
            major: device.devno.major(),
            minor: device.devno.minor(),
            subsystem: device.uuid.as_ref().and_then(name::subsystem),
            lvm: lvm(info),
            crypt: crypt(info),
            multipath: multipath(info),
            partition: partition(info),
            state: state_word(info.state()),
            suspended: device.suspended,
            live_table: info.live_table(),
            inactive_table: details.map(|details| details.inactive_table),
            read_only: info.read_only,
            deferred_remove: details.map(|details| details.deferred_remove),
            internal_suspend: details.map(|details| details.internal_suspend),
            open_count: details.map(|details| details.open_count),
            event_number: details.map(|details| details.event_number),
            diskseq: info.diskseq,
            size_bytes: info.size.and_then(|sectors| sectors.checked_mul(512)),
            targets: targets(info),
            dependencies: info.dependencies.iter().map(Neighbour::new).collect(),
            dependants: info.dependants.iter().map(Neighbour::new).collect(),
            udev: udev(info),
            needs_root,
        }
    }
}

fn lvm(info: &Info) -> Option<Lvm> {
    let Owner::Lvm { vg, lv, .. } = info.owner() else { return None };
    let parts = info.device.name.lvm_parts();
    Some(Lvm {
        vg_name: Text::new(parts.vg),
        lv_name: Text::new(parts.lv),
        layer: Some(parts.layer).filter(|layer| !layer.is_empty()).map(Text::new),
        vg_uuid: Text::new(dashed_lvm_uuid(vg)),
        lv_uuid: Text::new(dashed_lvm_uuid(lv)),
    })
}

fn crypt(info: &Info) -> Option<Crypt> {
    let Owner::Crypt { kind, payload, name } = info.owner() else { return None };
    Some(Crypt { kind: Text::new(kind), payload_uuid: payload.map(|digits| Text::new(dashed_uuid(digits))), opened_as: Text::new(name) })
}

fn multipath(info: &Info) -> Option<Multipath> {
    let Owner::Multipath { wwid } = info.owner() else { return None };
    Some(Multipath { wwid: Text::new(wwid) })
}

fn partition(info: &Info) -> Option<Partition> {
    let Owner::Partition { number, parent } = info.owner() else { return None };
    Some(Partition { number, parent_uuid: Text::new(parent), parent: info.parent.as_ref().map(Neighbour::new) })
}

fn targets(info: &Info) -> Option<Vec<Range>> {
    let range = |target: &crate::dm::Target| Range { start_sector: target.start, sectors: target.length, kind: Text::new(&target.kind) };
    info.targets.as_ref().map(|targets| targets.iter().map(range).collect())
}

fn udev(info: &Info) -> Udev {
    let record = info.udev.clone().unwrap_or_default();
    Udev {
        running: info.udevd,
        processed: info.udev.is_some(),
        initialized_usec: record.initialized_usec(),
        flags: record.flags().properties().collect(),
        link_priority: record.link_priority(),
        links: sorted(record.links().map(|link| [b"/dev/", link].concat()).collect()),
        tags: sorted(record.tags().map(<[u8]>::to_vec).collect()),
    }
}

/// udev keeps them in no order; a reader who compares wants one.
fn sorted(mut texts: Vec<Vec<u8>>) -> Vec<Text> {
    texts.sort();
    texts.into_iter().map(Text).collect()
}

#[cfg(test)]
mod tests;
