use argh::FromArgs;

use crate::cookie::sem::{self, Completion};
use crate::cookie::{self};
use crate::emit::env::Properties;
use crate::error::{Error, Result};

/// Decode or complete a udev cookie (DM_COOKIE).
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "cookie")]
pub(super) struct Cookie {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, Debug)]
#[argh(subcommand)]
enum Command {
    Flags(Flags),
    Complete(Complete),
}

/// Print the flags of a cookie as KEY='1' lines, set ones only.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "flags")]
struct Flags {
    /// the cookie: decimal, 0x hexadecimal or leading-0 octal
    #[argh(positional)]
    cookie: cookie::Cookie,
}

/// Complete one event of a cookie: tell the tool that waits that udev is done with it.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "complete")]
struct Complete {
    /// the cookie: decimal, 0x hexadecimal or leading-0 octal
    #[argh(positional)]
    cookie: cookie::Cookie,
}

impl Cookie {
    pub(super) fn run(self) -> Result<()> {
        match self.command {
            Command::Flags(Flags { cookie }) => flags(cookie),
            Command::Complete(Complete { cookie }) => complete(cookie),
        }
    }
}

fn flags(cookie: cookie::Cookie) -> Result<()> {
    let mut properties = Properties::default();
    for property in cookie.flags().properties() {
        properties.push(property, "1");
    }
    super::print(properties.as_str())
}

/// The semaphore first; whatever there is to say comes after it.
fn complete(cookie: cookie::Cookie) -> Result<()> {
    let Some(key) = cookie.key() else { return Ok(()) };
    match sem::complete(key) {
        Ok(Completion::Done) => {}
        Ok(Completion::Gone) => log::warn!("complete cookie {cookie}: nobody waits for it in this IPC namespace (semaphore key {key})"),
        Ok(Completion::Exhausted) => log::warn!("complete cookie {cookie}: all its events were completed before (semaphore key {key})"),
        Err(errno) => return Err(Error::os("complete cookie", cookie.to_string(), errno)),
    }
    Ok(())
}
