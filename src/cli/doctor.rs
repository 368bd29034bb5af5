use argh::{ArgsInfo, FromArgs};

use crate::deadline::Timeout;
use crate::doctor::{self, repair};
use crate::emit::doctor as emit;
use crate::error::{Error, Result};
use crate::explain::Places;
use crate::terminal::Terminal;

/// Look at the whole machine: rule files, links, records, cookies, udevd. A line for each thing that is wrong.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "doctor")]
pub(super) struct Doctor {
    /// print one JSON object
    #[argh(switch)]
    json: bool,

    /// bring /dev/mapper to the kernel's list; without --yes only say how
    #[argh(switch)]
    fix: bool,

    /// do it
    #[argh(switch)]
    yes: bool,

    /// a device that is suspended for longer than this is in trouble (default: 2s)
    #[argh(option, default = "Timeout::SUSPENDED", arg_name = "TIME")]
    patience: Timeout,
}

/// Something is wrong.
const TROUBLE: u8 = 7;

impl Doctor {
    pub(super) fn run(self) -> Result<u8> {
        if self.yes && !self.fix {
            return Err(Error::usage("doctor", "--yes", "does what --fix would do; give both"));
        }
        if self.json && self.fix {
            return Err(Error::usage("doctor", "--json, --fix", "give one of them at most"));
        }
        let patience = self.patience.duration().ok_or_else(|| Error::usage("--patience", "infinity", "nothing is that long"))?;
        let places = Places::default();
        let diagnosis = doctor::examine(&places, patience)?;
        if self.fix {
            return fix(&diagnosis, &places, self.yes);
        }
        super::print(&if self.json { emit::json(&diagnosis)? } else { emit::text(&diagnosis, Terminal::of_stdout()) })?;
        if let Some(unknown) = diagnosis.unknown.filter(|_| !self.json) {
            log::info!("doctor: root would also be told of {unknown}");
        }
        Ok(if diagnosis.troubles.is_empty() { 0 } else { TROUBLE })
    }
}

fn fix(diagnosis: &doctor::Diagnosis, places: &Places, yes: bool) -> Result<u8> {
    let (lines, mut failures, left) = repair::all(diagnosis, places, yes);
    super::print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    if lines.is_empty() && failures.is_empty() {
        super::print("nothing to repair in /dev/mapper\n")?;
    }
    let others = left - if yes { failures.len() } else { lines.len() };
    match others {
        0 => {}
        1 => super::print("1 trouble is not for --fix: see dmhelper doctor\n")?,
        n => super::print(&format!("{n} troubles are not for --fix: see dmhelper doctor\n"))?,
    }
    if !yes && !lines.is_empty() {
        super::print("nothing was changed; --yes does it\n")?;
    }
    let last = failures.pop();
    failures.iter().for_each(|failure| log::error!("{failure}"));
    last.map_or(Ok(if left == 0 { 0 } else { TROUBLE }), Err)
}
