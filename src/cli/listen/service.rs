//! What a process that stays needs: to be stopped, to be there when memory is short, to say that it is ready.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::mman::{MlockAllFlags, mlockall};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// Says that everything is in place and lets go of what the starting process may still wait for.
pub(super) fn detach() -> Result<()> {
    super::super::print("ready\n")?;
    let failed = |error: io::Error| Error::io("detach", "from the terminal", &error);
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").map_err(failed)?;
    nix::unistd::dup2_stdout(&null).map_err(|errno| failed(errno.into()))?;
    nix::unistd::dup2_stderr(&null).map_err(|errno| failed(errno.into()))?;
    std::env::set_current_dir("/").map_err(failed)
}

/// Becomes readable with SIGINT or SIGTERM.
pub(super) fn stop_pipe() -> Result<UnixStream> {
    let made = UnixStream::pair().and_then(|(stop, signalled)| {
        for signal in [SIGINT, SIGTERM] {
            signal_hook::low_level::pipe::register(signal, signalled.try_clone()?)?;
        }
        Ok(stop)
    });
    made.map_err(|error| Error::io("catch", "signals", &error))
}

/// From here on nothing of this process is swapped out or thrown away, so that it works while the disks under the root
/// file system and the swap do not; and it is the last to be killed for want of memory. What is not permitted is said.
pub(super) fn harden() {
    // The heap grows now, not when memory is short; all that is kept for good has its place in it already.
    drop(std::hint::black_box(vec![0u8; 96 << 10]));
    if let Err(errno) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        log::warn!("{}", Error::os("lock", "memory", errno));
    }
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "-1000") {
        log::warn!("{}", Error::io("write", "/proc/self/oom_score_adj", &error));
    }
}

/// Tells whoever waits that everything is in place: by the pid file, and systemd by its notification socket.
pub(super) fn announce(pid_file: Option<&Path>) -> Result<()> {
    if let Some(path) = pid_file {
        let written = std::fs::write(path, format!("{}\n", std::process::id()));
        written.map_err(|error| Error::io("write", path.as_os_str().as_encoded_bytes(), &error))?;
    }
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        notify(&socket).map_err(|error| Error::io("notify", socket.as_encoded_bytes(), &error))?;
    }
    Ok(())
}

/// sd_notify(3): one datagram; a leading `@` stands for the abstract namespace.
fn notify(socket: &std::ffi::OsStr) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let address = match socket.as_encoded_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address).map(drop)
}
