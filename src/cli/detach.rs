use argh::{ArgsInfo, FromArgs};

use crate::deadline::Timeout;
use crate::detach::run::{self, Fate, Options};
use crate::detach::{self, Scope};
use crate::error::{Error, Result};
use crate::info::Roots;
use crate::survey::Survey;
use crate::text::printable;

/// A device stays.
const REMAINS: u8 = 7;

/// Remove device-mapper devices, those that lie on others first, and say why any stays.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "detach")]
pub(super) struct Detach {
    /// every device-mapper device that is not in use; without --yes only print the plan
    #[argh(switch)]
    all: bool,

    /// with --all: do it
    #[argh(switch)]
    yes: bool,

    /// also the device-mapper devices that lie on a DEVICE
    #[argh(switch)]
    with_dependants: bool,

    /// let the kernel remove a device that is in use when it is closed
    #[argh(switch)]
    deferred: bool,

    /// also remove devices that --all or --with-dependants includes and that would lose content kept only in memory
    #[argh(switch)]
    volatile: bool,

    /// change nothing: print what would be removed, in which order, and what would stay, and why
    #[argh(switch)]
    dry_run: bool,

    /// how long to try again, and then to wait for udev: 500ms, 30s, 2min, 0 (once), infinity; default 5s
    #[argh(option, default = "Timeout::BRIEF", arg_name = "TIME")]
    timeout: Timeout,

    /// a device: MAJOR:MINOR, a path under /dev, a name or a UUID
    #[argh(positional, arg_name = "DEVICE")]
    devices: Vec<String>,
}

impl Detach {
    pub(super) fn run(self) -> Result<u8> {
        let scope = match (self.all, self.with_dependants, self.devices.is_empty()) {
            (true, false, true) => Scope::All,
            (false, true, false) => Scope::WithDependants,
            (false, false, false) => Scope::Named,
            (true, true, _) => {
                return Err(Error::usage("detach", "--all, --with-dependants", "all devices include those that lie on others"));
            }
            (true, false, false) => return Err(Error::usage("detach", "--all, DEVICE", "give one of them")),
            (false, _, true) => return Err(Error::usage("detach", "DEVICE", "say which, or give --all")),
        };
        if self.yes && !self.all {
            return Err(Error::usage("detach", "--yes", "is for --all; a DEVICE that is named is removed without it"));
        }
        let roots = Roots::default();
        let survey = Survey::open(&roots).map_err(|error| error.during("detach"))?;
        let planned = detach::plan(&survey, &self.devices, scope)?;
        drop(survey);
        let asked = self.all && !self.yes && !self.dry_run;
        let rehearse = asked || self.dry_run;
        let options = Options { deferred: self.deferred, volatile: self.volatile, timeout: self.timeout, rehearse };
        let (mut output, mut left) = (None, Vec::new());
        let mut would_change = false;
        let mut failures = run::run(&roots, &planned, options, |device, fate| {
            let word = match (fate, rehearse) {
                (Fate::Detached, false) => "detached",
                (Fate::Detached, true) => "would detach",
                (Fate::Deferred, false) => "deferred",
                (Fate::Deferred, true) => "would defer",
                (Fate::Stays(why), _) => {
                    left.push((run::words(device), why));
                    return;
                }
            };
            would_change |= rehearse;
            // What cannot be written keeps nothing from going.
            output = output.take().or(super::print(&format!("{word} {} ({})\n", device.name, device.devno)).err());
        })?;
        let mut remains = !left.is_empty();
        for (device, why) in left {
            if rehearse {
                output = output.take().or(super::print(&format!("would leave {}: {why}\n", printable(&device))).err());
            } else {
                failures.push(Error::remains("detach", device, why));
            }
        }
        if asked && would_change {
            remains = true;
            output = output.take().or(super::print("nothing was changed; --yes does it\n").err());
        }
        failures.extend(output.filter(|error| failures.is_empty() || !error.is_closed_pipe()));
        super::worst(failures)?;
        Ok(if remains { REMAINS } else { 0 })
    }
}
