mod completer;
mod service;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use argh::{ArgsInfo, FromArgs};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{AccessFlags, access};

use crate::cookie::completions::{self, Completions};
use crate::deadline::Timeout;
use crate::dm::{Control, Selector};
use crate::error::{Error, Result};
use crate::listen::engine::{Engine, Places};
use crate::listen::place::{self, Place};
use crate::listen::standalone::{self, Standalone};
use crate::nodes::probe::Prober;
use crate::udevd::{Doubt, Udevd};
use crate::uevent::socket::{DATAGRAM_MAX, QUEUE, Socket};

/// Do udevd's work where there is no udevd: device-mapper devices' links, records and cookies.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "listen")]
pub(super) struct Listen {
    /// beside udevd: complete the cookies of the events that it has processed, and do nothing else
    #[argh(switch)]
    complete_only: bool,

    /// be taken for udevd: tools on libdevmapper then wait for us
    #[argh(switch)]
    claim_udev: bool,

    /// look at the content of usable devices with this program: util-linux's or busybox's blkid
    #[argh(option, arg_name = "PATH")]
    blkid: Option<PathBuf>,

    /// how long blkid may take for a device; default 5s
    #[argh(option, default = "Timeout::PROBE", arg_name = "TIME")]
    blkid_timeout: Timeout,

    /// how much of the kernel's memory waiting events may take: bytes, or with K or M; default 128M
    #[argh(option, default = "QUEUE", from_str_fn(super::size), arg_name = "SIZE")]
    queue: usize,

    /// go to the background as soon as everything is in place
    #[argh(switch)]
    daemon: bool,

    /// for --daemon's own use: say `ready` on standard output, then let go of terminal and directory
    #[argh(switch)]
    detached: bool,

    /// write the process's number to this file as soon as everything is in place
    #[argh(option, arg_name = "PATH")]
    pid_file: Option<PathBuf>,
}

/// Handle the one event that the environment describes: for mdev, mdevd and the like.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "event")]
pub(super) struct EventCommand {
    /// look at the content of a usable device with this program: util-linux's or busybox's blkid
    #[argh(option, arg_name = "PATH")]
    blkid: Option<PathBuf>,

    /// how long blkid may take; default 5s
    #[argh(option, default = "Timeout::PROBE", arg_name = "TIME")]
    blkid_timeout: Timeout,
}

const DEV: &str = "/dev";
const SYS: &str = "/sys";
const PROC: &str = "/proc";
const RUN_UDEV: &str = "/run/udev";

fn places(blkid: Option<PathBuf>, timeout: Timeout) -> Result<Places> {
    if timeout.duration().is_none() {
        return Err(Error::usage("--blkid-timeout", "infinity", "a device that never answers would stop everything"));
    }
    if let Some(program) = &blkid {
        access(program, AccessFlags::X_OK).map_err(|errno| Error::os("run", program.as_os_str().as_encoded_bytes(), errno))?;
    }
    let prober = blkid.map(|program| Prober { program, timeout });
    Ok(Places { dev: DEV.into(), run_udev: RUN_UDEV.into(), prober })
}

fn open_control() -> Result<Control> {
    Control::open(Path::new(DEV), Path::new(PROC))
}

fn engine(places: Places) -> Result<Engine> {
    let control = open_control()?;
    Ok(Engine::new(places, Box::new(move |devno| control.device(Selector::Devno(devno)))))
}

impl Listen {
    /// Tells the program's exit status.
    pub(super) fn run(self) -> Result<u8> {
        if self.complete_only && (self.claim_udev || self.blkid.is_some()) {
            return Err(Error::usage(
                "listen",
                "--complete-only",
                "links and /run/udev/control are udevd's own; leave the other options out",
            ));
        }
        let places = places(self.blkid.clone(), self.blkid_timeout)?;
        if self.daemon {
            return self.start_daemon();
        }
        if self.detached {
            // Out of the reach of the terminal and of the group that started us.
            let _ = nix::unistd::setsid();
        }
        if self.complete_only {
            return completer::run(&self);
        }
        let mut place = Place::free(Path::new(RUN_UDEV), Path::new(PROC))?;
        umask(Mode::from_bits_truncate(0o022));
        // Subscribed before the first look: what happens in between comes as an event.
        let socket = Socket::open(true, true, self.queue)?;
        let control = open_control()?;
        let mut engine = engine(places)?;
        if self.claim_udev {
            place.claim()?;
        }
        place.watch();
        standalone::remember(&mut engine, Path::new(RUN_UDEV), Path::new(SYS))?;
        let stop = service::stop_pipe()?;
        let mut standalone = Standalone {
            engine,
            socket,
            completions: Completions::default(),
            unsettled: Default::default(),
            control: &control,
            place,
            buffer: vec![0; DATAGRAM_MAX],
            stop,
            sys: Path::new(SYS),
            proc: Path::new(PROC),
        };
        standalone.look_around()?;
        service::harden();
        self.ready()?;
        let counts = standalone.run();
        self.gone();
        let counts = counts?;
        log::info!(
            "listen: {} events, {} cookies completed, {} datagrams dropped, {} times overrun",
            counts.events,
            counts.completed,
            counts.dropped,
            counts.overruns
        );
        Ok(0)
    }
}

impl Listen {
    /// Everything is in place.
    fn ready(&self) -> Result<()> {
        service::announce(self.pid_file.as_deref())?;
        if self.detached {
            crate::log::to_system();
            service::detach()?;
        }
        Ok(())
    }

    fn gone(&self) {
        if let Some(path) = &self.pid_file {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Starts itself once more and waits until that one is ready, so that whoever waits for us knows that it is, or
    /// sees why it is not.
    fn start_daemon(self) -> Result<u8> {
        let own = std::env::current_exe().map_err(|error| Error::io("find", "own program", &error))?;
        let failed = |error: io::Error| Error::spawn("run", own.as_os_str().as_encoded_bytes(), &error);
        // A relative path would mean another file once the directory is left.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let mut command = std::process::Command::new(&own);
        command.args(["listen", "--detached", "--queue", &self.queue.to_string()]);
        command.args(["--blkid-timeout", &self.blkid_timeout.to_string()]);
        command.args(self.claim_udev.then_some("--claim-udev"));
        command.args(self.complete_only.then_some("--complete-only"));
        for (option, path) in [("--blkid", &self.blkid), ("--pid-file", &self.pid_file)] {
            if let Some(path) = path {
                command.arg(option).arg(absolute(path));
            }
        }
        let mut child = command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).spawn().map_err(failed)?;
        let mut ready = Vec::new();
        if let Some(mut output) = child.stdout.take() {
            output.read_to_end(&mut ready).map_err(failed)?;
        }
        if ready == b"ready\n" {
            return Ok(0);
        }
        let status = child.wait().map_err(failed)?;
        match status.code().and_then(|status| u8::try_from(status).ok()) {
            Some(status @ 1..) => Ok(status), // It has said why.
            _ => Err(Error::malformed("start", "listen", format!("the background process ended: {status}"))),
        }
    }
}

impl EventCommand {
    /// The environment is the event; the records of the devices are the memory.
    pub(super) fn run(self) -> Result<()> {
        let mut properties = Vec::new();
        for (key, value) in std::env::vars_os() {
            properties.extend([key.as_encoded_bytes(), b"=", value.as_encoded_bytes(), b"\0"].concat());
        }
        let udevd = Udevd::find(Path::new(RUN_UDEV), Path::new(PROC));
        let unknown = match udevd {
            Udevd::Unknown(Doubt::Socket(errno)) => Some(Error::os("examine", format!("{RUN_UDEV}/control"), errno)),
            udevd => {
                place::refuse(udevd)?;
                None
            }
        };
        let event = crate::uevent::Uevent::from_properties(&properties)
            .filter(|event| event.get("ACTION").is_some() && event.get("DEVPATH").is_some())
            .ok_or_else(|| Error::usage("event", "environment", "no ACTION and DEVPATH: the device manager runs this for each uevent"))?;
        if !event.is_device_mapper() {
            return Ok(());
        }
        match unknown.map_or_else(|| places(self.blkid, self.blkid_timeout), Err).and_then(engine) {
            Ok(mut engine) => {
                if let Err(error) = standalone::remember(&mut engine, Path::new(RUN_UDEV), Path::new(SYS)) {
                    log::error!("{error}");
                }
                standalone::process(&mut engine, event);
                Ok(())
            }
            Err(error) => {
                // Whatever is wrong with us: nobody is to wait for it.
                if let Some(key) = event.cookie().and_then(|cookie| cookie.key()) {
                    let _ = completions::patiently(&mut || crate::cookie::sem::complete(key));
                }
                Err(error)
            }
        }
    }
}
