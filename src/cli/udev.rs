use std::path::Path;

use argh::{ArgsInfo, FromArgs};

use crate::decision::{self, Decision, Event};
use crate::devno::Devno;
use crate::dm::sysfs::Sysfs;
use crate::dm::{Control, Device, Selector};
use crate::emit::env::Properties;
use crate::emit::event;
use crate::error::Result;
use crate::nodes::plan;
use crate::udevdb::Record;

/// Print an event's properties as KEY='value' lines: the import program of the udev rules.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "udev")]
pub(super) struct Udev {
    /// the device, as MAJOR:MINOR
    #[argh(positional, arg_name = "MAJOR:MINOR")]
    device: Devno,
}

impl Udev {
    pub(super) fn run(self) -> Result<()> {
        let mut event = Event::from_env(|name| std::env::var(name).ok())?;
        // The rules have imported nothing yet when there is a cookie. One without a tool behind it (and a person's
        // question without an event) needs what is recorded.
        if !event.is_genuine()
            && let Ok(Some(record)) = Record::read(Path::new("/run/udev"), self.device)
        {
            event.recorded = event.recorded.union(decision::recorded_flags(|name| record.property(name) == Some(b"1")));
        }
        let device = match query(self.device) {
            Ok(device) => Some(device),
            // The flags of a tool's event hold whatever the device query says: they must reach the rules.
            Err(error) if event.cookie.is_some() => {
                log::warn!("{error}");
                None
            }
            Err(error) => return Err(error),
        };
        if let Some(device) = &device {
            event = event.of_device(device, plan::flags_of_unknown);
        }
        let decision = Decision::of(&event);
        let mut properties = Properties::default();
        event::add_properties(&decision, device.as_ref(), &mut properties);
        super::print(properties.as_str())
    }
}

/// Name, UUID and state in one ioctl; from sysfs when the control node cannot be used.
fn query(devno: Devno) -> Result<Device> {
    let asked = Control::open(Path::new("/dev"), Path::new("/proc")).and_then(|control| control.device(Selector::Devno(devno)));
    asked.or_else(|error| Sysfs::new(Path::new("/sys"), devno).device().map_err(|_| error))
}
