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
