use argh::{ArgsInfo, FromArgs};

use crate::emit::deps::Direction;
use crate::emit::tree;
use crate::error::{Error, Result};
use crate::info::{ATTEMPTS, Roots};
use crate::survey::Survey;
use crate::survey::graph::Graph;
use crate::terminal::Terminal;

/// Show what stands on what: from mounted file systems through volumes down to the disks.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "tree")]
pub(super) struct Tree {
    /// from the disks up to what is mounted
    #[argh(switch)]
    reverse: bool,

    /// print a graph for Graphviz: dmhelper tree --dot | dot -Tsvg
    #[argh(switch)]
    dot: bool,

    /// print an array of JSON objects
    #[argh(switch)]
    json: bool,

    /// a block device of any kind, with all it stands on and all that stands on it; every device of device-mapper when
    /// none is given
    #[argh(positional, arg_name = "DEVICE")]
    devices: Vec<String>,
}

impl Tree {
    pub(super) fn run(self) -> Result<()> {
        if usize::from(self.reverse) + usize::from(self.dot) + usize::from(self.json) > 1 {
            return Err(Error::usage("tree", "--reverse, --dot, --json", "give one of them at most"));
        }
        let roots = Roots::default();
        let mut attempts = 1..ATTEMPTS;
        let (survey, wanted, failures, graph) = loop {
            let survey = Survey::open(&roots)?;
            let (wanted, failures) =
                super::split(self.devices.iter().map(|word| survey.find_block(word).map_err(|error| error.during("tree"))));
            let graph = match self.devices.as_slice() {
                [] => Graph::of_all(&survey),
                _ => Graph::of(&survey, &wanted),
            };
            if !graph.is_torn() || attempts.next().is_none() {
                break (survey, wanted, failures, graph);
            }
        };
        if self.json {
            super::print(&tree::json::json(&graph, &survey)?)?;
        } else if self.dot {
            super::print(&tree::dot::dot(&graph, &survey))?;
        } else if self.devices.is_empty() && survey.devices().is_empty() {
            super::print("no device-mapper devices\n")?;
        } else {
            let direction = if self.reverse { Direction::Above } else { Direction::Below };
            super::print(&tree::text(&graph, direction, &wanted, &Terminal::of_stdout()))?;
        }
        super::tell_troubles("tree", &survey);
        if survey.control().is_none() && !self.json {
            log::info!("tree: root would also see failed paths, fill levels, and devices without a table");
        }
        super::worst(failures)
    }
}
