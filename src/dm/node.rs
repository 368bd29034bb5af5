//! The control node itself, where nobody has made it.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::error::{Error, Result};

/// Makes the control node from the misc device number that /proc/misc shows.
pub(super) fn make(path: &Path, proc: &Path) -> Result<()> {
    let misc = proc.join("misc");
    let table = std::fs::read_to_string(&misc).map_err(|e| Error::io("read", misc.as_os_str().as_encoded_bytes(), &e))?;
    let number = table.lines().filter_map(|line| line.trim().split_once(' ')).find(|(_, name)| *name == "device-mapper");
    let minor = number.and_then(|(minor, _)| minor.parse().ok()).ok_or_else(|| {
        Error::os("open", path.as_os_str().as_encoded_bytes(), Errno::ENOENT)
            .advise("device-mapper is not in this kernel: try `modprobe dm-mod`")
    })?;
    let failed = |e: io::Error| Error::io("create", path.as_os_str().as_encoded_bytes(), &e);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    const MISC_MAJOR: u64 = 10;
    match mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), makedev(MISC_MAJOR, minor)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(failed(errno.into())),
    }
}
