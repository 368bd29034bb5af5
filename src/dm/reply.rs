//! The kernel's replies, from bytes to values. Pure: every offset is checked, nothing is cast, nothing is trusted.

use std::mem::{offset_of, size_of};

use super::abi::*;
use super::{Details, Device, Listed, Removal, Target};
use crate::devno::Devno;
use crate::error::{Error, Result};
use crate::name::{DmName, DmUuid};

/// A reply as the kernel wrote it: a `dm_ioctl` and what follows it.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a>(&'a [u8]);

impl<'a> Reply<'a> {
    /// Checks the head: long enough, of our major version, and within its buffer.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let reply = Self(bytes);
        if bytes.len() < offset_of!(dm_ioctl, data) {
            return Err(malformed(format!("{} bytes, shorter than its head", bytes.len())));
        }
        match reply.head(offset_of!(dm_ioctl, version))? {
            DM_VERSION_MAJOR => {}
            major => return Err(malformed(format!("interface version {major}, this program knows {DM_VERSION_MAJOR}"))),
        }
        if reply.head(offset_of!(dm_ioctl, data_size))? as usize > bytes.len() {
            return Err(malformed("longer than its buffer".into()));
        }
        Ok(reply)
    }

    /// Whether the kernel had more to say than the buffer holds.
    pub fn is_truncated(&self) -> Result<bool> {
        Ok(self.flags()? & DM_BUFFER_FULL_FLAG != 0)
    }

    /// What a DM_DEV_REMOVE has done.
    pub fn removal(&self) -> Result<Removal> {
        let flags = self.flags()?;
        // The kernel clears the flag where the device went at once.
        let deferred = flags & DM_DEFERRED_REMOVE != 0;
        Ok(if deferred { Removal::Deferred } else { Removal::Done { announced: flags & DM_UEVENT_GENERATED_FLAG != 0 } })
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

    /// The targets of a DM_TABLE_STATUS reply.
    pub fn targets(&self) -> Result<Vec<Target>> {
        let data = self.data()?;
        let mut targets = Vec::new();
        let mut at = 0;
        for _ in 0..self.head(offset_of!(dm_ioctl, target_count))? {
            let spec = data.get(at..).ok_or_else(|| malformed(format!("target at {at}, past its end")))?;
            let params = spec.get(size_of::<dm_target_spec>()..).ok_or_else(|| malformed("a target cut short".into()))?;
            targets.push(Target {
                start: u64_at(spec, offset_of!(dm_target_spec, sector_start))?,
                length: u64_at(spec, offset_of!(dm_target_spec, length))?,
                kind: c_string(field(spec, offset_of!(dm_target_spec, target_type), DM_MAX_TYPE_NAME)?)?.to_vec(),
                status: c_string(params)?.to_vec(),
            });
            // `next` counts from the first target, unlike every other `next` of this interface.
            let next = u32_at(spec, offset_of!(dm_target_spec, next))? as usize;
            if next <= at {
                return Err(malformed(format!("target {next} after target {at}")));
            }
            at = next;
        }
        Ok(targets)
    }

    /// The devices of a DM_TABLE_DEPS reply.
    pub fn dependencies(&self) -> Result<Vec<Devno>> {
        let data = self.data()?;
        let count = match data {
            [] => 0,
            data => u32_at(data, 0)? as usize,
        };
        // struct dm_target_deps: count, padding, then one 64-bit number each.
        let end = count.checked_mul(8).and_then(|size| size.checked_add(8));
        let devices = end.and_then(|end| data.get(8.min(end)..end));
        match (count, devices) {
            (0, _) => Ok(Vec::new()),
            (_, Some(devices)) => (0..count).map(|i| Ok(Devno::from_kernel(u64_at(devices, i * 8)?))).collect(),
            (_, None) => Err(malformed(format!("{count} dependencies, more than it holds"))),
        }
    }

    /// The devices of a DM_LIST_DEVICES reply; event numbers from interface 4.37 on, UUIDs from 4.45 on.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let minor = self.head(offset_of!(dm_ioctl, version) + 4)?;
        let mut rest = self.data()?;
        let mut devices = Vec::new();
        if rest.is_empty() || u64_at(rest, 0)? == 0 {
            return Ok(devices); // No device at all: one record of zeros.
        }
        loop {
            let next = u32_at(rest, 8)? as usize;
            let record = if next == 0 { rest } else { field(rest, 0, next)? };
            devices.push(listed(record, minor)?);
            if next == 0 {
                return Ok(devices);
            }
            rest = rest.get(next..).unwrap_or_default();
        }
    }

    /// Whether the kernel's interface lists UUIDs.
    pub fn lists_uuids(&self) -> Result<bool> {
        Ok(self.head(offset_of!(dm_ioctl, version) + 4)? >= 45)
    }

    fn flags(&self) -> Result<u32> {
        self.head(offset_of!(dm_ioctl, flags))
    }

    fn head(&self, offset: usize) -> Result<u32> {
        u32_at(self.0, offset)
    }

    /// What follows the head, from `data_start` to `data_size`.
    fn data(&self) -> Result<&'a [u8]> {
        let start = self.head(offset_of!(dm_ioctl, data_start))? as usize;
        let end = self.head(offset_of!(dm_ioctl, data_size))? as usize;
        // What the kernel writes when it has nothing to add, whatever `data_start` says: a device without a table.
        if end == offset_of!(dm_ioctl, data) {
            return Ok(&[]);
        }
        if start < offset_of!(dm_ioctl, data) {
            return Err(malformed(format!("data at {start}, inside its head")));
        }
        self.0.get(start..end).ok_or_else(|| malformed(format!("data from {start} to {end}")))
    }
}

fn listed(record: &[u8], minor: u32) -> Result<Listed> {
    let name = c_string(record.get(12..).unwrap_or_default())?;
    let after = (12 + name.len() + 1).next_multiple_of(8);
    let has_uuid = minor >= 45 && u32_at(record, after + 4)? & DM_NAME_LIST_FLAG_HAS_UUID != 0;
    let uuid = if has_uuid { c_string(record.get(after + 8..).unwrap_or_default())? } else { b"" };
    Ok(Listed {
        devno: Devno::from_kernel(u64_at(record, 0)?),
        name: DmName::new(name)?,
        event_number: (minor >= 37).then(|| u32_at(record, after)).transpose()?,
        uuid: DmUuid::new(uuid)?,
    })
}

fn field(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8]> {
    let end = offset.checked_add(length);
    end.and_then(|end| bytes.get(offset..end)).ok_or_else(|| malformed(format!("field at {offset}, past its end")))
}

fn u32_at(bytes: &[u8], offset: usize) -> Result<u32> {
    let four = field(bytes, offset, 4)?.first_chunk().copied();
    Ok(u32::from_ne_bytes(four.unwrap_or_default()))
}

fn u64_at(bytes: &[u8], offset: usize) -> Result<u64> {
    let eight = field(bytes, offset, 8)?.first_chunk().copied();
    Ok(u64::from_ne_bytes(eight.unwrap_or_default()))
}

fn c_string(bytes: &[u8]) -> Result<&[u8]> {
    let end = bytes.iter().position(|&b| b == 0).ok_or_else(|| malformed("a text without end".into()))?;
    bytes.get(..end).ok_or_else(|| malformed("a text without end".into()))
}

fn malformed(cause: String) -> Error {
    Error::malformed("device-mapper", "reply", cause)
}

#[cfg(test)]
mod tests;
