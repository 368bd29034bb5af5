//! How long a tool waits for its answer: from the ioctl that resumes a device to the completion of its cookie.
#![allow(unsafe_code)] // One ioctl that the library has no use for.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use dmhelper::cookie::Flags;
use dmhelper::cookie::transaction::{Outcome, Transaction};
use nix::libc;

/// linux/dm-ioctl.h: `_IOWR(0xfd, 6, struct dm_ioctl)`, 312 bytes; without `DM_SUSPEND_FLAG` it resumes.
const DM_DEV_SUSPEND: libc::c_ulong = 0xc138_fd06;
const DM_SUSPEND_FLAG: u32 = 1 << 1;
const PATIENCE: Duration = Duration::from_secs(60);

/// Suspends and resumes the device; seconds from each resumption to the answer.
pub(crate) fn measure(name: &str, count: usize) -> Result<Vec<f64>, String> {
    let control = File::options().read(true).write(true).open("/dev/mapper/control").map_err(|error| format!("control: {error}"))?;
    let told = |error: dmhelper::error::Error| error.to_string();
    let mut seconds = Vec::new();
    for _ in 0..count {
        let mut transaction = Transaction::begin().map_err(told)?;
        suspend(&control, name, DM_SUSPEND_FLAG, 0)?;
        let event_nr = transaction.expect_event(Flags::default()).map_err(told)?;
        let begun = Instant::now();
        suspend(&control, name, 0, event_nr)?;
        match transaction.wait(Some(begun + PATIENCE)).map_err(told)? {
            Outcome::Complete => seconds.push(begun.elapsed().as_secs_f64()),
            other => return Err(format!("{name}: no answer: {other:?}")),
        }
    }
    Ok(seconds)
}

fn suspend(control: &File, name: &str, flags: u32, event_nr: u32) -> Result<(), String> {
    let mut request = [0u8; 312];
    // version, data_size, data_start, target_count, open_count, flags, event_nr, padding, dev (two words); then the name.
    for (at, word) in [4, 0, 0, 312, 312, 0, 0, flags, event_nr].into_iter().enumerate() {
        request.iter_mut().skip(at * 4).zip(word.to_ne_bytes()).for_each(|(byte, value)| *byte = value);
    }
    request.iter_mut().skip(48).zip(name.bytes()).for_each(|(byte, value)| *byte = value);
    // SAFETY: int ioctl(int fd, unsigned long request, struct dm_ioctl *); the kernel reads and writes 312 bytes of live memory.
    let result = unsafe { libc::ioctl(control.as_raw_fd(), DM_DEV_SUSPEND, request.as_mut_ptr()) };
    if result == 0 { Ok(()) } else { Err(format!("{name}: {}", std::io::Error::last_os_error())) }
}
