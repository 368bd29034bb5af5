//! The columns of `dmhelper ls`: one table of facts, from which the listing, its help, the man page's check and the
//! shells' completions come.

pub mod choice;
pub mod filter;
pub mod layout;
pub mod value;

use crate::devno::Devno;
use crate::info::State;
use crate::name::{self, LvmParts, Owner};
use crate::survey::Subject;
use value::{Kind, Value};

/// How a column gives way when a terminal is too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Not at all.
    Whole,
    /// Its cells are cut, visibly, down to so many characters.
    Cut(usize),
    /// The same, but only after all others.
    CutLast(usize),
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// What it is called: on the command line, and as a key of JSON.
    pub name: &'static str,
    /// What it holds, for people.
    pub help: &'static str,
    /// What its cells are.
    pub kind: Kind,
    /// Whether it gives way.
    pub width: Width,
    /// Whether its cells are empty for those who may not use the control node.
    pub needs_root: bool,
    /// A device's cell.
    pub extract: fn(&Subject<'_>) -> Value,
}

/// What the layout needs to know of a column.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// What it is called.
    pub name: &'static str,
    /// What its cells are.
    pub kind: Kind,
    /// Whether it gives way.
    pub width: Width,
}

impl Shape {
    /// What stands above it.
    pub fn heading(&self) -> String {
        self.name.to_uppercase()
    }
}

impl Column {
    /// What the layout needs to know of it.
    pub fn shape(&self) -> Shape {
        Shape { name: self.name, kind: self.kind, width: self.width }
    }
}

/// What is shown when nothing else is asked for.
pub const DEFAULT: &str = "name,devno,size,state,subsystem,deps,mounts";

/// The one table of columns.
#[rustfmt::skip]
pub const COLUMNS: [Column; 26] = [
    column("name", "name, as the kernel holds it", Kind::Text, Width::CutLast(16), |s| Value::Text(s.device().name.as_bytes().to_vec())),
    column("meant", "name with \\xNN turned back into what it stands for", Kind::Text, Width::CutLast(16), meant),
    column("uuid", "UUID", Kind::Text, Width::Cut(8), |s| text(s.device().uuid.as_ref().map(|uuid| uuid.as_bytes()))),
    column("devno", "device number, MAJOR:MINOR", Kind::Devno, Width::Whole, |s| Value::Devno(s.device().devno)),
    column("major", "major number", Kind::Number, Width::Whole, |s| Value::Number(s.device().devno.major().into())),
    column("minor", "minor number", Kind::Number, Width::Whole, |s| Value::Number(s.device().devno.minor().into())),
    column("kernel", "the kernel's internal name", Kind::Text, Width::Whole, |s| text(s.sysfs().kernel_name())),
    column("size", "size: in bytes where the output is no terminal", Kind::Size, Width::Whole, |s| s.size().map_or(Value::None, Value::Size)),
    column("state", "active, suspended or no_table", Kind::Text, Width::Whole, state),
    column("read_only", "whether writes are refused", Kind::Flag, Width::Whole, |s| s.read_only().map_or(Value::None, Value::Flag)),
    column("read_ahead", "how far the kernel reads ahead, in sectors of 512 bytes", Kind::Number, Width::Whole, |s| number(s.sysfs().read_ahead())),
    column("diskseq", "the kernel's number of this very device, never used again", Kind::Number, Width::Whole, |s| number(s.sysfs().diskseq())),
    column("open", "how often it is open", Kind::Number, Width::Whole, |s| number(s.details().map(|details| details.open_count))).root(),
    column("events", "number of the last device-mapper event", Kind::Number, Width::Whole, events).root(),
    column("tables", "tables: live, inactive, both or none", Kind::Text, Width::Whole, tables).root(),
    column("segments", "number of ranges in the live table", Kind::Number, Width::Whole, |s| number(s.details().map(|details| details.segments))).root(),
    column("targets", "types of these ranges", Kind::List, Width::Cut(8), targets).root(),
    column("subsystem", "who made it, by the UUID", Kind::Text, Width::Cut(8), |s| text(s.device().uuid.as_ref().and_then(name::subsystem))),
    column("vg", "volume group, of LVM's", Kind::Text, Width::Cut(8), |s| lvm(s, |parts| &parts.vg)),
    column("lv", "logical volume, of LVM's", Kind::Text, Width::Cut(8), |s| lvm(s, |parts| &parts.lv)),
    column("layer", "layer of that volume, of LVM's", Kind::Text, Width::Whole, |s| lvm(s, |parts| &parts.layer)),
    column("deps", "devices that it uses", Kind::Devices, Width::Cut(8), deps),
    column("dependants", "devices that use it", Kind::Devices, Width::Cut(8), dependants),
    column("links", "links that lead to it, by udev's record", Kind::List, Width::Cut(8), links),
    column("mounts", "where it is mounted, or [swap]", Kind::List, Width::Cut(8), mounts),
    column("udev", "whether udev has processed it", Kind::Flag, Width::Whole, |s| Value::Flag(s.record().is_some())),
];

const fn column(name: &'static str, help: &'static str, kind: Kind, width: Width, extract: fn(&Subject<'_>) -> Value) -> Column {
    Column { name, help, kind, width, needs_root: false, extract }
}

impl Column {
    const fn root(mut self) -> Self {
        self.needs_root = true;
        self
    }
}

fn text(bytes: Option<impl AsRef<[u8]>>) -> Value {
    bytes.map_or(Value::None, |bytes| Value::Text(bytes.as_ref().to_vec()))
}

fn number<N: TryInto<i64>>(number: Option<N>) -> Value {
    number.and_then(|number| number.try_into().ok()).map_or(Value::None, Value::Number)
}

fn meant(subject: &Subject<'_>) -> Value {
    let name = &subject.device().name;
    Value::Text(name::unmangled(name).unwrap_or_else(|| name.as_bytes().to_vec()))
}

fn state(subject: &Subject<'_>) -> Value {
    text(state_word(subject.state()))
}

/// A state's word in columns and in JSON.
pub fn state_word(state: State) -> Option<&'static str> {
    match state {
        State::Active => Some("active"),
        State::Suspended => Some("suspended"),
        State::NoTable => Some("no_table"),
        State::Unknown => None,
    }
}

/// The list tells it, on kernels that are not too old.
fn events(subject: &Subject<'_>) -> Value {
    number(subject.device().event_number.or_else(|| subject.details().map(|details| details.event_number)))
}

fn tables(subject: &Subject<'_>) -> Value {
    text(subject.details().map(|details| match (details.live_table, details.inactive_table) {
        (true, true) => "both",
        (true, false) => "live",
        (false, true) => "inactive",
        (false, false) => "none",
    }))
}

fn targets(subject: &Subject<'_>) -> Value {
    let Some(targets) = subject.targets() else { return Value::None };
    let mut kinds: Vec<Vec<u8>> = Vec::new();
    for target in targets {
        if !kinds.contains(&target.kind) {
            kinds.push(target.kind.clone());
        }
    }
    Value::List(kinds)
}

fn lvm(subject: &Subject<'_>, part: fn(&LvmParts) -> &[u8]) -> Value {
    match subject.owner() {
        Owner::Lvm { .. } => match part(&subject.device().name.lvm_parts()) {
            [] => Value::None,
            part => Value::Text(part.to_vec()),
        },
        _ => Value::None,
    }
}

fn deps(subject: &Subject<'_>) -> Value {
    subject.uses().map_or(Value::None, |numbers| devices(subject, numbers))
}

fn dependants(subject: &Subject<'_>) -> Value {
    match subject.sysfs().dependants() {
        // One that is not in sysfs has no table, and none that is known.
        none if none.is_empty() && subject.sysfs().kernel_name().is_none() => Value::None,
        numbers => devices(subject, numbers),
    }
}

fn devices(subject: &Subject<'_>, numbers: Vec<Devno>) -> Value {
    Value::Devices(numbers.into_iter().map(|devno| subject.survey().relate(devno)).collect())
}

fn links(subject: &Subject<'_>) -> Value {
    let Some(record) = subject.record() else { return Value::None };
    let mut links: Vec<_> = record.links().map(|link| [b"/dev/", link].concat()).collect();
    links.sort();
    Value::List(links)
}

fn mounts(subject: &Subject<'_>) -> Value {
    let (survey, devno) = (subject.survey(), subject.device().devno);
    let mounted = survey.mounts(devno).iter().map(|mount| mount.at.clone());
    Value::List(mounted.chain(survey.is_swap(devno).then(|| b"[swap]".to_vec())).collect())
}

#[cfg(test)]
mod tests;
