//! The system calls, without the C library (its constants and types are of use) and its `errno`. `None`: it failed, for whatever reason.
#![allow(unsafe_code)]

use dmhelper_core::cookie::Key;
use dmhelper_core::dm::abi::{DM_DEV_STATUS_CMD, DM_IOCTL, dm_ioctl};
use dmhelper_core::dm::request::Head;
use syscalls::{Sysno, syscall};

/// Ends the process with success. There is nothing to flush.
pub(crate) fn exit() -> ! {
    loop {
        // SAFETY: `void exit_group(int status)` takes an integer and does not return.
        let _ = unsafe { syscall!(Sysno::exit_group, 0) };
    }
}

/// Writes all of it to standard output.
pub(crate) fn print(mut text: &[u8]) -> Option<()> {
    while !text.is_empty() {
        // SAFETY: `ssize_t write(int fd, const void *buf, size_t count)` reads the slice.
        let written = unsafe { syscall!(Sysno::write, libc::STDOUT_FILENO, text.as_ptr(), text.len()) }.ok()?;
        text = text.get(written..).filter(|rest| rest.len() < text.len())?;
    }
    Some(())
}

/// DM_DEV_STATUS with the request that the buffer holds, which the reply replaces.
pub(crate) fn ask_status(buffer: &mut Head) -> Option<()> {
    const NODE: &core::ffi::CStr = c"/dev/mapper/control";
    // SAFETY: `int openat(int dirfd, const char *path, int flags)`: the path is a C string, absolute, so that no dirfd counts.
    let node = unsafe { syscall!(Sysno::openat, 0, NODE.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) }.ok()?;
    let number = libc::_IOWR::<dm_ioctl>(DM_IOCTL.into(), DM_DEV_STATUS_CMD.into());
    // SAFETY: `#define DM_DEV_STATUS _IOWR(0xfd, 7, struct dm_ioctl)`: the kernel reads the head and then reads and writes at
    // most `data_size` bytes, which is the buffer's own length.
    let asked = unsafe { syscall!(Sysno::ioctl, node, number, buffer.as_mut_ptr()) };
    // A standard stream was closed: what is printed must not go there.
    if asked.is_err() || node <= libc::STDERR_FILENO as usize {
        // SAFETY: `int close(int fd)` of our own descriptor.
        let _ = unsafe { syscall!(Sysno::close, node) };
        return None;
    }
    Some(()) // The process's end closes it.
}

/// Subtracts 1 from the semaphore of the key, without waiting.
pub(crate) fn complete(key: Key) -> Option<()> {
    let operation = libc::sembuf { sem_num: 0, sem_op: -1, sem_flg: libc::IPC_NOWAIT as i16 };
    // SAFETY: `int semget(key_t key, int nsems, int semflg)` takes integers only.
    let set = unsafe { syscall!(Sysno::semget, key.value(), 1, 0) }.ok()?;
    // SAFETY: `int semop(int semid, struct sembuf *sops, size_t nsops)` reads the one operation.
    unsafe { syscall!(Sysno::semop, set, &raw const operation, 1) }.ok()?;
    Some(())
}
