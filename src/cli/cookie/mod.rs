//! `dmhelper cookie …`: the synchronisation protocol, by hand and in scripts.

mod census;
mod run;
mod wait;

use std::path::Path;

use argh::{ArgsInfo, FromArgs};

use crate::cookie::completions;
use crate::cookie::sem::{self, Completion};
use crate::cookie::transaction::{Backend, Semaphore, Transaction};
use crate::cookie::{self, namespace};
use crate::deadline::Timeout;
use crate::emit::env::Properties;
use crate::error::{Error, Result};

/// List, create, wait for and release udev cookies (DM_COOKIE).
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "cookie")]
pub(super) struct Cookie {
    #[argh(subcommand)]
    command: Command,
}

#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand)]
enum Command {
    Flags(Flags),
    Complete(Complete),
    List(census::List),
    Reap(census::Reap),
    CompleteAll(census::CompleteAll),
    Run(run::Run),
    Create(Create),
    Inc(Inc),
    Wait(wait::Wait),
    Release(wait::Release),
    Guard(run::Guard),
}

/// Print the flags of a cookie as KEY='1' lines, set ones only.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "flags")]
struct Flags {
    /// the cookie: decimal, 0x hexadecimal or leading-0 octal
    #[argh(positional, arg_name = "COOKIE")]
    cookie: cookie::Cookie,
}

/// Complete one event of a cookie: tell the tool that waits that udev is done with it.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "complete")]
struct Complete {
    /// look for the tool in other IPC namespaces (containers) when it is not in this one
    #[argh(switch)]
    any_ipc_namespace: bool,

    /// the cookie: decimal, 0x hexadecimal or leading-0 octal
    #[argh(positional, arg_name = "COOKIE")]
    cookie: cookie::Cookie,
}

/// Make a cookie and print it, for DM_UDEV_COOKIE or dmsetup --udevcookie.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "create")]
struct Create {
    /// print it with these flags in its upper half, as an ioctl's event_nr: names, separated by commas
    #[argh(option, from_str_fn(flags_from_names), arg_name = "NAMES")]
    flags: Option<cookie::Flags>,
}

/// Announce one more event to wait for.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "inc")]
struct Inc {
    /// the cookie
    #[argh(positional, arg_name = "COOKIE")]
    cookie: cookie::Cookie,
}

fn flags_from_names(names: &str) -> std::result::Result<cookie::Flags, String> {
    cookie::Flags::from_names(names).map_err(|error| error.to_string())
}

impl Cookie {
    pub(super) fn run(self) -> Result<u8> {
        match self.command {
            Command::Flags(Flags { cookie }) => flags(cookie)?,
            Command::Complete(command) => command.run()?,
            Command::List(command) => command.run()?,
            Command::Reap(command) => command.run()?,
            Command::CompleteAll(command) => command.run()?,
            Command::Run(command) => return command.run(),
            Command::Create(command) => command.run()?,
            Command::Inc(Inc { cookie }) => Semaphore::open(cookie)?.add()?,
            Command::Wait(command) => command.run()?,
            Command::Release(command) => command.run()?,
            Command::Guard(command) => command.run()?,
        }
        Ok(0)
    }
}

fn flags(cookie: cookie::Cookie) -> Result<()> {
    if cookie.key().is_some_and(|key| key.cookie() == cookie) {
        log::warn!("cookie {cookie}: the number of a semaphore, as `cookie list` shows it: its upper half holds no flags");
    }
    let mut properties = Properties::default();
    for property in cookie.flags().properties() {
        properties.push(property, "1");
    }
    super::print(properties.as_str())
}

impl Complete {
    /// The semaphore first; whatever there is to say comes after it.
    fn run(self) -> Result<()> {
        let cookie = self.cookie;
        let Some(key) = cookie.key() else { return Ok(()) };
        let completion = match self.any_ipc_namespace {
            true => namespace::complete_anywhere(cookie, key, Path::new("/proc"))?,
            false => completions::patiently(&mut || sem::complete(key))
                .map_err(|errno| Error::os("complete cookie", cookie.to_string(), errno))?,
        };
        let scope = if self.any_ipc_namespace { "in any IPC namespace" } else { "in this IPC namespace" };
        match completion {
            Completion::Done => {}
            Completion::Gone => log::warn!("complete cookie {cookie}: nobody waits for it {scope} (semaphore key {key})"),
            Completion::Exhausted => log::warn!("complete cookie {cookie}: all its events were completed before (semaphore key {key})"),
        }
        Ok(())
    }
}

impl Create {
    fn run(self) -> Result<()> {
        let transaction = Transaction::begin()?;
        let cookie = transaction.cookie();
        let shown = self.flags.map_or(cookie, |flags| cookie.with_flags(flags));
        super::print(&format!("{shown}\n"))?;
        transaction.keep(); // Only a cookie whose number has reached somebody may stay.
        Ok(())
    }
}

/// Where udevd keeps its runtime files.
const RUN_UDEV: &str = "/run/udev";
