//! The event loops: following events as they come.

pub mod claim;
pub mod engine;
pub mod standalone;
