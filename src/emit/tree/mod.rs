//! The whole stack as a tree: from what is mounted down to the disks, or the other way round.

pub mod dot;
pub mod json;

use std::collections::BTreeSet;

use unicode_width::UnicodeWidthStr;

use crate::devno::Devno;
use crate::emit::columns::value::{Kind, Value};
use crate::emit::columns::{Shape, Width, layout};
use crate::emit::deps::Direction;
use crate::info::State;
use crate::survey::graph::{Graph, Node};
use crate::terminal::Terminal;
use crate::text::printable;

/// The lines of a tree.
struct Strokes {
    /// Before a device that has another one after it, and before the last one.
    branch: &'static str,
    last: &'static str,
    /// Before what stands under these.
    through: &'static str,
    blank: &'static str,
}

const UNICODE: Strokes = Strokes { branch: "├─", last: "└─", through: "│ ", blank: "  " };
const ASCII: Strokes = Strokes { branch: "|-", last: "`-", through: "| ", blank: "  " };

/// One line: a device, or a reference to one that stands above.
struct Line {
    devno: Devno,
    prefix: String,
    is_reference: bool,
}

/// The tree as text: a line for each device and each further place where it belongs. Cut to the terminal's width.
pub fn text(graph: &Graph, direction: Direction, wanted: &[Devno], terminal: &Terminal) -> String {
    let strokes = if terminal.unicode { &UNICODE } else { &ASCII };
    let lines = lines(graph, direction, strokes);
    let mut shapes = vec![
        Shape { name: "name", kind: Kind::Text, width: Width::CutLast(16) },
        Shape { name: "devno", kind: Kind::Devno, width: Width::Whole },
        Shape { name: "size", kind: Kind::Size, width: Width::Whole },
        Shape { name: "state", kind: Kind::Text, width: Width::Cut(10) },
        Shape { name: "what", kind: Kind::Text, width: Width::Cut(12) },
        Shape { name: "mounts", kind: Kind::List, width: Width::Cut(8) },
    ];
    let mut rows: Vec<Vec<Value>> = lines.iter().filter_map(|line| Some(row(graph.node(line.devno)?, line))).collect();
    // A column in which there is nothing takes width from the others.
    for at in (0..shapes.len()).rev() {
        if rows.iter().all(|row| row.get(at).is_none_or(Value::is_empty)) {
            shapes.remove(at);
            rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
    }
    let draw = |shapes: &[Shape], rows: &[Vec<Value>], width| layout::aligned(shapes, rows, !rows.is_empty(), width, terminal.unicode).0;
    let mut text = draw(&shapes, &rows, usize::MAX);
    if let Some(width) = terminal.width
        && text.lines().any(|line| line.width() > width)
    {
        // Of all that is shown, people miss the number least.
        if let Some(at) = shapes.iter().position(|shape| shape.name == "devno") {
            shapes.remove(at);
            rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
        text = draw(&shapes, &rows, width);
    }
    if !terminal.colour {
        return text;
    }
    let mut coloured = String::with_capacity(text.len() * 2);
    for (at, line) in text.lines().enumerate() {
        let style = match at.checked_sub(1).and_then(|at| lines.get(at)) {
            None => "1",
            Some(line) => graph.node(line.devno).map_or("", |node| style(node, line, wanted)),
        };
        coloured.push_str(&if style.is_empty() { format!("{line}\n") } else { format!("\x1b[{style}m{line}\x1b[0m\n") });
    }
    coloured
}

/// How a device's line looks (ECMA-48's SGR): the gravest of what is to be said of it.
fn style(node: &Node, line: &Line, wanted: &[Devno]) -> &'static str {
    match node {
        _ if line.is_reference => "2",
        node if !node.health.troubles.is_empty() || node.failed_path => "31",
        node if node.state == Some(State::Suspended) => "33",
        node if wanted.contains(&node.device.devno) => "1",
        node if node.read_only => "36",
        node if node.private || node.state == Some(State::NoTable) => "2",
        _ => "",
    }
}

fn row(node: &Node, line: &Line) -> Vec<Value> {
    let name = Value::Text(format!("{}{}", line.prefix, node.name()).into_bytes());
    if line.is_reference {
        return vec![name, Value::None, Value::None, Value::None, Value::Text(b"as above".to_vec()), Value::None];
    }
    let what = [node.what.clone()].into_iter().filter(|what| !what.is_empty()).chain(node.health.words.clone());
    vec![
        name,
        Value::Devno(node.device.devno),
        node.size.map_or(Value::None, Value::Size),
        words(node.marks()),
        words(what.collect()),
        words(mounts(node)),
    ]
}

fn words(words: Vec<String>) -> Value {
    if words.is_empty() { Value::None } else { Value::Text(words.join(", ").into_bytes()) }
}

/// Where it is mounted and with which file system, and whether it is swap.
fn mounts(node: &Node) -> Vec<String> {
    let mount = |mount: &crate::survey::Mount| {
        let how = if mount.read_only { ", read-only" } else { "" };
        format!("{} ({}{how})", printable(&mount.at), printable(&mount.kind))
    };
    node.mounts.iter().map(mount).chain(node.swap.then(|| "[swap]".to_string())).collect()
}

/// Every device once, under the first of those it belongs to; at its further places a reference. Whatever is in a cycle,
/// which cannot be, is there as well.
fn lines(graph: &Graph, direction: Direction, strokes: &Strokes) -> Vec<Line> {
    let next = |node: &Node| match direction {
        Direction::Below => node.below.clone(),
        Direction::Above => node.above.clone(),
    };
    let is_root = |node: &&Node| match direction {
        Direction::Below => node.above.is_empty(),
        Direction::Above => node.below.is_empty(),
    };
    let mut roots: Vec<&Node> = graph.nodes().filter(is_root).collect();
    roots.sort_by_key(|node| (node.name(), node.device.devno));
    let in_a_cycle = graph.nodes().filter(|node| !is_root(node));
    let mut lines = Vec::new();
    let mut drawn = BTreeSet::new();
    for root in roots.into_iter().chain(in_a_cycle) {
        if drawn.contains(&root.device.devno) {
            continue;
        }
        // What is still to be drawn, the next one last: device, what stands before its line, and before those under it.
        let mut open = vec![(root.device.devno, String::new(), String::new())];
        while let Some((devno, prefix, under)) = open.pop() {
            let Some(node) = graph.node(devno) else { continue };
            let further = next(node);
            if !drawn.insert(devno) {
                lines.push(Line { devno, prefix, is_reference: true });
                continue;
            }
            lines.push(Line { devno, prefix, is_reference: false });
            for (at, other) in further.iter().enumerate().rev() {
                let is_last = at + 1 == further.len();
                let (stroke, below) = if is_last { (strokes.last, strokes.blank) } else { (strokes.branch, strokes.through) };
                open.push((*other, format!("{under}{stroke}"), format!("{under}{below}")));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests;
