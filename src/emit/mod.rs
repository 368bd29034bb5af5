//! From values to bytes for somebody else: all quoting and escaping of output is here.

pub mod columns;
pub mod cookies;
pub mod deps;
pub mod doctor;
pub mod env;
pub mod explain;
pub mod happening;
pub mod json;
pub mod table;
pub mod tree;

pub use dmhelper_core::event;

use crate::cookie::Flags;

/// The flags of a device for a person: those that every tool on libdevmapper sets say nothing.
fn telling(flags: Flags) -> Flags {
    Flags::from_bits(flags.bits() & !Flags::PRIMARY_SOURCE.union(Flags::DISABLE_LIBRARY_FALLBACK).bits())
}
