use std::path::Path;

use argh::FromArgs;

use crate::decision::{Decision, Event};
use crate::devno::Devno;
use crate::dm::sysfs::Sysfs;
use crate::dm::{Control, Device, Selector};
use crate::emit::event;
use crate::error::Result;

/// Print an event's properties as KEY='value' lines: the import program of the udev rules.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "udev")]
pub(super) struct Udev {
    /// the device, as MAJOR:MINOR
    #[argh(positional)]
    device: Devno,
}

impl Udev {
    pub(super) fn run(self) -> Result<()> {
        let event = Event::from_env(|name| std::env::var(name).ok())?;
        let decision = Decision::of(&event);
        let device = match query(self.device) {
            Ok(device) => Some(device),
            // The flags of a tool's event hold whatever the device query says: they must reach the rules.
            Err(error) if event.cookie.is_some() => {
                log::warn!("{error}");
                None
            }
            Err(error) => return Err(error),
        };
        super::print(event::properties(&decision, device.as_ref()).as_str())
    }
}

/// Name, UUID and state in one ioctl; from sysfs when the control node cannot be used.
fn query(devno: Devno) -> Result<Device> {
    let asked = Control::open(Path::new("/dev"), Path::new("/proc")).and_then(|control| control.device(Selector::Devno(devno)));
    asked.or_else(|error| Sysfs::new(Path::new("/sys"), devno).device().map_err(|_| error))
}
