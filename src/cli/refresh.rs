use argh::{ArgsInfo, FromArgs};

use crate::deadline::Timeout;
use crate::error::{Error, Result};
use crate::explain::Places;
use crate::refresh;

/// Make udev process devices in use anew, as if their tools had just activated them, and wait for it.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "refresh")]
pub(super) struct Refresh {
    /// how long to wait for udev: 500ms, 30s, 2min, 0 (do not wait), infinity; default 3min
    #[argh(option, default = "Timeout::DEFAULT", arg_name = "TIME")]
    timeout: Timeout,

    /// a device: MAJOR:MINOR, a path under /dev, a name or a UUID
    #[argh(positional, arg_name = "DEVICE")]
    devices: Vec<String>,
}

impl Refresh {
    pub(super) fn run(self) -> Result<()> {
        if self.devices.is_empty() {
            return Err(Error::usage("refresh", "DEVICE", "none is given"));
        }
        let (places, deadline) = (Places::default(), self.timeout.deadline());
        super::worst(self.devices.iter().filter_map(|word| refresh::run(&places, word, deadline).err()).collect())
    }
}
