use argh::{ArgsInfo, FromArgs};

use crate::deadline::Timeout;
use crate::error::{Error, Result};
use crate::info::Roots;
use crate::info::find::Meaning;
use crate::listen::condition::Condition;
use crate::listen::subject::Subject;
use crate::listen::wait::{self, Wish};

/// Wait until devices, which need not exist yet, are usable, or meet another condition.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "wait")]
pub(super) struct Wait {
    /// present, active, usable, settled, event, event=NUMBER or gone; default usable
    #[argh(option, long = "for", default = "Condition::Usable", from_str_fn(condition), arg_name = "CONDITION")]
    condition: Condition,

    /// how long at most: 500ms, 30s, 2min, 0 (do not wait), infinity; default 3min
    #[argh(option, default = "Timeout::DEFAULT", arg_name = "TIME")]
    timeout: Timeout,

    /// until every DEVICE meets the condition: the default
    #[argh(switch)]
    all: bool,

    /// until one DEVICE meets the condition, and print which
    #[argh(switch)]
    any: bool,

    /// something else than udevd makes the links: ask for active and linked
    #[argh(switch)]
    without_udevd: bool,

    /// each DEVICE is a name
    #[argh(switch)]
    name: bool,

    /// each DEVICE is a UUID
    #[argh(switch)]
    uuid: bool,

    /// each DEVICE is MAJOR:MINOR
    #[argh(switch)]
    devno: bool,

    /// a device: MAJOR:MINOR, a path under /dev, a name or a UUID
    #[argh(positional, arg_name = "DEVICE")]
    devices: Vec<String>,
}

fn condition(text: &str) -> std::result::Result<Condition, String> {
    text.parse().map_err(|error: Error| error.to_string())
}

impl Wait {
    pub(super) fn run(self) -> Result<()> {
        let meaning = match (self.name, self.uuid, self.devno) {
            (false, false, false) => Meaning::Any,
            (true, false, false) => Meaning::Name,
            (false, true, false) => Meaning::Uuid,
            (false, false, true) => Meaning::Devno,
            _ => return Err(Error::usage("wait", "--name, --uuid, --devno", "give one of them at most")),
        };
        if self.devices.is_empty() {
            return Err(Error::usage("wait", "DEVICE", "say what to wait for"));
        }
        if self.all && self.any {
            return Err(Error::usage("wait", "--all, --any", "give one of them at most"));
        }
        if self.without_udevd && self.condition == Condition::Settled {
            return Err(Error::usage("wait", "--without-udevd", "settled is a word about udevd"));
        }
        let roots = Roots::default();
        let subject = |word: &String| Subject::new(word, meaning, &roots.dev);
        let subjects = self.devices.iter().map(subject).collect::<Result<Vec<_>>>()?;
        let Wait { condition, any, without_udevd, timeout, .. } = self;
        let wish = Wish { condition, any, without_udevd, deadline: timeout.deadline() };
        let missing = wait::run(&roots, &subjects, wish)?;
        let met = subjects.iter().zip(&missing).filter(|(_, missing)| missing.is_none());
        if any && met.clone().count() > 0 {
            return super::print(
                &met.map(|(subject, _)| format!("{}\n", crate::text::printable(subject.word.as_bytes()))).collect::<String>(),
            );
        }
        let mut failures = subjects.iter().zip(missing).filter_map(|(subject, missing)| {
            let missing = format!("timed out after {timeout}: {}", missing?);
            Some(Error::timed_out("wait for", &subject.word, missing))
        });
        // One line for each device; the last one is said by whoever ends the program.
        let Some(last) = failures.next_back() else { return Ok(()) };
        failures.for_each(|failure| log::error!("{failure}"));
        Err(last)
    }
}
