//! What an event of a device-mapper device means: the pure part of `dmhelper`, from bytes to lines.
//!
//! ```text
//! environment → Event ┐
//! dm reply → Device   ┴→ Decision → properties
//! DM_COOKIE → Cookie → key of its semaphore
//! ```
//!
//! `no_std` and without an allocator, so that the compiler, not discipline, keeps it fit for two places where there is
//! neither: before the C library has started (the crate `dmhelper-early`), and an event of `dmhelper listen` while memory
//! is short. No unsafe code.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod cookie;
pub mod decision;
pub mod devno;
pub mod dm;
pub mod env;
pub mod event;
pub mod fault;
pub mod name;
pub mod text;
