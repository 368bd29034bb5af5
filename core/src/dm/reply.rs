//! The kernel's replies, from bytes to values. Pure: every offset is checked, nothing is cast, nothing is trusted.

use core::ffi::CStr;
use core::mem::offset_of;

use super::abi::*;
use super::{Details, Device};
use crate::devno::Devno;
use crate::fault::{Fault, Result};
use crate::name::{DmName, DmUuid};

/// A reply as the kernel wrote it: a `dm_ioctl` and what follows it.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a>(&'a [u8]);

impl<'a> Reply<'a> {
    /// Checks the head: long enough, of our major version, and within its buffer.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let reply = Self(bytes);
        if bytes.len() < offset_of!(dm_ioctl, data) {
            return Err(Fault::reply(format_args!("{} bytes, shorter than its head", bytes.len())));
        }
        match reply.head(offset_of!(dm_ioctl, version))? {
            DM_VERSION_MAJOR => {}
            major => return Err(Fault::reply(format_args!("interface version {major}, this program knows {DM_VERSION_MAJOR}"))),
        }
        if reply.head(offset_of!(dm_ioctl, data_size))? as usize > bytes.len() {
            return Err(Fault::reply(format_args!("longer than its buffer")));
        }
        Ok(reply)
    }

    /// Whether the kernel had more to say than the buffer holds.
    pub fn is_truncated(&self) -> Result<bool> {
        Ok(self.flags()? & DM_BUFFER_FULL_FLAG != 0)
    }

    /// The device that a status-type reply describes.
    pub fn device(&self) -> Result<Device> {
        let flags = self.flags()?;
        let name = c_string(field(self.0, offset_of!(dm_ioctl, name), DM_NAME_LEN)?)?;
        let uuid = c_string(field(self.0, offset_of!(dm_ioctl, uuid), DM_UUID_LEN)?)?;
        Ok(Device {
            devno: Devno::from_kernel(u64_at(self.0, offset_of!(dm_ioctl, dev))?),
            name: DmName::new(name)?,
            uuid: DmUuid::new(uuid)?,
            suspended: flags & DM_SUSPEND_FLAG != 0,
            details: Some(Details {
                live_table: flags & DM_ACTIVE_PRESENT_FLAG != 0,
                inactive_table: flags & DM_INACTIVE_PRESENT_FLAG != 0,
                read_only: flags & DM_READONLY_FLAG != 0,
                deferred_remove: flags & DM_DEFERRED_REMOVE != 0,
                internal_suspend: flags & DM_INTERNAL_SUSPEND_FLAG != 0,
                open_count: self.head(offset_of!(dm_ioctl, open_count))?.cast_signed(),
                event_number: self.head(offset_of!(dm_ioctl, event_nr))?,
                segments: self.head(offset_of!(dm_ioctl, target_count))?,
            }),
        })
    }

    /// The flags (`DM_…_FLAG`).
    pub fn flags(&self) -> Result<u32> {
        self.head(offset_of!(dm_ioctl, flags))
    }

    /// A field of 32 bits of the head, by its offset in [`dm_ioctl`].
    pub fn head(&self, offset: usize) -> Result<u32> {
        u32_at(self.0, offset)
    }

    /// What follows the head, from `data_start` to `data_size`.
    pub fn data(&self) -> Result<&'a [u8]> {
        let start = self.head(offset_of!(dm_ioctl, data_start))? as usize;
        let end = self.head(offset_of!(dm_ioctl, data_size))? as usize;
        // What the kernel writes when it has nothing to add, whatever `data_start` says: a device without a table.
        if end == offset_of!(dm_ioctl, data) {
            return Ok(&[]);
        }
        if start < offset_of!(dm_ioctl, data) {
            return Err(Fault::reply(format_args!("data at {start}, inside its head")));
        }
        self.0.get(start..end).ok_or_else(|| Fault::reply(format_args!("data from {start} to {end}")))
    }
}

/// So many bytes of it from there on.
pub fn field(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8]> {
    let end = offset.checked_add(length);
    end.and_then(|end| bytes.get(offset..end)).ok_or_else(|| Fault::reply(format_args!("field at {offset}, past its end")))
}

/// A number of 32 bits, in the machine's order.
pub fn u32_at(bytes: &[u8], offset: usize) -> Result<u32> {
    let four = field(bytes, offset, 4)?.first_chunk().copied();
    Ok(u32::from_ne_bytes(four.unwrap_or_default()))
}

/// A number of 64 bits, in the machine's order.
pub fn u64_at(bytes: &[u8], offset: usize) -> Result<u64> {
    let eight = field(bytes, offset, 8)?.first_chunk().copied();
    Ok(u64::from_ne_bytes(eight.unwrap_or_default()))
}

/// Everything before the first NUL; without one it is malformed.
pub fn c_string(bytes: &[u8]) -> Result<&[u8]> {
    let text = CStr::from_bytes_until_nul(bytes).map_err(|_| Fault::reply(format_args!("a text without end")))?;
    Ok(text.to_bytes())
}
