use argh::{ArgsInfo, FromArgs};

use crate::error::Result;
use crate::info::Roots;
use crate::survey::Survey;
use crate::text::printable;

/// Print devices' names, a line for each: what dm-3 or 253:3 is called.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "name")]
pub(super) struct Name {
    /// a device: dm-N, MAJOR:MINOR, a path under /dev, a UUID or a name
    #[argh(positional, arg_name = "DEVICE")]
    devices: Vec<String>,
}

impl Name {
    pub(super) fn run(self) -> Result<()> {
        if self.devices.is_empty() {
            return Err(crate::error::Error::usage("name", "DEVICE", "none is given"));
        }
        let roots = Roots::default();
        let survey = Survey::open(&roots)?;
        let name = |word: &String| {
            let devno = survey.find(word).map_err(|error| error.during("name"))?;
            Ok(survey.relate(devno).name.map_or_else(|| devno.to_string(), |name| printable(&name)) + "\n")
        };
        let (names, failures) = super::split(self.devices.iter().map(name));
        super::print(&names.concat())?;
        super::worst(failures)
    }
}
