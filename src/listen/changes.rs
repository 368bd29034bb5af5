//! What is made in udevd's directory: its sockets when it starts, `queue` when it has something to do.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::error::{Error, Result};

/// Readable from when something was made.
#[derive(Debug)]
pub(super) struct Changes(Inotify);

impl Changes {
    /// Of this directory, from here on.
    pub(super) fn of(directory: &Path) -> Result<Self> {
        let watched = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).and_then(|changes| {
            changes.add_watch(directory, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO)?;
            Ok(Self(changes))
        });
        watched.map_err(|errno| Error::os("watch", directory.as_os_str().as_bytes(), errno))
    }

    /// Whether there were any since this was asked before; no memory is taken for it.
    pub(super) fn heard(&self) -> bool {
        let read = || nix::unistd::read(&self.0, &mut [0; 4096]).is_ok_and(|length| length > 0);
        let any = read();
        while any && read() {}
        any
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
