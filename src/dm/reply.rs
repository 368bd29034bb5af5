//! What a reply says of several devices or targets, from bytes to values. Pure: every offset is checked, nothing is cast,
//! nothing is trusted.

use std::mem::{offset_of, size_of};

use dmhelper_core::dm::reply::{c_string, field, u32_at, u64_at};
use dmhelper_core::fault::Fault;

use super::abi::*;
use super::listing::Listing;
use super::{Removal, Target};
use crate::devno::Devno;
use crate::error::Result;

pub use dmhelper_core::dm::reply::Reply;

/// What a DM_DEV_REMOVE has done.
pub fn removal(reply: Reply<'_>) -> Result<Removal> {
    let flags = reply.flags()?;
    // The kernel clears the flag where the device went at once.
    let deferred = flags & DM_DEFERRED_REMOVE != 0;
    Ok(if deferred { Removal::Deferred } else { Removal::Done { announced: flags & DM_UEVENT_GENERATED_FLAG != 0 } })
}

/// The targets of a DM_TABLE_STATUS reply.
pub fn targets(reply: Reply<'_>) -> Result<Vec<Target>> {
    let data = reply.data()?;
    let mut targets = Vec::new();
    let mut at = 0;
    for _ in 0..reply.head(offset_of!(dm_ioctl, target_count))? {
        let spec = data.get(at..).ok_or_else(|| Fault::reply(format_args!("target at {at}, past its end")))?;
        let params = spec.get(size_of::<dm_target_spec>()..).ok_or_else(|| Fault::reply(format_args!("a target cut short")))?;
        targets.push(Target {
            start: u64_at(spec, offset_of!(dm_target_spec, sector_start))?,
            length: u64_at(spec, offset_of!(dm_target_spec, length))?,
            kind: c_string(field(spec, offset_of!(dm_target_spec, target_type), DM_MAX_TYPE_NAME)?)?.to_vec(),
            status: c_string(params)?.to_vec(),
        });
        // `next` counts from the first target, unlike every other `next` of this interface.
        let next = u32_at(spec, offset_of!(dm_target_spec, next))? as usize;
        if next <= at {
            return Err(Fault::reply(format_args!("target {next} after target {at}")).into());
        }
        at = next;
    }
    Ok(targets)
}

/// The devices of a DM_TABLE_DEPS reply.
pub fn dependencies(reply: Reply<'_>) -> Result<Vec<Devno>> {
    let data = reply.data()?;
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
        (_, None) => Err(Fault::reply(format_args!("{count} dependencies, more than it holds")).into()),
    }
}

/// The devices of a DM_LIST_DEVICES reply; event numbers from interface 4.37 on, UUIDs from 4.45 on.
pub fn list(reply: Reply<'_>) -> Result<Listing> {
    let minor = reply.head(offset_of!(dm_ioctl, version) + 4)?;
    let mut rest = reply.data()?;
    let mut devices = Listing::default();
    if rest.is_empty() || u64_at(rest, 0)? == 0 {
        return Ok(devices); // No device at all: one record of zeros.
    }
    loop {
        let next = u32_at(rest, 8)? as usize;
        let record = if next == 0 { rest } else { field(rest, 0, next)? };
        listed(record, minor, &mut devices)?;
        if next == 0 {
            return Ok(devices);
        }
        rest = rest.get(next..).unwrap_or_default();
    }
}

/// Whether the kernel's interface lists UUIDs.
pub fn lists_uuids(reply: Reply<'_>) -> Result<bool> {
    Ok(reply.head(offset_of!(dm_ioctl, version) + 4)? >= 45)
}

fn listed(record: &[u8], minor: u32, devices: &mut Listing) -> Result<()> {
    let name = c_string(record.get(12..).unwrap_or_default())?;
    let after = (12 + name.len() + 1).next_multiple_of(8);
    let has_uuid = minor >= 45 && u32_at(record, after + 4)? & DM_NAME_LIST_FLAG_HAS_UUID != 0;
    let uuid = if has_uuid { c_string(record.get(after + 8..).unwrap_or_default())? } else { b"" };
    let event_number = (minor >= 37).then(|| u32_at(record, after)).transpose()?;
    devices.push(Devno::from_kernel(u64_at(record, 0)?), name, uuid, event_number)
}

#[cfg(test)]
mod tests;
