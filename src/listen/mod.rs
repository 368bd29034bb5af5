//! The event loops: following events as they come.

mod changes;
pub mod claim;
pub mod completer;
pub mod condition;
mod devices;
pub mod engine;
mod handover;
pub mod happening;
mod look;
pub mod memory;
pub mod monitor;
pub mod place;
pub mod standalone;
pub mod subject;
mod threads;
mod tracker;
mod unsettled;
pub mod wait;
