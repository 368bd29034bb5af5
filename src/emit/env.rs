//! Properties as `KEY='value'` lines, the form that udev's IMPORT{program} and a shell both read.

use std::fmt::Write;

use crate::text::Printable;

/// Lines collected to be written at once: udev must not import half of a decision.
#[derive(Debug, Default)]
pub struct Properties(String);

impl Properties {
    /// None yet; there is room for so many bytes of them.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Adds one property. The value is escaped so that it stays within its line and its quotes.
    pub fn push(&mut self, key: &str, value: impl AsRef<[u8]>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{key}='{}'", Printable(value.as_ref()));
    }

    /// Forgets all of them and keeps their memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The lines.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The properties one by one, their values as they stand between the quotes.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            Some((key, value.strip_prefix('\'')?.strip_suffix('\'')?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_line_or_its_quotes() {
        let mut properties = Properties::default();
        properties.push("DM_NAME", b"a'\nPATH='/evil\r\0");
        properties.push("DM_LV_LAYER", "");
        let keys: Vec<_> = properties.pairs().map(|(key, _)| key).collect();
        assert_eq!(keys, ["DM_NAME", "DM_LV_LAYER"]);
        assert_eq!(properties.as_str(), "DM_NAME='a\\x27\\x0aPATH=\\x27/evil\\x0d\\x00'\nDM_LV_LAYER=''\n");
    }
}
