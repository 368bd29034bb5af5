//! Bringing /dev/mapper to the kernel's list: what `dmsetup mknodes` is for, with links, and each change atomic.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::Diagnosis;
use super::stale::is_dm_node;
use crate::cookie::Flags;
use crate::decision::{Action, Decision, Event};
use crate::devno::Devno;
use crate::dm::sysfs::Sysfs;
use crate::error::{Error, Result};
use crate::explain::Places;
use crate::explain::facts::Facts;
use crate::explain::links::{self, Found, Link};
use crate::explain::world::World;
use crate::nodes::apply::Dev;
use crate::nodes::plan;
use crate::text::printable;
use crate::udevdb::Record;

/// A safe change. Paths are relative to /dev.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Make the path a link to this device's node, whatever link or block node is there.
    Link {
        /// `mapper/NAME`.
        path: String,
        /// The kernel's name of the node.
        node: String,
        /// The device.
        devno: Devno,
    },
    /// Make the node, which this /dev lacks, and to which the device's link leads.
    Node {
        /// The kernel's name of it.
        node: String,
        /// The device.
        devno: Devno,
    },
    /// Remove what is left over.
    Remove(String),
}

/// The repair of a device's link: of its name, where a link is to be, and where udev is not just about to make it.
pub(super) fn of(world: &World<'_>, facts: &Facts, link: &Link) -> Option<Repair> {
    let unwanted = facts.info.udev.as_ref().is_some_and(|record| record.flags().contains(Flags::DISABLE_DM_RULES));
    let wanted = link.path.starts_with("mapper/") && link.expected && !unwanted && !world.service.busy;
    let devno = facts.info.device.devno;
    let node = String::from_utf8(world.survey.sysfs(devno).kernel_name()?).ok()?;
    match link.found {
        _ if !wanted => None,
        Found::Other(_) => None, // in the way
        Found::NoNode(other) if other == devno => Some(Repair::Node { node, devno }),
        _ => Some(Repair::Link { path: link.path.clone(), node, devno }),
    }
}

impl Repair {
    /// What it does, or would do.
    pub fn words(&self, done: bool) -> String {
        let text = |path: &str| printable(path.as_bytes());
        match (self, done) {
            (Repair::Link { path, node, .. }, true) => format!("linked /dev/{} to {node}", text(path)),
            (Repair::Link { path, node, .. }, false) => format!("would link /dev/{} to {node}", text(path)),
            (Repair::Node { node, .. }, true) => format!("made /dev/{node}"),
            (Repair::Node { node, .. }, false) => format!("would make /dev/{node}"),
            (Repair::Remove(path), true) => format!("removed /dev/{}", text(path)),
            (Repair::Remove(path), false) => format!("would remove /dev/{}", text(path)),
        }
    }

    /// Does it, if it is still due. Tells whether it changed anything.
    fn apply(&self, places: &Places) -> Result<bool> {
        let mut dev = Dev::new(&places.roots.dev);
        let sys = &places.roots.sys;
        // The number may be another device's by now, or nobody's.
        let still_its = |node: &str, devno: Devno| Sysfs::new(sys, devno).kernel_name().as_deref() == Some(node.as_bytes());
        match self {
            Repair::Link { path, node, devno } => {
                if !still_its(node, *devno) || !still_named(places, *devno, path) {
                    return Ok(false);
                }
                dev.node(node, *devno)?;
                dev.link(path, node)
            }
            Repair::Node { node, devno } => Ok(still_its(node, *devno) && dev.node(node, *devno)?),
            Repair::Remove(path) => {
                let exists = |devno: Devno| Sysfs::new(sys, devno).kernel_name().is_some();
                let stale = match links::look(&places.roots, path) {
                    Found::Dangling(target) => is_dm_node(&target),
                    Found::Node(devno) => !exists(devno),
                    Found::Missing | Found::Link(_) | Found::NoNode(_) | Found::Other(_) => false,
                };
                let path = places.roots.dev.join(path);
                let removed = stale.then(|| fs::remove_file(&path)).transpose();
                removed.map(|done| done.is_some()).map_err(|error| Error::io("remove", path.as_os_str().as_bytes(), &error))
            }
        }
    }
}

/// A device may have been renamed since it was looked at.
fn still_named(places: &Places, devno: Devno, path: &str) -> bool {
    let event =
        Event { action: Action::Change, cookie: None, synthetic: true, refresh: false, disk_ro: false, recorded: Flags::PRIMARY_SOURCE };
    let device = Sysfs::new(&places.roots.sys, devno).device();
    device.is_ok_and(|device| {
        let mut named = false;
        plan::links(&Decision::of(&event), &device, None, &Record::default(), |link| named |= link.to_string() == path);
        named
    })
}

/// Repairs everything that can be; each change and each failure in a line. Tells how many troubles are left.
pub fn all(diagnosis: &Diagnosis, places: &Places, yes: bool) -> (Vec<String>, Vec<Error>, usize) {
    let (mut lines, mut failures) = (Vec::new(), Vec::new());
    let mut left = diagnosis.troubles.len();
    for repair in diagnosis.troubles.iter().filter_map(|trouble| trouble.repair.as_ref()) {
        match yes.then(|| repair.apply(places)).transpose() {
            Ok(Some(true)) => {
                left -= 1;
                lines.push(repair.words(true));
            }
            Ok(Some(false)) => left -= 1, // It went away by itself.
            Ok(None) => lines.push(repair.words(false)),
            Err(error) => failures.push(error),
        }
    }
    (lines, failures, left)
}
