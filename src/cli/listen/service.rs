//! What a process that stays needs: to be stopped, to be there when memory is short, to say that it is ready.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::mman::{MlockAllFlags, mlockall};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// Says that everything is in place and lets go of what the starting process may still wait for.
pub(super) fn detach() -> Result<()> {
    super::super::print("ready\n")?;
    let failed = |error: io::Error| Error::io("detach", "from the terminal", &error);
    let null = File::options().read(true).write(true).open("/dev/null").map_err(failed)?;
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

/// From here on a reader of our messages that is stuck (a journal whose disk is frozen) does not stop us: what it does not
/// take is lost.
pub(super) fn never_wait_to_log() {
    let done = without_waiting(io::stderr().as_fd()).and_then(|pipe| pipe.map_or(Ok(()), |pipe| Ok(nix::unistd::dup2_stderr(&pipe)?)));
    if let Err(error) = done {
        log::warn!("{}", Error::io("open", "stderr", &error));
    }
}

/// A socket is told not to wait. A pipe is opened anew: the flag would hold for everybody who writes through the same
/// opening.
fn without_waiting(fd: BorrowedFd<'_>) -> io::Result<Option<File>> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let kind = std::fs::metadata(&path)?.file_type();
    if kind.is_fifo() {
        return File::options().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path).map(Some);
    }
    if kind.is_socket() {
        let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
        fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    Ok(None)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn nobody_waits_for_a_log_that_is_stuck() {
        let fill = |to: &mut dyn Write| loop {
            if let Err(error) = to.write(&[b'x'; 4096]) {
                return error.kind();
            }
        };
        let (_reader, writer) = io::pipe().unwrap();
        let mut pipe = without_waiting(writer.as_fd()).unwrap().unwrap();
        assert_eq!(fill(&mut pipe), io::ErrorKind::WouldBlock);
        let flags = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK), "others write as before");
        let (_journal, mut stream) = UnixStream::pair().unwrap();
        assert!(without_waiting(stream.as_fd()).unwrap().is_none());
        assert_eq!(fill(&mut stream), io::ErrorKind::WouldBlock);
        assert!(without_waiting(File::open("/dev/null").unwrap().as_fd()).unwrap().is_none());
    }
}
