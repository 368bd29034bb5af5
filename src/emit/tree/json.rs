//! The stack for a program: a flat array, whose objects name those below and above by number.

use serde::Serialize;

use crate::emit::columns::state_word;
use crate::emit::json::{Text, pretty};
use crate::error::Result;
use crate::survey::graph::{Graph, Node};
use crate::survey::{Mount, Survey};

#[derive(Serialize)]
struct Object {
    devno: String,
    name: Option<Text>,
    kernel: Option<Text>,
    device_mapper: bool,
    what: String,
    group: Option<String>,
    size_bytes: Option<u64>,
    state: Option<&'static str>,
    read_only: bool,
    private: bool,
    failed_path: bool,
    health: Vec<String>,
    troubles: Vec<String>,
    mounts: Vec<Mounted>,
    swap: bool,
    below: Vec<String>,
    above: Vec<String>,
}

#[derive(Serialize)]
struct Mounted {
    at: Text,
    root: Text,
    fs_type: Text,
    read_only: bool,
}

/// An array with an object for each device, by number.
pub fn json(graph: &Graph, survey: &Survey<'_>) -> Result<String> {
    pretty(&graph.nodes().map(|node| object(node, survey)).collect::<Vec<_>>())
}

fn object(node: &Node, survey: &Survey<'_>) -> Object {
    let numbers = |devices: &[crate::devno::Devno]| devices.iter().map(ToString::to_string).collect();
    Object {
        devno: node.device.devno.to_string(),
        name: node.device.name.as_ref().map(Text::new),
        kernel: survey.sysfs(node.device.devno).kernel_name().map(|name| Text::new(&name)),
        device_mapper: node.device.device_mapper,
        what: node.what.clone(),
        group: node.group.clone(),
        size_bytes: node.size.and_then(|sectors| sectors.checked_mul(512)),
        state: node.state.and_then(state_word),
        read_only: node.read_only,
        private: node.private,
        failed_path: node.failed_path,
        health: node.health.words.clone(),
        troubles: node.health.troubles.clone(),
        mounts: node.mounts.iter().map(mounted).collect(),
        swap: node.swap,
        below: numbers(&node.below),
        above: numbers(&node.above),
    }
}

fn mounted(mount: &Mount) -> Mounted {
    Mounted { at: Text::new(&mount.at), root: Text::new(&mount.root), fs_type: Text::new(&mount.kind), read_only: mount.read_only }
}
