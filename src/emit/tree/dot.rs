//! The stack as a graph for Graphviz: what is mounted at the top, disks at the bottom.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::emit::table;
use crate::info::State;
use crate::name::DmUuid;
use crate::survey::Survey;
use crate::survey::graph::{Graph, Node};
use crate::text::printable;

/// Fill colours by who made a device: light, so that black text stands out.
const FILLS: [(&[u8], &str); 4] = [(b"LVM", "#d6e6f5"), (b"CRYPT", "#d9efd7"), (b"mpath", "#e8dcf3"), (b"part", "#efe9dc")];
const FILL: &str = "#fbf3d5";
const FILL_OTHER: &str = "#ececec";

/// The whole graph.
pub fn dot(graph: &Graph, survey: &Survey<'_>) -> String {
    let mut out = String::from(
        "digraph dmhelper {\n\
         \tgraph [rankdir=TB, nodesep=0.25, ranksep=0.4, fontname=\"sans-serif\", fontsize=10, fontcolor=\"#555555\"];\n\
         \tnode [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=11, color=\"#666666\", margin=\"0.12,0.06\"];\n\
         \tedge [color=\"#666666\", arrowsize=0.7, fontname=\"sans-serif\"];\n",
    );
    let mut groups: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
    for node in graph.nodes() {
        match &node.group {
            Some(group) => groups.entry(group).or_default().push(node),
            None => push(&mut out, "\t", &vertex(node, survey)),
        }
    }
    for (at, (group, members)) in groups.iter().enumerate() {
        // Writing to a String cannot fail; so in the rest of this file.
        let _ = write!(
            out,
            "\tsubgraph cluster_{at} {{\n\t\tlabel={}; labeljust=l; style=\"rounded,dashed\"; color=\"#9ab4cc\";\n",
            quoted(&format!("volume group {group}"))
        );
        members.iter().for_each(|node| push(&mut out, "\t\t", &vertex(node, survey)));
        out.push_str("\t}\n");
    }
    for node in graph.nodes() {
        let id = node.device.devno;
        for (at, mount) in mounts(node).iter().enumerate() {
            let _ = writeln!(
                out,
                "\t\"{id} {at}\" [shape=note, style=filled, fillcolor=\"#fffef2\", label={}];\n\t\"{id} {at}\" -> \"{id}\" [arrowhead=none];",
                quoted(mount)
            );
        }
        for other in &node.below {
            let failed = graph.node(*other).is_some_and(|other| other.failed_path) && node.health.failed_paths.contains(other);
            let style = if failed { " [color=\"#c62828\", style=dashed, label=\"failed\", fontcolor=\"#c62828\", fontsize=9]" } else { "" };
            let _ = writeln!(out, "\t\"{id}\" -> \"{other}\"{style};");
        }
    }
    let bottom: String = graph.nodes().filter(|node| node.below.is_empty()).map(|node| format!(" \"{}\";", node.device.devno)).collect();
    let _ = write!(out, "\t{{ rank=sink;{bottom} }}\n}}\n");
    out
}

fn push(out: &mut String, indent: &str, line: &str) {
    let _ = writeln!(out, "{indent}{line}");
}

fn mounts(node: &Node) -> Vec<String> {
    let mounted = node.mounts.iter().map(|mount| format!("{}\n{}", printable(&mount.at), printable(&mount.kind)));
    mounted.chain(node.swap.then(|| "swap".to_string())).collect()
}

fn vertex(node: &Node, survey: &Survey<'_>) -> String {
    let (border, width) = match node {
        node if !node.health.troubles.is_empty() || node.failed_path => ("#c62828", 2),
        node if node.state == Some(State::Suspended) => ("#ef8c00", 2),
        _ => ("#666666", 1),
    };
    let style = if node.private || node.state == Some(State::NoTable) { "rounded,filled,dashed" } else { "rounded,filled" };
    let mut lines = vec![format!("<b>{}</b>", html(&node.name()))];
    let what: Vec<String> = [node.what.clone()].into_iter().filter(|what| !what.is_empty()).chain(node.health.words.clone()).collect();
    lines.extend(what.iter().map(|what| html(what)));
    let size = node.size.map(table::size);
    lines.push(html(&size.into_iter().chain([node.device.devno.to_string()]).collect::<Vec<_>>().join(" · ")));
    let marks: Vec<String> = node.marks().into_iter().filter(|mark| mark != "private").collect();
    if !marks.is_empty() {
        lines.push(format!("<i>{}</i>", html(&marks.join(", "))));
    }
    let label = lines.join("<br/>");
    format!(
        "\"{}\" [label=<{label}>, fillcolor=\"{}\", color=\"{border}\", penwidth={width}, style=\"{style}\"];",
        node.device.devno,
        fill(node, survey)
    )
}

fn fill(node: &Node, survey: &Survey<'_>) -> &'static str {
    if !node.device.device_mapper {
        return FILL_OTHER;
    }
    let uuid = survey.listed(node.device.devno).and_then(|device| device.uuid);
    let prefix = uuid.as_ref().map_or(&b""[..], DmUuid::prefix);
    // The number of a partition is part of its prefix.
    FILLS.iter().find(|(maker, _)| prefix == *maker || (*maker == b"part" && prefix.starts_with(maker))).map_or(FILL, |(_, fill)| fill)
}

/// Text in an HTML-like label.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// A quoted string, in which a line's end is a line's end and a backslash itself.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
