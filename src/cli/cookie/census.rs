use std::path::Path;
use std::time::{Duration, SystemTime};

use argh::{ArgsInfo, FromArgs};

use super::{RUN_UDEV, Timeout};
use crate::completer::Completer;
use crate::cookie::census::{self, Entry};
use crate::cookie::reap::{self, Circumstances, Treatment};
use crate::cookie::sem::Set;
use crate::emit::cookies;
use crate::error::{Error, Result};
use crate::queue::{self, Backlog};
use crate::terminal::Terminal;
use crate::udevd::Look;

/// Show every udev cookie, who waits for it and what that means.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "list")]
pub(super) struct List {
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// Release what is provably stuck: complete cookies whose notifications will not come, remove those left behind.
/// Without --yes it only says what it would do.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "reap")]
pub(super) struct Reap {
    /// leave younger cookies alone; with it, unused cookies that old count as left behind too
    #[argh(option, arg_name = "TIME")]
    older_than: Option<Timeout>,

    /// do it
    #[argh(switch)]
    yes: bool,
}

/// Complete or remove every cookie of root, proof or not: what dmsetup udevcomplete_all is for.
/// Without --yes it only says what it would do.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "complete-all")]
pub(super) struct CompleteAll {
    /// leave younger cookies alone
    #[argh(option, arg_name = "TIME")]
    older_than: Option<Timeout>,

    /// do it
    #[argh(switch)]
    yes: bool,
}

const PROC: &str = "/proc";
const RUN_DMHELPER: &str = "/run/dmhelper";

fn circumstances(older_than: Option<Duration>) -> Result<Circumstances> {
    let (run, proc) = (Path::new(RUN_UDEV), Path::new(PROC));
    let look = Look::take(run, proc);
    let busy = queue::of(&look, run, proc) != Backlog::None || Completer::find(Path::new(RUN_DMHELPER), proc).is_busy();
    Ok(Circumstances { udevd: look.udevd, busy, now: SystemTime::now(), older_than })
}

impl List {
    pub(super) fn run(self) -> Result<()> {
        let (entries, sets) = census::take(Path::new(PROC))?;
        let usage = cookies::Usage { sets, limit: census::limit(Path::new(PROC)) };
        let circumstances = circumstances(None)?;
        super::super::print(&if self.json {
            cookies::json(&entries, usage, &circumstances)?
        } else {
            cookies::table(&entries, usage, &circumstances, &Terminal::of_stdout())
        })
    }
}

impl Reap {
    pub(super) fn run(self) -> Result<()> {
        let circumstances = circumstances(age(self.older_than)?)?;
        let exported = std::cell::OnceCell::new();
        let treated = treat_all(self.yes, &circumstances, |entry| {
            let exported = || exported.get_or_init(|| census::exported(Path::new(PROC)));
            reap::reap(entry, &circumstances, || exported().as_ref().ok().map(|keys| keys.contains(&entry.row.key)))
        });
        // What could not be told has kept cookies.
        exported.into_inner().transpose().and(treated)
    }
}

impl CompleteAll {
    pub(super) fn run(self) -> Result<()> {
        let circumstances = circumstances(age(self.older_than)?)?;
        treat_all(self.yes, &circumstances, |entry| reap::all(entry, &circumstances))
    }
}

fn age(limit: Option<Timeout>) -> Result<Option<Duration>> {
    let finite = |limit: Timeout| limit.duration().ok_or_else(|| Error::usage("--older-than", "infinity", "nothing is that old"));
    limit.map(finite).transpose()
}

/// Treats every cookie, printing each decision; goes on after a failure and returns the last one. What cannot be printed is
/// done all the same.
fn treat_all(yes: bool, circumstances: &Circumstances, decide: impl Fn(&Entry) -> Treatment) -> Result<()> {
    let (entries, _) = census::take(Path::new(PROC))?;
    let (mut outcome, mut told) = (Ok(()), Ok(()));
    let mut tell = |line: &str| {
        if told.is_ok() {
            told = super::super::print(line);
        }
    };
    let mut pending = 0;
    for entry in &entries {
        let treatment = decide(entry);
        let done = match treatment {
            Treatment::Keep(_) => Ok(true),
            _ if !yes => {
                pending += 1;
                Ok(true)
            }
            treatment => treat(entry, treatment),
        };
        match done {
            Ok(true) => tell(&cookies::decision(entry, treatment, yes, circumstances)),
            Ok(false) => tell(&cookies::decision(entry, Treatment::Keep("it has changed meanwhile"), yes, circumstances)),
            Err(error) => outcome = Err(error),
        }
    }
    if entries.is_empty() {
        tell("no cookies\n");
    } else if pending > 0 {
        tell("nothing was changed; --yes does it\n");
    }
    outcome.and(told)
}

/// Does it; `false` when the cookie has changed since it was judged, so that there was nothing to do.
fn treat(entry: &Entry, treatment: Treatment) -> Result<bool> {
    let failed = |errno| Error::os("complete cookie", entry.row.key.to_string(), errno);
    match treatment {
        Treatment::Complete => reap::complete_missing(Set::from_id(entry.row.id)).map(|completed| completed > 0).map_err(failed),
        Treatment::Remove => reap::remove_unchanged(entry, Path::new(PROC)),
        Treatment::Keep(_) => Ok(false),
    }
}
