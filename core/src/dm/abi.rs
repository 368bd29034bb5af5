//! The ioctl interface's structures and numbers, with the kernel's names (linux/dm-ioctl.h, version 4).
#![allow(missing_docs, non_camel_case_types)]

use core::mem::{offset_of, size_of};

pub const DM_IOCTL: u8 = 0xfd;
pub const DM_VERSION_MAJOR: u32 = 4;
pub const DM_NAME_LEN: usize = 128;
pub const DM_UUID_LEN: usize = 129;
pub const DM_MAX_TYPE_NAME: usize = 16;

pub const DM_LIST_DEVICES_CMD: u8 = 2;
pub const DM_DEV_REMOVE_CMD: u8 = 4;
pub const DM_DEV_STATUS_CMD: u8 = 7;
pub const DM_DEV_WAIT_CMD: u8 = 8;
pub const DM_TABLE_DEPS_CMD: u8 = 11;
pub const DM_TABLE_STATUS_CMD: u8 = 12;
pub const DM_DEV_ARM_POLL_CMD: u8 = 16;

pub const DM_READONLY_FLAG: u32 = 1 << 0;
pub const DM_SUSPEND_FLAG: u32 = 1 << 1;
pub const DM_STATUS_TABLE_FLAG: u32 = 1 << 4;
pub const DM_ACTIVE_PRESENT_FLAG: u32 = 1 << 5;
pub const DM_INACTIVE_PRESENT_FLAG: u32 = 1 << 6;
pub const DM_BUFFER_FULL_FLAG: u32 = 1 << 8;
pub const DM_SKIP_BDGET_FLAG: u32 = 1 << 9;
pub const DM_NOFLUSH_FLAG: u32 = 1 << 11;
pub const DM_QUERY_INACTIVE_TABLE_FLAG: u32 = 1 << 12;
pub const DM_UEVENT_GENERATED_FLAG: u32 = 1 << 13;
pub const DM_UUID_FLAG: u32 = 1 << 14;
pub const DM_DEFERRED_REMOVE: u32 = 1 << 17;
pub const DM_INTERNAL_SUSPEND_FLAG: u32 = 1 << 18;

pub const DM_NAME_LIST_FLAG_HAS_UUID: u32 = 1;
pub const DM_NAME_LIST_FLAG_DOESNT_HAVE_UUID: u32 = 2;

/// The head of every request and reply.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct dm_ioctl {
    pub version: [u32; 3],
    pub data_size: u32,
    pub data_start: u32,
    pub target_count: u32,
    pub open_count: i32,
    pub flags: u32,
    pub event_nr: u32,
    pub padding: u32,
    pub dev: u64,
    pub name: [u8; DM_NAME_LEN],
    pub uuid: [u8; DM_UUID_LEN],
    pub data: [u8; 7],
}

/// One target of a table, before its parameter string.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct dm_target_spec {
    pub sector_start: u64,
    pub length: u64,
    pub status: i32,
    pub next: u32,
    pub target_type: [u8; DM_MAX_TYPE_NAME],
}

// Layout of the kernel's own structures on every 64-bit Linux, and what the reply parser reads by offset.
const _: () = {
    assert!(size_of::<dm_ioctl>() == 312);
    assert!(offset_of!(dm_ioctl, dev) == 40);
    assert!(offset_of!(dm_ioctl, name) == 48);
    assert!(offset_of!(dm_ioctl, uuid) == 176);
    assert!(offset_of!(dm_ioctl, data) == 305);
    assert!(size_of::<dm_target_spec>() == 40);
    assert!(offset_of!(dm_target_spec, next) == 20);
    assert!(offset_of!(dm_target_spec, target_type) == 24);
};
