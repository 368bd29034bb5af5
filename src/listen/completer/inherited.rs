//! A socket that systemd holds for us, so that no event is lost while we are not there. See sd_listen_fds(3).

use std::ffi::OsStr;
use std::os::fd::OwnedFd;

use crate::error::{Error, Result};
use crate::uevent::socket::Socket;

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;

/// The socket of the environment, if it is meant for this process.
///
/// # Errors
/// More sockets than one, or one of another kind.
pub fn socket(get: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Option<Socket>> {
    let number = |name: &str| get(name).as_deref().and_then(OsStr::to_str).and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(None);
    }
    match number("LISTEN_FDS") {
        None | Some(0) => Ok(None),
        Some(1) => Socket::adopt(first()).map(Some),
        Some(more) => Err(Error::usage("LISTEN_FDS", more.to_string(), "one socket is wanted, of udevd's events")),
    }
}

#[allow(unsafe_code)] // A number from the environment becomes a descriptor, which nothing safe does.
fn first() -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: whoever set LISTEN_PID to this process has left descriptor 3 to it, and nothing else here owns it: it is
    // asked for once, at the start. A number that is not open makes the next system call fail, no more.
    unsafe { OwnedFd::from_raw_fd(FIRST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_for_another_process_is_left_alone() {
        let with = |pid: String, fds: &'static str| {
            let get = move |name: &str| match name {
                "LISTEN_PID" => Some(pid.clone().into()),
                "LISTEN_FDS" => Some(fds.into()),
                _ => None,
            };
            socket(get)
        };
        let own = || std::process::id().to_string();
        assert!(socket(|_| None).unwrap().is_none());
        assert!(with("1".into(), "1").unwrap().is_none());
        assert!(with(own(), "0").unwrap().is_none() && with(own(), "x").unwrap().is_none());
        assert!(with(own(), "2").is_err());
    }
}
