use argh::{ArgsInfo, FromArgs};

use crate::emit::explain as emit;
use crate::error::Result;
use crate::explain::{Places, subject};
use crate::terminal::Terminal;

/// Explain why a device is not ready or busy, why a link is missing or leads elsewhere, what a cookie waits for, and
/// what to do.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "explain")]
pub(super) struct Explain {
    /// print one JSON object
    #[argh(switch)]
    json: bool,

    /// a device (number, path, name or UUID), a link, UUID=... or LABEL=... as in fstab, or a cookie
    #[argh(positional, arg_name = "WHAT")]
    what: String,
}

/// There is no such thing: the explanation says why there may be none.
const ABSENT: u8 = 3;

impl Explain {
    pub(super) fn run(self) -> Result<u8> {
        let report = subject::explain(&Places::default(), &self.what)?;
        super::print(&if self.json { emit::json(&report)? } else { emit::text(&report, Terminal::of_stdout()) })?;
        Ok(if report.exists { 0 } else { ABSENT })
    }
}
