//! Making udev take a live device as if its tool had just activated it: `dmhelper refresh`.
//!
//! Nothing happens to the device: its table stays, it is neither suspended nor opened. An event is asked for through its
//! `uevent` file, with an argument that our rules, and `listen`, know.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cookie::Flags;
use crate::decision::REFRESH;
use crate::dm::{Device, Listed};
use crate::error::{Cause, Error, Result};
use crate::explain::Places;
use crate::nodes::plan;
use crate::queue::{self, Backlog};
use crate::rulefiles::RuleFiles;
use crate::survey::{Survey, status};
use crate::text::printable;
use crate::udevd::Udevd;
use crate::udevdb::Record;
use crate::uevent::Source;
use crate::uevent::socket::{DATAGRAM_MAX, QUEUE, Received, Socket, loss};

/// How often it is looked whether udevd has nothing left: for who stands in for it and sends no event on.
const RECHECK: Duration = Duration::from_millis(50);

const OPERATION: &str = "refresh";

/// Asks for the event, and waits until it is processed.
///
/// # Errors
/// A device that is suspended, has no table, or lies on one that cannot be read; rules that do not know the argument; no
/// udevd; the deadline.
pub fn run(places: &Places, word: &str, deadline: Option<Instant>) -> Result<()> {
    let survey = Survey::open(&places.roots).map_err(|error| error.during(OPERATION))?;
    let devno = survey.find(word).map_err(|error| error.during(OPERATION))?;
    let listed = survey.listed(devno).ok_or_else(|| Error::not_found(OPERATION, word))?;
    let called = format!("{} ({devno})", printable(listed.name.as_bytes()));
    let path = survey.roots().sys.join(format!("dev/block/{devno}/uevent"));
    // Opened before the device is looked at: its file goes with it, whoever gets the number then.
    let file = OpenOptions::new().write(true).open(&path);
    let device = usable(&survey, &listed, &called)?;
    let mut file = file.map_err(|error| Error::io(OPERATION, &called, &error))?;
    let stand_in = require_rules(places, &called)?;
    let mut socket = Socket::open(true, true, QUEUE)?;
    let uuid = fs::read_to_string(survey.roots().proc.join("sys/kernel/random/uuid"));
    let uuid = uuid.map_err(|error| Error::io(OPERATION, &called, &error))?;
    file.write_all(format!("change {} {REFRESH}", uuid.trim()).as_bytes()).map_err(|error| Error::io(OPERATION, &called, &error))?;
    wait(places, &mut socket, &Asked { device: &device, called: &called, uuid: uuid.trim(), stand_in }, deadline)
}

/// The device, if udev may take it for activated and may read it.
fn usable(survey: &Survey<'_>, listed: &Listed, called: &str) -> Result<Device> {
    let refuse = |why: String| Err(Error::remains(OPERATION, called, why));
    let control = survey.control().ok_or_else(|| Error::os(OPERATION, called, Errno::EACCES))?;
    let (device, _) = control.status(listed.devno).map_err(|error| error.during(OPERATION))?;
    if !listed.is(&device) {
        return Err(Error::not_found(OPERATION, called));
    }
    if !device.details.is_some_and(|details| details.live_table) {
        return refuse("it has no table; its tool must activate it".to_string());
    }
    // Whoever reads a device waits for all that it lies on, through whatever lies between (a software RAID, a partition).
    let (mut left, mut seen) = (vec![listed.devno], BTreeSet::new());
    while let Some(devno) = left.pop() {
        if !seen.insert(devno) {
            continue;
        }
        let (below, targets) = match control.status(devno) {
            Ok(found) => found,
            // Not device-mapper's, or gone meanwhile.
            Err(error) if *error.cause() == Cause::NotFound => {
                left.extend(survey.below(devno));
                continue;
            }
            Err(error) => return Err(error.during(OPERATION)),
        };
        let which = if devno == listed.devno { "it".to_string() } else { format!("{} below it", printable(below.name.as_bytes())) };
        if below.suspended {
            return refuse(format!("{which} is suspended, and udev would wait for it; dmhelper explain {devno}"));
        }
        if status::health(&targets).pathless {
            return refuse(format!("no path to the disk of {which} works, and udev would wait for one; multipathd show paths"));
        }
        match control.uses(devno) {
            Ok((_, uses)) => left.extend(uses),
            Err(error) if *error.cause() == Cause::NotFound => {}
            Err(error) => return Err(error.during(OPERATION)),
        }
    }
    Ok(device)
}

/// Whether `listen` stands in for udevd. An error where nobody would know what is asked.
fn require_rules(places: &Places, called: &str) -> Result<bool> {
    let stand_in = match Udevd::find(&places.roots.run_udev, &places.roots.proc) {
        Udevd::Absent | Udevd::Ending => {
            return Err(Error::no_udevd(OPERATION, called).advise("start it first: systemctl start systemd-udevd"));
        }
        Udevd::Stopped => return Err(Error::remains(OPERATION, called, "udevd is stopped; dmhelper doctor tells how it goes on")),
        udevd => udevd == Udevd::StandIn,
    };
    if !stand_in && !RuleFiles::find(&places.root).can_refresh() {
        let why = "the installed udev rules do not know this event; install dmhelper's, or let the device's own tool activate it again";
        return Err(Error::remains(OPERATION, called, why));
    }
    Ok(stand_in)
}

/// What was asked for.
struct Asked<'a> {
    device: &'a Device,
    called: &'a str,
    uuid: &'a str,
    stand_in: bool,
}

fn wait(places: &Places, socket: &mut Socket, asked: &Asked<'_>, deadline: Option<Instant>) -> Result<()> {
    let roots = &places.roots;
    let mut buffer = vec![0; DATAGRAM_MAX];
    let (mut announced, mut answered) = (false, false);
    loop {
        loop {
            match socket.receive(&mut buffer)? {
                Received::Event(source, event) if event.text("SYNTH_UUID") == Some(asked.uuid) => match source {
                    Source::Kernel => announced = true,
                    Source::Udev => answered = true,
                },
                Received::Event(..) | Received::Dropped => {}
                // The answer may be among the lost: udevd's backlog tells as well.
                Received::Lost(errno) => log::warn!("refresh: {}", loss(errno)),
                Received::Empty => break,
            }
        }
        let taken = is_taken(&roots.run_udev, asked.device);
        if taken && (answered || queue::backlog(&roots.run_udev, &roots.proc) == Backlog::None) {
            return Ok(());
        }
        if answered && !asked.stand_in {
            let why = "udev has processed it, but its rules have left it alone; dmhelper doctor tells what is wrong with them";
            return Err(Error::remains(OPERATION, asked.called, why));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let missing = match announced {
                true => "udev has not processed it yet",
                false => "the kernel has sent no event (it must be Linux 4.13 or later, and this the network namespace of udevd)",
            };
            return Err(Error::timed_out(OPERATION, asked.called, missing));
        }
        let pause = left.map_or(RECHECK, |left| left.min(RECHECK));
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::os(OPERATION, asked.called, errno)),
        }
    }
}

/// Whether udev's record is that of an activated device of that name, without flags that withhold its links.
fn is_taken(run_udev: &Path, device: &Device) -> bool {
    let withheld = [Flags::DISABLE_DM_RULES, Flags::DISABLE_SUBSYSTEM_RULES, Flags::DISABLE_DISK_RULES];
    let own = plan::flags_of_unknown(device);
    Record::read(run_udev, device.devno).ok().flatten().is_some_and(|record| {
        let flags = record.flags();
        let named = record.property("DM_NAME").is_some_and(|name| !name.is_empty());
        named && flags.contains(Flags::PRIMARY_SOURCE) && withheld.iter().all(|flag| own.contains(*flag) || !flags.contains(*flag))
    })
}
