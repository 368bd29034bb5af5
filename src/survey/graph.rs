//! What stands on what: block devices and the edges between them, gathered once for drawing.

use std::collections::{BTreeMap, BTreeSet};

use super::status::{Health, health};
use super::{Mount, Subject, Survey, steady};
use crate::cookie::Flags;
use crate::devno::Devno;
use crate::info::{Related, State};
use crate::name::{self, LvmParts, Owner};
use crate::text::printable;

/// A device of a graph.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its number and name.
    pub device: Related,
    /// Those of the graph's devices that it uses, by name.
    pub below: Vec<Devno>,
    /// Those of the graph's devices that use it, by name.
    pub above: Vec<Devno>,
    /// Size in sectors of 512 bytes.
    pub size: Option<u64>,
    /// What it can be used for now; `None` for devices of other kinds.
    pub state: Option<State>,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether it is a part of another device, not for use by itself.
    pub private: bool,
    /// What it is, in words.
    pub what: String,
    /// The volume group that it belongs to.
    pub group: Option<String>,
    /// What its tables tell.
    pub health: Health,
    /// Whether it is a path that multipath has given up.
    pub failed_path: bool,
    /// Where it is mounted.
    pub mounts: Vec<Mount>,
    /// Whether the kernel swaps to it.
    pub swap: bool,
}

/// Devices and what they stand on. Sysfs should have no cycle, but nothing here depends on that.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: BTreeMap<Devno, Node>,
    torn: bool,
}

/// The edges found so far.
#[derive(Default)]
struct Edges {
    below: BTreeMap<Devno, BTreeSet<Devno>>,
    above: BTreeMap<Devno, BTreeSet<Devno>>,
}

impl Graph {
    /// Everything that the wanted devices stand on, and everything that stands on them.
    pub fn of(survey: &Survey<'_>, wanted: &[Devno]) -> Self {
        let mut edges = Edges::default();
        let below = closure(wanted, |devno| survey.below(devno), |upper, lower| edges.add(upper, lower));
        let above = closure(wanted, |devno| survey.above(devno), |lower, upper| edges.add(upper, lower));
        Self::drawn(survey, &edges, below.union(&above))
    }

    /// Every device-mapper device, all that these stand on, and all that stands on them: as [`Graph::of`] each of them.
    /// Where each is asked what it uses, none need be asked who uses it.
    pub fn of_all(survey: &Survey<'_>) -> Self {
        let mut edges = Edges::default();
        let all: Vec<Devno> = survey.devices().devnos().collect();
        let below = closure(&all, |devno| survey.below(devno), |upper, lower| edges.add(upper, lower));
        let mut on_top = BTreeSet::new();
        for other in survey.others_above() {
            for lower in survey.below(other).into_iter().filter(|lower| survey.listed(*lower).is_some()) {
                edges.add(other, lower);
                on_top.insert(other);
            }
        }
        let on_top: Vec<Devno> = on_top.into_iter().collect();
        let above = closure(&on_top, |devno| survey.above(devno), |lower, upper| edges.add(upper, lower));
        Self::drawn(survey, &edges, below.union(&above))
    }

    fn drawn<'d>(survey: &Survey<'_>, edges: &Edges, devices: impl IntoIterator<Item = &'d Devno>) -> Self {
        let mut graph = Self::default();
        for devno in devices {
            // One that vanishes meanwhile is left out.
            if let Some((node, same)) = Node::new(survey, *devno) {
                graph.torn |= !same;
                graph.nodes.insert(*devno, node);
            }
        }
        let order: BTreeMap<Devno, Vec<u8>> = graph.nodes.iter().map(|(devno, node)| (*devno, node.name().into_bytes())).collect();
        let sorted = |found: Option<&BTreeSet<Devno>>| {
            let mut found: Vec<_> = found.into_iter().flatten().copied().filter(|devno| order.contains_key(devno)).collect();
            found.sort_by(|a, b| order.get(a).cmp(&order.get(b)).then(a.cmp(b)));
            found
        };
        let failed: BTreeSet<Devno> = graph.nodes.values().flat_map(|node| node.health.failed_paths.iter().copied()).collect();
        for (devno, node) in &mut graph.nodes {
            node.below = sorted(edges.below.get(devno));
            node.above = sorted(edges.above.get(devno));
            node.failed_path = failed.contains(devno);
        }
        graph
    }

    /// One device.
    pub fn node(&self, devno: Devno) -> Option<&Node> {
        self.nodes.get(&devno)
    }

    /// Whether a number has become another device's meanwhile, so that what stands below and above is the first one's: to
    /// be gathered again from a new survey.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// All of them, by number.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }
}

impl Edges {
    fn add(&mut self, upper: Devno, lower: Devno) {
        self.below.entry(upper).or_default().insert(lower);
        self.above.entry(lower).or_default().insert(upper);
    }
}

/// The devices that are reached from the first ones; every edge on the way is told, each device asked once.
fn closure(first: &[Devno], next: impl Fn(Devno) -> Vec<Devno>, mut edge: impl FnMut(Devno, Devno)) -> BTreeSet<Devno> {
    let mut reached: BTreeSet<Devno> = first.iter().copied().collect();
    let mut open: Vec<Devno> = reached.iter().copied().collect();
    while let Some(from) = open.pop() {
        for to in next(from) {
            edge(from, to);
            if reached.insert(to) {
                open.push(to);
            }
        }
    }
    reached
}

impl Node {
    /// And whether it is the device that was listed.
    fn new(survey: &Survey<'_>, devno: Devno) -> Option<(Self, bool)> {
        let (mut node, same) = match survey.listed(devno) {
            Some(listed) => steady(survey, &listed, |subject| (Self::of_device_mapper(subject), *subject.device() == listed))?,
            None => (Self::of_other(survey, devno)?, true),
        };
        node.mounts = survey.mounts(devno).to_vec();
        node.swap = survey.is_swap(devno);
        Some((node, same))
    }

    /// The name that people know.
    pub fn name(&self) -> String {
        self.device.name.as_ref().map_or_else(|| self.device.devno.to_string(), |name| printable(name))
    }

    /// What is wrong or unusual, in words; the gravest first.
    pub fn marks(&self) -> Vec<String> {
        let mut marks = self.health.troubles.clone();
        let more = [
            (self.failed_path, "failed path"),
            (self.state == Some(State::Suspended), "suspended"),
            (self.state == Some(State::NoTable), "no table"),
            (self.read_only, "read-only"),
            (self.private, "private"),
        ];
        marks.extend(more.iter().filter(|(is_so, _)| *is_so).map(|(_, word)| (*word).to_string()));
        marks
    }

    fn of_device_mapper(subject: &Subject<'_>) -> Self {
        let device = subject.device();
        // Files first: the query after them confirms that they were the device's.
        let private = is_private(subject);
        let targets = subject.targets();
        let lvm = matches!(subject.owner(), Owner::Lvm { .. }).then(|| device.name.lvm_parts());
        let kinds = targets.unwrap_or_default().iter().map(|target| printable(&target.kind)).collect::<BTreeSet<_>>();
        Self {
            device: Related { devno: device.devno, name: Some(device.name.as_bytes().to_vec()), device_mapper: true },
            below: Vec::new(),
            above: Vec::new(),
            size: subject.size().filter(|size| *size > 0),
            state: Some(subject.state()),
            read_only: subject.read_only() == Some(true),
            private,
            what: what(subject, lvm.as_ref(), &kinds),
            group: lvm.map(|parts| printable(&parts.vg)),
            health: targets.map(health).unwrap_or_default(),
            failed_path: false,
            mounts: Vec::new(),
            swap: false,
        }
    }

    fn of_other(survey: &Survey<'_>, devno: Devno) -> Option<Self> {
        let sysfs = survey.sysfs(devno);
        sysfs.kernel_name()?;
        let text = |name| sysfs.text(name).map(|text| printable(&text));
        let what = if let Some(file) = text("loop/backing_file") {
            format!("loop, {file}")
        } else if let Some(level) = text("md/level") {
            format!("md {level}")
        } else if sysfs.disk().is_some() {
            "partition".to_string()
        } else {
            text("device/model").map_or_else(|| "disk".to_string(), |model| format!("disk, {model}"))
        };
        Some(Self {
            device: survey.relate(devno),
            below: Vec::new(),
            above: Vec::new(),
            size: sysfs.size(),
            state: None,
            read_only: sysfs.read_only() == Some(true),
            private: false,
            what,
            group: None,
            health: Health::default(),
            failed_path: false,
            mounts: Vec::new(),
            swap: false,
        })
    }
}

/// Whether its maker keeps it from everybody else: udev's record says so, or the UUID does.
fn is_private(subject: &Subject<'_>) -> bool {
    let by_uuid = match subject.owner() {
        Owner::Lvm { suffix, .. } => suffix.is_some() || !subject.device().name.lvm_parts().is_visible(),
        Owner::Crypt { kind, .. } => kind == b"TEMP",
        _ => false,
    };
    by_uuid || subject.record().is_some_and(|record| record.flags().contains(Flags::DISABLE_DISK_RULES))
}

/// What a device is: its maker's words for it, then the types of its table's ranges that these do not tell.
fn what(subject: &Subject<'_>, lvm: Option<&LvmParts>, kinds: &BTreeSet<String>) -> String {
    let device = subject.device();
    let text = |bytes: &[u8]| printable(bytes);
    let mut told: &[&str] = &[];
    let words = match (subject.owner(), lvm) {
        // A name with doubled dashes says less of itself.
        (Owner::Lvm { .. }, Some(parts)) if device.name.as_bytes().windows(2).any(|two| two == b"--") => match parts.layer.as_slice() {
            [] => format!("LVM {} in {}", text(&parts.lv), text(&parts.vg)),
            layer => format!("LVM {} of {} in {}", text(layer), text(&parts.lv), text(&parts.vg)),
        },
        (Owner::Crypt { kind, .. }, _) => {
            told = &["crypt", "verity", "integrity"];
            text(kind)
        }
        (Owner::Multipath { .. }, _) => {
            told = &["multipath"];
            "multipath".to_string()
        }
        (Owner::Partition { number, .. }, _) => format!("partition {number} by kpartx"),
        _ => device.uuid.as_ref().and_then(name::subsystem).unwrap_or_default(),
    };
    // That a volume of LVM or a partition is made of ranges of others goes without saying.
    // RAID's status tells which.
    let silent =
        |kind: &&String| told.contains(&kind.as_str()) || kind.as_str() == "raid" || (kind.as_str() == "linear" && !words.is_empty());
    let kinds: Vec<String> = kinds.iter().filter(|kind| !silent(kind)).cloned().collect();
    [words.clone()].into_iter().filter(|words| !words.is_empty()).chain(kinds).collect::<Vec<_>>().join(", ")
}
