//! Why bytes or words could not be understood, told in place: where there is no memory to ask for.

use core::fmt::{self, Display, Formatter, Write};

use arrayvec::ArrayString;

use crate::text::Printable;

/// Result of every fallible operation of this crate.
pub type Result<T> = core::result::Result<T, Fault>;

/// What will not do, and why. Texts that are too long end in `…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Words of the caller that cannot be understood.
    Usage {
        /// What was looked at: `cookie`, `device number`, …
        what: &'static str,
        /// Its value, safe for a terminal.
        object: ArrayString<72>,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// A reply of device-mapper's that breaks its format: how.
    Reply(ArrayString<96>),
}

impl Fault {
    pub(crate) fn usage(what: &'static str, object: impl AsRef<[u8]>, cause: &'static str) -> Self {
        Self::Usage { what, object: text(format_args!("{}", Printable(object.as_ref()))), cause }
    }

    /// A malformed reply; for those, too, who read more of one than this crate does.
    pub fn reply(cause: fmt::Arguments<'_>) -> Self {
        Self::Reply(text(cause))
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { what, object, cause } => {
                // A word that is empty is seen by its quotes alone.
                let object = if object.is_empty() { "\"\"" } else { object.as_str() };
                write!(f, "{what} {object}: {cause}")
            }
            Self::Reply(cause) => write!(f, "device-mapper reply: {cause}"),
        }
    }
}

impl core::error::Error for Fault {}

/// The text, or as much of it as there is room for.
fn text<const N: usize>(arguments: fmt::Arguments<'_>) -> ArrayString<N> {
    struct Cut<const N: usize>(ArrayString<N>);
    impl<const N: usize> Write for Cut<N> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            const ELLIPSIS: char = '…';
            let left = self.0.remaining_capacity().saturating_sub(ELLIPSIS.len_utf8());
            if text.len() <= left {
                return self.0.try_push_str(text).map_err(|_| fmt::Error);
            }
            // Escapes come in pieces: stop at the first that does not fit.
            let end = text.floor_char_boundary(left);
            let _ = self.0.try_push_str(text.get(..end).unwrap_or_default());
            let _ = self.0.try_push(ELLIPSIS);
            Err(fmt::Error)
        }
    }
    let mut cut = Cut(ArrayString::new());
    let _ = cut.write_fmt(arguments); // Fails where it was cut.
    cut.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_long_value_is_cut_and_a_hostile_one_escaped() {
        assert_eq!(Fault::usage("name", b"a\n", "is bad").to_string(), "name a\\x0a: is bad");
        assert_eq!(Fault::usage("name", b"", "is empty").to_string(), "name \"\": is empty");
        let long = Fault::usage("name", [b'x'; 300], "is long");
        assert!(long.to_string().ends_with("xxx…: is long"), "{long}");
        let wide = Fault::usage("name", "é".repeat(150), "is long");
        assert!(wide.to_string().ends_with("é…: is long"), "{wide}");
    }
}
