use super::{Listen, service};
use crate::error::{Error, Result};
use crate::info::Roots;
use crate::listen::completer::right::Right;
use crate::listen::completer::surroundings::{self, Elsewhere};
use crate::listen::completer::{Residence, inherited};
use crate::uevent::socket::Socket;

/// `dmhelper listen --complete-only`. Tells the program's exit status.
pub(super) fn run(options: &Listen) -> Result<u8> {
    // First: who is told to stop while it starts still has to read what waits in the socket.
    let stop = service::stop_pipe()?;
    let roots = Roots::default();
    let right = Right::take(&roots.run_dmhelper)?;
    refuse_elsewhere(&roots)?;
    let held = inherited::socket(|name| std::env::var_os(name))?;
    let socket = held.map_or_else(|| Socket::open(false, true, options.queue), Ok)?;
    let mut residence = Residence::new(socket, right, &roots);
    service::harden();
    service::never_wait_to_log();
    residence.begin()?;
    options.ready()?;
    let counts = residence.run(&stop);
    options.gone();
    let counts = counts?;
    log::info!(
        "listen: {} cookies completed, {} of failed events, {} of lost events, {} datagrams dropped, {} times overrun",
        counts.completed,
        counts.failed,
        counts.released,
        counts.dropped,
        counts.overruns
    );
    Ok(0)
}

/// Nobody would complete the cookies of a udevd that is elsewhere, or it would never leave any to us.
fn refuse_elsewhere(roots: &Roots) -> Result<()> {
    let Some(elsewhere) = surroundings::elsewhere(roots) else { return Ok(()) };
    let cause = match elsewhere {
        Elsewhere::Namespace(kind) => format!("udevd is in another {kind} namespace; nobody would complete its cookies"),
        Elsewhere::Directory => format!("udevd has another {}; its rules would not find the completer", roots.run_dmhelper.display()),
    };
    Err(Error::usage("listen", "--complete-only", cause))
}
