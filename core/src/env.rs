//! Properties as `KEY='value'` lines, the form that udev's IMPORT{program} and a shell both read.

use core::fmt::Write;

use arrayvec::ArrayString;

use crate::text::Printable;

/// Lines collected to be written at once: udev must not import half of a decision. They stand in any text that grows,
/// or in one of a fixed size.
#[derive(Debug, Clone, Default)]
pub struct Properties<W> {
    lines: W,
    /// Something did not fit.
    cut: bool,
}

/// Room for whatever an event can tell: 17 flags with 533 bytes, and name, UUID and their parts, of bytes that are all
/// escaped: 2165 at most. Not more than `PIPE_BUF`: udevd's pipe takes all of it at once, or nothing.
pub type EventLines = ArrayString<4096>;

impl<W: Write + AsRef<str>> Properties<W> {
    /// After what the text holds already.
    pub fn new(lines: W) -> Self {
        Self { lines, cut: false }
    }

    /// Adds one property. The value is escaped so that it stays within its line and its quotes.
    pub fn push(&mut self, key: &str, value: impl AsRef<[u8]>) {
        self.cut |= writeln!(self.lines, "{key}='{}'", Printable(value.as_ref())).is_err();
    }

    /// The lines; `None` if they did not all fit, which a text that grows never does.
    pub fn whole(&self) -> Option<&str> {
        (!self.cut).then(|| self.as_str())
    }

    /// The lines.
    pub fn as_str(&self) -> &str {
        self.lines.as_ref()
    }

    /// Forgets all of them; `clear` empties the text, and keeps its memory.
    pub fn clear(&mut self, clear: impl FnOnce(&mut W)) {
        clear(&mut self.lines);
        self.cut = false;
    }

    /// The properties one by one, their values as they stand between the quotes.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.as_str().lines().filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            Some((key, value.strip_prefix('\'')?.strip_suffix('\'')?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn a_value_cannot_leave_its_line_or_its_quotes() {
        let mut properties = Properties::new(String::new());
        properties.push("DM_NAME", b"a'\nPATH='/evil\r\0");
        properties.push("DM_LV_LAYER", "");
        let keys: Vec<_> = properties.pairs().map(|(key, _)| key).collect();
        assert_eq!(keys, ["DM_NAME", "DM_LV_LAYER"]);
        assert_eq!(properties.as_str(), "DM_NAME='a\\x27\\x0aPATH=\\x27/evil\\x0d\\x00'\nDM_LV_LAYER=''\n");
    }

    #[test]
    fn what_did_not_fit_is_not_whole() {
        let mut properties = Properties::new(ArrayString::<16>::new());
        properties.push("DM_NAME", "x");
        assert_eq!(properties.whole(), Some("DM_NAME='x'\n"));
        properties.push("DM_UUID", "y");
        assert_eq!(properties.whole(), None);
    }
}
