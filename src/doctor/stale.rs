//! Links and nodes that outlived their devices.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::repair::Repair;
use crate::explain::links::{self, Found};
use crate::explain::world::World;
use crate::explain::{Finding, reason, word_of};
use crate::name::mangle;
use crate::nodes::component::Component;
use crate::text::printable;
use crate::udevdb::Record;

/// Everything in /dev/mapper that no device answers for, and links elsewhere that lead to nodes of devices that are gone.
pub(super) fn find(world: &World<'_>) -> Vec<(Finding, Option<Repair>)> {
    let dev = &world.places.roots.dev;
    let mut found = Vec::new();
    let known = known(world);
    for name in names(&dev.join("mapper")) {
        if name != "control" && !known.contains(name.as_bytes()) {
            found.extend(entry(world, &format!("mapper/{name}")));
        }
    }
    let nodes: BTreeSet<String> = names(dev).into_iter().collect();
    let folders = names(&dev.join("disk")).into_iter().map(|name| format!("disk/{name}"));
    let groups = nodes.iter().filter(|name| !["disk", "mapper", "block", "char"].contains(&name.as_str())).cloned();
    for folder in folders.chain(groups) {
        if !dev.join(&folder).symlink_metadata().is_ok_and(|file| file.is_dir()) {
            continue;
        }
        // Of thousands of links all but a few lead to a node beside the folder: that need not be asked of each.
        let up = "../".repeat(folder.split('/').count());
        let leads_to_a_node = |target: &Path| {
            let node = target.to_str().and_then(|target| target.strip_prefix(&up));
            node.is_some_and(|node| nodes.contains(node))
        };
        for name in names(&dev.join(&folder)) {
            let path = format!("{folder}/{name}");
            let Ok(target) = fs::read_link(dev.join(&path)) else { continue };
            if is_dm_node(&target) && !leads_to_a_node(&target) && matches!(links::look(&world.places.roots, &path), Found::Dangling(_)) {
                // udev removes none that it does not know of, and what lies outside of /dev/mapper is not ours to remove.
                let remove = format!("rm {}", shell(&path));
                found.push((about(&reason::STALE_LINK, &path, &remove).with("detail", text(&target)), None));
            }
        }
    }
    found
}

/// All names that entries may have: as the kernel holds them, and as libdevmapper and udev write those.
fn known(world: &World<'_>) -> BTreeSet<Vec<u8>> {
    let names = world.survey.devices().iter().map(|device| device.name);
    let written = |name: &[u8]| {
        let link = Component::new(name).map(|name| name.to_string().into_bytes());
        [Some(name.to_vec()), Some(mangle(name).as_bytes().to_vec()), link].into_iter().flatten()
    };
    names.flat_map(|name| written(name.as_bytes())).collect()
}

/// An entry of /dev/mapper that bears no device's name.
fn entry(world: &World<'_>, path: &str) -> Option<(Finding, Option<Repair>)> {
    let found = links::look(&world.places.roots, path);
    let repair = || Some(Repair::Remove(path.to_string()));
    match &found {
        // A person's own link to a disk that is not plugged in now, say.
        Found::Dangling(target) if !is_dm_node(target) => {
            let remove = format!("If nothing uses it: rm {}", shell(path));
            Some((about(&reason::STALE_LINK, path, &remove).with("detail", text(target)), None))
        }
        Found::Dangling(target) => {
            Some((about(&reason::STALE_LINK, path, "dmhelper doctor --fix --yes").with("detail", text(target)), repair()))
        }
        Found::Node(devno) if world.survey.sysfs(*devno).kernel_name().is_none() && world.survey.listed(*devno).is_none() => {
            Some((about(&reason::STALE_NODE, path, "").with("detail", devno.to_string()), repair()))
        }
        Found::Link(devno) | Found::Node(devno) => {
            // Where there is no record, as in a container, nobody knows what udev has made.
            let record = Record::read(&world.places.roots.run_udev, *devno).ok().flatten()?;
            let known = record.links().any(|link| link == path.as_bytes());
            (!known).then(|| (about(&reason::MISPLACED, path, &world.name(*devno)), None))
        }
        Found::Missing | Found::NoNode(_) | Found::Other(_) => None,
    }
}

fn about(reason: &'static reason::Reason, path: &str, other: &str) -> Finding {
    Finding::new(reason).with("link", format!("/dev/{}", printable(path.as_bytes()))).with("other", other)
}

/// The entry as a word of a command line.
fn shell(path: &str) -> String {
    let path = format!("/dev/{path}");
    word_of(path.as_bytes()).unwrap_or_else(|| printable(path.as_bytes()))
}

fn text(path: &Path) -> String {
    printable(path.as_os_str().as_encoded_bytes())
}

/// `../../dm-3` and the like.
pub(super) fn is_dm_node(target: &Path) -> bool {
    let name = target.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("dm-"));
    name.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The entries of a directory, sorted; those that are no text are nobody's.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink() || kind.is_block_device()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
