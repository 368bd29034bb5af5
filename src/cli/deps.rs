use argh::{ArgsInfo, FromArgs};

use crate::emit::deps::{self, Direction, Neighbours};
use crate::error::Result;
use crate::info::Roots;
use crate::survey::Survey;
use crate::terminal::Terminal;
use crate::text::printable;

/// Show what a device uses, or with --reverse, what uses it: none, one or many.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "deps")]
pub(super) struct Deps {
    /// show the devices that use it
    #[argh(switch)]
    reverse: bool,

    /// print no line of headings
    #[argh(switch)]
    no_headings: bool,

    /// print an array of JSON objects
    #[argh(switch)]
    json: bool,

    /// a block device of any kind: a name, UUID, MAJOR:MINOR, path under /dev, or kernel's name; all of device-mapper's when none is given
    #[argh(positional, arg_name = "DEVICE")]
    devices: Vec<String>,
}

impl Deps {
    pub(super) fn run(self) -> Result<()> {
        let roots = Roots::default();
        let survey = Survey::open(&roots)?;
        let direction = if self.reverse { Direction::Above } else { Direction::Below };
        let (numbers, failures) = if self.devices.is_empty() {
            (survey.devices().devnos().collect(), Vec::new())
        } else {
            super::split(self.devices.iter().map(|word| survey.find_block(word).map_err(|error| error.during("deps"))))
        };
        let all: Vec<_> = numbers.into_iter().map(|devno| Neighbours::of(&survey, devno, direction)).collect();
        if self.json {
            super::print(&deps::json(&all, direction)?)?;
        } else {
            let (text, whole) = deps::text(&all, direction, !self.no_headings, &Terminal::of_stdout());
            super::print(&text)?;
            if !whole {
                log::info!("deps: the terminal is too narrow to show links");
            }
            for alone in all.iter().filter(|one| one.others.is_empty() && !self.devices.is_empty()) {
                let name = alone.device.name.as_ref().map_or_else(|| alone.device.devno.to_string(), |name| printable(name));
                log::info!("deps: {name}: {}", if self.reverse { "no device uses it" } else { "it uses no other device" });
            }
        }
        super::tell_troubles("deps", &survey);
        super::worst(failures)
    }
}
