//! A name as one component of a link's path: what udev makes of it, so that a link is the same whoever makes it. Pure.

use std::fmt::{self, Display, Formatter, Write};

use crate::name::is_file_name;
use crate::text::Printable;

/// Longest file name in bytes (`NAME_MAX` in linux/limits.h): no file system holds a longer one.
pub const FILE_NAME_MAX: usize = 255;

/// A name that may stand in a link, written as udev writes the value of a property there: without blanks at either end,
/// other blanks as one `_`, and every character that udev does not keep as `_` (systemd, `udev_replace_whitespace` and
/// `udev_replace_chars`). The property itself holds the name as [`Printable`] text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component<'a>(&'a [u8]);

impl<'a> Component<'a> {
    /// `None` for what would lead elsewhere, or is nothing without its blanks.
    pub fn new(name: &'a [u8]) -> Option<Self> {
        is_file_name(name).then_some(Self(name))
    }

    /// Whether a file may have this name behind a prefix of so many bytes.
    pub fn fits_behind(self, prefix: usize) -> bool {
        let mut count = Count(prefix);
        write!(count, "{self}").is_ok() && count.0 <= FILE_NAME_MAX
    }
}

impl Display for Component<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut filter = Filter { out: f, begun: false, blank: false, backslash: false };
        write!(filter, "{}", Printable(self.0))?;
        filter.end_backslash()
    }
}

/// Replaces as udev does what is written through it.
struct Filter<W> {
    out: W,
    /// Anything but blanks has come.
    begun: bool,
    /// Blanks have come, and nothing behind them yet.
    blank: bool,
    /// A backslash has come, and nothing behind it yet: it is kept before an `x` alone.
    backslash: bool,
}

impl<W: Write> Filter<W> {
    fn end_backslash(&mut self) -> fmt::Result {
        if std::mem::take(&mut self.backslash) { self.out.write_char('_') } else { Ok(()) }
    }
}

impl<W: Write> Write for Filter<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| self.write_char(character))
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        if self.backslash && character == 'x' {
            self.backslash = false;
            return self.out.write_str("\\x");
        }
        self.end_backslash()?;
        if character == ' ' {
            self.blank = self.begun;
            return Ok(());
        }
        self.begun = true;
        if std::mem::take(&mut self.blank) {
            self.out.write_char('_')?;
        }
        match character {
            '\\' => self.backslash = true,
            _ if character.is_ascii_alphanumeric() || "#+-.:=@_".contains(character) || !character.is_ascii() => {
                self.out.write_char(character)?;
            }
            _ => self.out.write_char('_')?,
        }
        Ok(())
    }
}

/// Counts the bytes that are written.
struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &[u8]) -> Option<String> {
        Component::new(name).map(|component| component.to_string())
    }

    // The scenario `raw_names` compares what a real udevd makes of such names.
    #[test]
    fn a_name_is_written_as_udev_writes_it() {
        let names: [(&[u8], &str); 21] = [
            (b"vg-lv+0.1:2=3@4#5_6", "vg-lv+0.1:2=3@4#5_6"),
            (b"my disk", "my_disk"),
            (b"a  b   c", "a_b_c"),
            (b"  lead", "lead"),
            (b"trail  ", "trail"),
            (b"a _ b", "a___b"),
            (b"new\nline\t", "new\\x0aline\\x09"),
            (b"quo'te\"", "quo\\x27te_"),
            (b"literal\\x20blank", "literal\\x20blank"),
            (b"back\\slash\\", "back_slash_"),
            (b"\\\\x\\ x", "_\\x__x"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("größe\u{a0}".as_bytes(), "größe\u{a0}"),
            ("\u{85}\u{202e}".as_bytes(), "\\xc2\\x85\\xe2\\x80\\xae"),
            ("\u{fffe}".as_bytes(), "\\xef\\xbf\\xbe"),
            (b"$env{PATH}%k", "_env_PATH__k"),
            (b"a~b!c", "a_b_c"),
            (b". x", "._x"),
            (b"..-", "..-"),
            (b"-", "-"),
            (b"_", "_"),
        ];
        for (name, expected) in names {
            assert_eq!(written(name).as_deref(), Some(expected), "{}", Printable(name));
        }
    }

    #[test]
    fn what_is_no_name_of_a_file_is_none() {
        for name in [&b""[..], b" ", b".", b"..", b" .. ", b". .", b"...", b"a/b", b"/"] {
            assert_eq!(written(name), None, "{}", Printable(name));
        }
        let long = Component::new(&[0xff; 63]).unwrap();
        assert!(long.fits_behind(3) && !long.fits_behind(4), "63 bytes of four characters each");
    }
}
