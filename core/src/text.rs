//! Text that can do no harm where it is shown: the foundation of every message and every output.

use core::fmt::{self, Display, Formatter, Write};

use arrayvec::ArrayString;

/// Text that can do nothing to the line, the terminal or the environment it is put into: valid UTF-8 in which
/// control characters, `'`, and every byte that is not text stand as `\xNN`. udev refuses a property that is not.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a [u8]);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // What nearly all of it is.
        if let Some(text) = ascii(self.0) {
            return f.write_str(text);
        }
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() || character == '\'' || is_format(character) || is_noncharacter(character) {
                    escape(character.encode_utf8(&mut [0; 4]).as_bytes(), f)?;
                } else {
                    f.write_char(character)?;
                }
            }
            escape(chunk.invalid(), f)?;
        }
        Ok(())
    }
}

/// Text that stands as it is, where that takes no more than a look at its bytes: eight at a time, for a list has many.
fn ascii(bytes: &[u8]) -> Option<&str> {
    let (eights, rest) = bytes.as_chunks::<8>();
    let harmless = eights.iter().all(|eight| are_harmless(u64::from_ne_bytes(*eight)))
        && rest.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\'');
    if harmless { core::str::from_utf8(bytes).ok() } else { None }
}

/// Whether none of eight bytes is a control character, `'` or beyond ASCII. Of the highest bits, which subtracting sets in
/// a byte that was too small for it, and in others only behind such a one.
const fn are_harmless(eight: u64) -> bool {
    const HIGHEST: u64 = of_each(0x80);
    let (quotes, deletes) = (eight ^ of_each(b'\''), eight ^ of_each(0x7f));
    let below = eight.wrapping_sub(of_each(b' ')) | quotes.wrapping_sub(of_each(1)) | deletes.wrapping_sub(of_each(1));
    (eight | below) & HIGHEST == 0
}

const fn of_each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Characters that reorder or break the text around them: line and paragraph separators, bidirectional controls.
pub fn is_format(character: char) -> bool {
    matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}')
}

/// What Unicode keeps for a program's own use: udev takes it for no text (systemd, `unichar_is_valid`).
fn is_noncharacter(character: char) -> bool {
    matches!(u32::from(character), 0xfdd0..=0xfdef) || u32::from(character) & 0xfffe == 0xfffe
}

fn escape(bytes: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(*DIGITS.get(usize::from(value)).unwrap_or(&b'?'));
    bytes.iter().try_for_each(|byte| {
        // In one piece: whoever must cut the text does not cut an escape.
        let mut escape = ArrayString::<4>::new();
        ['\\', 'x', digit(byte >> 4), digit(byte & 0xf)].into_iter().for_each(|character| escape.push(character));
        f.write_str(&escape)
    })
}

#[cfg(test)]
mod tests {
    use super::Printable;
    use std::string::{String, ToString};

    fn printable(bytes: &[u8]) -> String {
        Printable(bytes).to_string()
    }

    #[test]
    fn text_stays_and_what_could_do_harm_is_escaped() {
        assert_eq!(printable("vg-lv \u{e9} \"x\" $y".as_bytes()), "vg-lv \u{e9} \"x\" $y");
        assert_eq!(printable(b"a\nb\x1b[31m\0'\xff"), "a\\x0ab\\x1b[31m\\x00\\x27\\xff");
        assert_eq!(printable("\u{202e}\u{85}\u{61c}".as_bytes()), "\\xe2\\x80\\xae\\xc2\\x85\\xd8\\x9c");
        assert_eq!(printable("\u{fffe}\u{fdd0}\u{fffd}".as_bytes()), "\\xef\\xbf\\xbe\\xef\\xb7\\x90\u{fffd}");
    }

    #[test]
    fn every_byte_is_told_wherever_it_stands() {
        for (at, byte) in (0..20).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            let mut text = *b"abcdefghijklmnopqrst";
            text[at] = byte;
            let plain = matches!(byte, b' '..=b'~') && byte != b'\'';
            assert_eq!(printable(&text).as_bytes() == text, plain, "{byte:#x} at {at}");
        }
    }
}
