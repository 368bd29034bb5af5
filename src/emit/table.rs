//! A device for a person: aligned lines, safe for any terminal, as narrow as the names in them allow.

use crate::cookie::Flags;
use crate::dm::Target;
use crate::info::{Info, Related, State};
use crate::name::{self, DmUuid, Owner, dashed_uuid};
use crate::text::printable;

/// Width of the labels' column: a UUID of LVM's beside it ends at column 80.
const LABEL: usize = 12;

/// What is known of one device, a line for each fact; facts that only root learns are left out for others.
pub fn info(info: &Info) -> String {
    let mut rows = Rows::default();
    identity(info, &mut rows);
    rows.push("State", state(info));
    if let Some(sectors) = info.size {
        rows.push("Size", format!("{} ({sectors} sectors)", size(sectors)));
    }
    if let Some(details) = info.device.details {
        rows.push("Opened", times(details.open_count));
        rows.push("Event", format!("number {}", details.event_number));
    }
    if let Some(targets) = &info.targets {
        rows.list("Table", table(targets), "none");
    }
    rows.list("Uses", info.dependencies.iter().map(related), "no other device");
    rows.list("Used by", info.dependants.iter().map(related), "no other device");
    udev(info, &mut rows);
    rows.0
}

#[derive(Default)]
struct Rows(String);

impl Rows {
    fn push(&mut self, label: &str, value: impl AsRef<str>) {
        self.0.push_str(&format!("{label:LABEL$}{}\n", value.as_ref()));
    }

    /// One value a line, the label before the first.
    fn list(&mut self, label: &str, values: impl IntoIterator<Item = String>, none: &str) {
        let mut label = label;
        for value in values {
            self.push(label, value);
            label = "";
        }
        if !label.is_empty() {
            self.push(label, none);
        }
    }
}

fn identity(info: &Info, rows: &mut Rows) {
    let name = info.device.name.to_string();
    let meant = name::unmangled(&info.device.name).map(|bytes| printable(&bytes)).filter(|meant| *meant != name);
    rows.push("Name", name);
    if let Some(meant) = meant {
        rows.push("Meant as", meant);
    }
    rows.push("Number", info.device.devno.to_string());
    rows.push("UUID", info.device.uuid.as_ref().map_or("none".to_string(), DmUuid::to_string));
    if let Some(owner) = owner(info) {
        rows.push("Owner", owner);
    }
}

/// Who made the device, and what for.
fn owner(info: &Info) -> Option<String> {
    let subsystem = name::subsystem(info.device.uuid.as_ref()?)?;
    let text = |bytes: &[u8]| printable(bytes);
    Some(match info.owner() {
        Owner::Lvm { .. } => {
            let parts = info.device.name.lvm_parts();
            let volume = format!("volume {} in group {}", text(&parts.lv), text(&parts.vg));
            match parts.layer.as_slice() {
                [] => format!("{subsystem}, {volume}"),
                layer => format!("{subsystem}, layer {} of {volume}", text(layer)),
            }
        }
        Owner::Crypt { kind, payload, name } => {
            let mut words = format!("{subsystem}, {}", text(kind));
            if let Some(payload) = payload {
                words.push_str(&format!(", payload {}", text(&dashed_uuid(payload))));
            }
            if name != info.device.name.as_bytes() {
                words.push_str(&format!(", opened as {}", text(name)));
            }
            words
        }
        Owner::Multipath { wwid } => format!("{subsystem}, WWID {}", text(wwid)),
        Owner::Partition { number, parent } => match &info.parent {
            Some(parent) => format!("{subsystem}, partition {number} of {}", related(parent)),
            None => format!("{subsystem}, partition {number} of {}", text(parent)),
        },
        Owner::Other { .. } | Owner::Unknown => subsystem,
    })
}

fn state(info: &Info) -> String {
    let mut words = vec![match info.state() {
        State::Active => "active",
        State::Suspended => "suspended",
        State::NoTable => "no table",
        State::Unknown => "not suspended, size 0",
    }];
    if info.state() == State::Suspended && info.live_table() == Some(false) {
        words.push("no table");
    }
    if info.read_only == Some(true) {
        words.push("read-only");
    }
    if let Some(details) = info.device.details {
        let more = [
            (details.internal_suspend, "suspended by the kernel"),
            (details.inactive_table, "another table is loaded, waiting for a resume"),
            (details.deferred_remove, "to be removed when closed"),
        ];
        words.extend(more.iter().filter(|(is_so, _)| *is_so).map(|(_, words)| *words));
    }
    words.join(", ")
}

fn times(count: i32) -> String {
    match count {
        0 => "no".to_string(),
        1 => "once".to_string(),
        count => format!("{count} times"),
    }
}

/// A line for each range, its numbers under each other.
fn table(targets: &[Target]) -> Vec<String> {
    let last = |target: &Target| target.start.saturating_add(target.length).saturating_sub(1);
    let width = |number: &dyn Fn(&Target) -> u64| targets.iter().map(|t| number(t).to_string().len()).max().unwrap_or(0);
    let (starts, ends) = (width(&|target| target.start), width(&last));
    let kinds = targets.iter().map(|target| printable(&target.kind).len()).max().unwrap_or(0);
    let line = |target: &Target| {
        let kind = printable(&target.kind);
        format!("{kind:kinds$}  sectors {:starts$} to {:ends$}  ({})", target.start, last(target), size(target.length))
    };
    targets.iter().map(line).collect()
}

/// A neighbour's name and number; the number alone where no name is known.
fn related(other: &Related) -> String {
    match &other.name {
        Some(name) => format!("{} ({})", printable(name), other.devno),
        None => other.devno.to_string(),
    }
}

fn udev(info: &Info, rows: &mut Rows) {
    let Some(record) = &info.udev else {
        rows.push("Udev", if info.udevd { "has not processed it yet" } else { "has not processed it: udevd is not running" });
        return;
    };
    rows.push("Udev", if info.udevd { "has processed it" } else { "had processed it; udevd is not running now" });
    let prefix = info.device.uuid.as_ref().map_or(&b""[..], DmUuid::prefix);
    let flags: Flags = record.flags();
    rows.list("Flags", super::telling(flags).words(prefix).map(str::to_string), "none");
    if record.link_priority() != 0 {
        rows.push("Priority", format!("{} for its links, where other devices claim them too", record.link_priority()));
    }
    let mut links: Vec<_> = record.links().map(|link| format!("/dev/{}", printable(link))).collect();
    links.sort();
    rows.list("Links", links, "none");
}

/// Sectors of 512 bytes as a size with three digits or four.
pub(super) fn size(sectors: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let bytes = u128::from(sectors) * 512;
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut unit, mut at) = (1024_u128, 0);
    while bytes >= unit * 1024 && at + 1 < UNITS.len() {
        unit *= 1024;
        at += 1;
    }
    let name = UNITS.get(at).copied().unwrap_or_default();
    // Rounded down: a device is never shown larger than it is.
    let tenths = bytes * 10 / unit;
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, tenth) => format!("{whole}.{tenth} {name}"),
    }
}

#[cfg(test)]
mod tests;
