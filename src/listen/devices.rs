//! The devices that are known, their links and their records: what a new record of one of them changes is done here.

use std::collections::BTreeMap;
use std::path::Path;

use crate::devno::Devno;
use crate::error::Result;
use crate::nodes::apply::{Dev, Node};
use crate::udevdb::{Database, Record};

/// Bytes of a usual record, and of a large one.
const USUAL: usize = 1 << 10;
pub(super) const LARGE: usize = 16 << 10;

/// A device that is known.
#[derive(Debug)]
struct Known {
    node: Node,
    /// As its record says.
    priority: i32,
    record: Record,
}

impl Default for Known {
    fn default() -> Self {
        Self { node: Node::new(), priority: 0, record: Record::with_capacity(USUAL) }
    }
}

/// All devices that are known.
#[derive(Debug)]
pub(super) struct Devices {
    known: BTreeMap<Devno, Known>,
    dev: Dev,
    database: Database,
    /// The record that a device had before: memory that is used again.
    old: Record,
}

impl Devices {
    /// None yet; links go below `dev` (`/dev`), records below `run_udev` (`/run/udev`).
    pub(super) fn new(dev: &Path, run_udev: &Path) -> Self {
        Self { known: BTreeMap::new(), dev: Dev::new(dev), database: Database::new(run_udev), old: Record::with_capacity(LARGE) }
    }

    /// Takes over a record that somebody has written before. Of a device that is gone the node's name is not known any
    /// more: its links tell it.
    pub(super) fn remember(&mut self, devno: Devno, node: Option<Node>, record: &Record) {
        let known = self.known.entry(devno).or_default();
        known.node = node.or_else(|| texts(record.links()).find_map(|link| self.dev.node_of(link))).unwrap_or_default();
        known.priority = record.link_priority();
        known.record.copy_from(record);
    }

    /// All of them.
    pub(super) fn devnos(&self) -> impl Iterator<Item = Devno> {
        self.known.keys().copied()
    }

    /// What is recorded of a device.
    pub(super) fn record(&self, devno: Devno) -> Option<&Record> {
        self.known.get(&devno).map(|known| &known.record)
    }

    /// Makes the kernel's node where no devtmpfs has made it.
    pub(super) fn make_node(&mut self, node: Node, devno: Devno) -> Result<()> {
        self.dev.node(&node, devno).map(drop)
    }

    /// Gives a device the links of its new record, takes the others away, and keeps the record. What is as it should be
    /// is not touched. Goes on after failures and returns the last one.
    pub(super) fn update(&mut self, devno: Devno, node: Node, record: &Record) -> Result<()> {
        let linked = self.relink(devno, node, record);
        if self.old == *record && self.database.holds(devno) {
            return linked;
        }
        self.database.write(devno, record).and(linked)
    }

    /// Removes a device that is gone, with its links and its record.
    pub(super) fn remove(&mut self, devno: Devno) -> Result<()> {
        let node = self.known.get(&devno).map(|known| known.node);
        let unlinked = node.map_or(Ok(()), |node| self.relink(devno, node, &Record::default()));
        self.known.remove(&devno);
        self.database.remove(devno).and(unlinked)
    }

    /// Puts the new record in the place of the old one and brings the links to what it says.
    fn relink(&mut self, devno: Devno, node: Node, record: &Record) -> Result<()> {
        let Self { known, dev, old, .. } = self;
        let device = known.entry(devno).or_default();
        let old_node = std::mem::replace(&mut device.node, node);
        old.copy_from(&device.record);
        device.record.copy_from(record);
        device.priority = record.link_priority();
        let mut outcome = Ok(());
        // Who still claims a link that is given up gets it.
        for link in texts(old.links()).filter(|link| !record.links().any(|kept| kept == link.as_bytes())) {
            let released = match best_claimant(known, link, i32::MIN) {
                Some(best) => dev.link(link, &best.node),
                None => dev.unlink(link, &old_node),
            };
            outcome = released.map(drop).and(outcome);
        }
        // Only a higher priority keeps a link from this device: among equals the latest wins.
        let above = record.link_priority().saturating_add(1);
        for link in texts(record.links()) {
            let winner = best_claimant(known, link, above).map_or(node, |best| best.node);
            outcome = dev.link(link, &winner).map(drop).and(outcome);
        }
        outcome
    }
}

/// Of the devices that claim a link, with at least this priority, the one with the highest.
fn best_claimant<'a>(known: &'a BTreeMap<Devno, Known>, link: &str, least: i32) -> Option<&'a Known> {
    let claims = |known: &&Known| known.priority >= least && known.record.links().any(|claimed| claimed == link.as_bytes());
    known.values().filter(claims).max_by_key(|known| known.priority)
}

/// Links that are text: all that we make.
pub(super) fn texts<'a>(links: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a str> {
    links.filter_map(|link| str::from_utf8(link).ok())
}
