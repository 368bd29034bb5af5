use std::fs;
use std::path::Path;

use super::{Listen, PROC, service};
use crate::completer::Right;
use crate::error::{Error, Result};
use crate::info::Roots;
use crate::listen::completer::{Residence, inherited};
use crate::listen::queue;
use crate::uevent::socket::Socket;

/// The socket's descriptor: one that no process opens by chance that gets our number after we are gone.
const DESCRIPTOR: i32 = 999;

/// `dmhelper listen --complete-only`. Tells the program's exit status.
pub(super) fn run(options: &Listen) -> Result<u8> {
    // First: who is told to stop while it starts still has to read what waits in the socket.
    let stop = service::stop_pipe()?;
    refuse_elsewhere(Path::new(PROC))?;
    let roots = Roots::default();
    let right = Right::take(&roots.run_dmhelper)?;
    let held = inherited::socket(|name| std::env::var_os(name))?;
    let socket = held.map_or_else(|| Socket::open(false, true, options.queue), Ok)?.raised(DESCRIPTOR);
    let mut residence = Residence::new(socket, right, &roots);
    service::harden();
    residence.begin()?;
    options.ready()?;
    let counts = residence.run(stop);
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

/// In other namespaces than udevd's there are other semaphores, no event of udevd's, and another /proc.
fn refuse_elsewhere(proc: &Path) -> Result<()> {
    let namespace = |process: &str, kind: &str| fs::read_link(proc.join(process).join("ns").join(kind)).ok();
    for udevd in queue::main_processes(proc) {
        for kind in ["ipc", "net", "pid"] {
            let (own, other) = (namespace("self", kind), namespace(&udevd.pid.to_string(), kind));
            if own.is_some() && other.is_some() && own != other {
                return Err(Error::usage(
                    "listen",
                    "--complete-only",
                    format!("udevd is in another {kind} namespace; nobody would complete its cookies"),
                ));
            }
        }
    }
    Ok(())
}
