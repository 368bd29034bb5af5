use argh::{ArgsInfo, FromArgs};

use crate::devno::Devno;
use crate::emit::{json, table};
use crate::error::{Cause, Error, Result};
use crate::info::find::Meaning;
use crate::info::{self, Roots, Sources};

/// Show what is known of device-mapper devices: of those named, or of all.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "info")]
pub(super) struct Info {
    /// each DEVICE is a name
    #[argh(switch)]
    name: bool,

    /// each DEVICE is a UUID
    #[argh(switch)]
    uuid: bool,

    /// each DEVICE is MAJOR:MINOR
    #[argh(switch)]
    devno: bool,

    /// print an array of JSON objects
    #[argh(switch)]
    json: bool,

    /// a device: MAJOR:MINOR, a path under /dev, a name or a UUID
    #[argh(positional, arg_name = "DEVICE")]
    devices: Vec<String>,
}

impl Info {
    pub(super) fn run(self) -> Result<()> {
        let meaning = self.meaning()?;
        let roots = Roots::default();
        let sources = Sources::open(&roots)?;
        let (devices, failures) = if self.devices.is_empty() { all(&sources) } else { named(&sources, &self.devices, meaning) };
        if self.json {
            super::print(&json::info(&devices)?)?;
        } else if self.devices.is_empty() && devices.is_empty() {
            super::print("no device-mapper devices\n")?;
        } else {
            super::print(&devices.iter().map(table::info).collect::<Vec<_>>().join("\n"))?;
        }
        if !sources.is_privileged() && !self.json && !devices.is_empty() {
            log::info!("info: open count, events, table, and pending changes are shown to root only");
        }
        super::worst(failures)
    }

    fn meaning(&self) -> Result<Meaning> {
        let meaning = match (self.name, self.uuid, self.devno) {
            (false, false, false) => return Ok(Meaning::Any),
            (true, false, false) => Meaning::Name,
            (false, true, false) => Meaning::Uuid,
            (false, false, true) => Meaning::Devno,
            _ => return Err(Error::usage("info", "--name, --uuid, --devno", "give one of them at most")),
        };
        if self.devices.is_empty() {
            return Err(Error::usage("info", "--name, --uuid, --devno", "say how a DEVICE is meant; there is none"));
        }
        if meaning == Meaning::Devno {
            // The caller's mistake comes before whatever is wrong with the system.
            self.devices.iter().try_for_each(|word| word.parse::<Devno>().map(drop))?;
        }
        Ok(meaning)
    }
}

type Gathered = (Vec<info::Info>, Vec<Error>);

fn all(sources: &Sources<'_>) -> Gathered {
    let (devices, mut failures) = super::split(sources.devices().iter().map(|device| sources.gather(device.devno)));
    // One that goes away while it is looked at is no failure: nobody asked for it.
    failures.retain(|error| *error.cause() != Cause::NotFound);
    (devices, failures)
}

fn named(sources: &Sources<'_>, words: &[String], meaning: Meaning) -> Gathered {
    super::split(words.iter().map(|word| sources.gather(sources.find(word, meaning)?)))
}
