use argh::{ArgsInfo, FromArgs};

use crate::deadline::Timeout;
use crate::detach::run::{self, Fate, Options};
use crate::detach::{self, Scope};
use crate::dm::Listed;
use crate::error::{Error, Result};
use crate::info::Roots;
use crate::survey::Survey;

/// Remove device-mapper devices, those that lie on others first; tell why any stays.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "detach")]
pub(super) struct Detach {
    /// every device-mapper device that is not in use. This acts at once, and asks nothing: --dry-run shows beforehand
    /// what would go
    #[argh(switch)]
    all: bool,

    /// also the device-mapper devices that lie on a DEVICE
    #[argh(switch)]
    with_dependants: bool,

    /// let the kernel remove a device that is in use when it is closed
    #[argh(switch)]
    deferred: bool,

    /// change nothing: print what would be removed, in which order
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
    pub(super) fn run(self) -> Result<()> {
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
        let roots = Roots::default();
        let survey = Survey::open(&roots).map_err(|error| error.during("detach"))?;
        let planned = detach::plan(&survey, &self.devices, scope)?;
        let line = |word: &str, device: &Listed| format!("{word} {} ({})\n", device.name, device.devno);
        if self.dry_run {
            return super::print(&planned.iter().map(|device| line("would detach", device)).collect::<String>());
        }
        drop(survey);
        let options = Options { deferred: self.deferred, timeout: self.timeout };
        let mut output = None;
        let mut failures = run::run(&roots, &planned, options, |device, fate| {
            let word = match fate {
                Fate::Detached => "detached",
                Fate::Deferred => "deferred",
            };
            // What cannot be written keeps nothing from going.
            output = output.take().or(super::print(&line(word, device)).err());
        })?;
        failures.extend(output.filter(|error| failures.is_empty() || !error.is_closed_pipe()));
        super::worst(failures)
    }
}
