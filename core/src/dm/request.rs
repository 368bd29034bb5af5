//! Requests to the control node, as bytes.

use core::mem::{offset_of, size_of};

use super::abi::*;
use crate::devno::Devno;

/// What a request for one device needs, and what its reply fits into.
pub type Head = [u8; size_of::<dm_ioctl>()];

/// Fills in what every request has: the version, its buffer's size, that no block device is to be looked up.
pub fn begin(buffer: &mut [u8], flags: u32) {
    let size = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
    put(buffer, offset_of!(dm_ioctl, version), &DM_VERSION_MAJOR.to_ne_bytes());
    put(buffer, offset_of!(dm_ioctl, data_size), &size.to_ne_bytes());
    put(buffer, offset_of!(dm_ioctl, data_start), &(size_of::<dm_ioctl>() as u32).to_ne_bytes());
    put(buffer, offset_of!(dm_ioctl, flags), &(flags | DM_SKIP_BDGET_FLAG).to_ne_bytes());
}

/// A whole request for a device's state, DM_DEV_STATUS.
pub fn status(devno: Devno) -> Head {
    let mut head = [0; size_of::<dm_ioctl>()];
    begin(&mut head, 0);
    select(&mut head, devno);
    head
}

/// Says which device is meant.
pub fn select(buffer: &mut [u8], devno: Devno) {
    put(buffer, offset_of!(dm_ioctl, dev), &devno.to_kernel().to_ne_bytes());
}

/// Writes `bytes` at `offset` of a request, whose buffer is never shorter than `dm_ioctl`.
pub fn put(buffer: &mut [u8], offset: usize, bytes: &[u8]) {
    if let Some(place) = buffer.get_mut(offset..offset + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
