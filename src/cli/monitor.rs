use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use argh::{ArgsInfo, FromArgs};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use time::UtcOffset;

use crate::emit::happening::{self, Lines};
use crate::error::{Error, Result};
use crate::info::Roots;
use crate::info::find::Meaning;
use crate::listen::monitor::{self, Options};
use crate::listen::subject::Subject;
use crate::stdio;
use crate::uevent::socket;

/// Show events of device-mapper devices as they happen: of those named, which need not exist yet, or of all.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "monitor")]
pub(super) struct Monitor {
    /// the kernel's events only: it has happened
    #[argh(switch)]
    kernel: bool,

    /// udevd's events only: it has been processed
    #[argh(switch)]
    udev: bool,

    /// print JSON objects, one a line
    #[argh(switch)]
    json: bool,

    /// how much of the kernel's memory waiting events may take: bytes, or with K or M; default 128M
    #[argh(option, default = "socket::QUEUE", from_str_fn(super::size), arg_name = "SIZE")]
    queue: usize,

    /// a device: MAJOR:MINOR, a path under /dev, a name or a UUID
    #[argh(positional, arg_name = "DEVICE")]
    devices: Vec<String>,
}

impl Monitor {
    pub(super) fn run(self) -> Result<()> {
        let roots = Roots::default();
        let subject = |word: &String| Subject::new(word, Meaning::Any, &roots.dev);
        let subjects = self.devices.iter().map(subject).collect::<Result<Vec<_>>>()?;
        let failed = |error: io::Error| Error::io("monitor", "signals", &error);
        let (stop, sender) = UnixStream::pair().map_err(failed)?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, sender.try_clone().map_err(failed)?).map_err(failed)?;
        }
        let out = stdio::stdout()?.as_fd().try_clone_to_owned().map_err(|error| Error::io("write", "standard output", &error))?;
        let both = self.kernel == self.udev;
        let options = Options { kernel: both || self.kernel, udev: both || self.udev, queue: self.queue };
        let mut lines = Lines::new(is_colourful());
        let totals = monitor::run(&roots, options, &subjects, stop.as_fd(), &File::from(out), |report| {
            if self.json {
                return happening::json(report);
            }
            let offset = UtcOffset::local_offset_at(report.time.into()).unwrap_or(UtcOffset::UTC);
            Ok(lines.line(report, offset))
        })?;
        let monitor::Totals { events, dropped, overruns, lost } = totals;
        let plural = |number| if number == 1 { "" } else { "s" };
        log::info!(
            "monitor: {events} event{}, {dropped} datagram{} dropped, {overruns} overrun{}, at most {lost} lost",
            plural(events),
            plural(dropped),
            plural(overruns)
        );
        Ok(())
    }
}

/// Whether somebody sees colours and has not asked for none (no-color.org).
fn is_colourful() -> bool {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    io::stdout().is_terminal() && variable("NO_COLOR").is_none() && variable("TERM").is_some_and(|terminal| terminal != "dumb")
}
