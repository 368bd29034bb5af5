//! libdevmapper's udev cookies: the value and its flags, the semaphore behind it, transactions of several events, and who
//! waits for what.

pub mod census;
pub mod completions;
pub mod namespace;
pub mod reap;
pub mod sem;
mod sleepers;
pub mod transaction;
pub mod wait;

pub use dmhelper_core::cookie::{Cookie, FLAG_PROPERTIES, FLAG_WORDS, Flags, Key, SUBSYSTEM_FLAG_WORDS};
