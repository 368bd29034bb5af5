//! The control node itself, where nobody has made it.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::error::{Error, Result};

/// What to do where nothing is behind the control node.
pub(super) const NO_DRIVER: &str = "is device-mapper in the kernel? try `modprobe dm-mod`";

/// Fails where the kernel shows everybody that it has no device-mapper. Where there is no /proc, nothing is known.
pub fn require_driver(dev: &Path, proc: &Path) -> Result<()> {
    match minor(proc) {
        Ok(None) => Err(lacking(&dev.join("mapper/control"))),
        _ => Ok(()),
    }
}

fn lacking(path: &Path) -> Error {
    Error::os("open", path.as_os_str().as_encoded_bytes(), Errno::ENODEV).advise(NO_DRIVER)
}

/// The driver's minor number of the misc devices.
fn minor(proc: &Path) -> io::Result<Option<u64>> {
    let table = std::fs::read_to_string(proc.join("misc"))?;
    let mut drivers = table.lines().filter_map(|line| line.trim().split_once(' '));
    Ok(drivers.find(|(_, name)| *name == "device-mapper").and_then(|(minor, _)| minor.parse().ok()))
}

/// Makes the control node from the misc device number that /proc/misc shows.
pub(super) fn make(path: &Path, proc: &Path) -> Result<()> {
    let misc = proc.join("misc");
    let failed = |e: io::Error| Error::io("read", misc.as_os_str().as_encoded_bytes(), &e);
    let minor = minor(proc).map_err(failed)?.ok_or_else(|| lacking(path))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_told_and_what_is_not_known_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let ask = || require_driver(Path::new("/dev"), folder.path());
        assert_eq!(ask(), Ok(()), "no /proc");
        std::fs::write(folder.path().join("misc"), "235 autofs\n 59 device-mapper-like\n").unwrap();
        assert_eq!(ask(), Err(lacking(Path::new("/dev/mapper/control"))));
        assert_eq!(ask().map_err(|error| error.status()), Err(1));
        std::fs::write(folder.path().join("misc"), "235 autofs\n 59 device-mapper\n").unwrap();
        assert_eq!(ask(), Ok(()));
    }
}
