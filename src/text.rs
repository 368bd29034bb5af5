//! Text that can do no harm where it is shown: the foundation of every message and every output.

pub use dmhelper_core::text::{Printable, is_format};

/// Text that can do nothing to the line, the terminal or the environment it is put into, as [`Printable`] writes it.
pub fn printable(bytes: &[u8]) -> String {
    Printable(bytes).to_string()
}
