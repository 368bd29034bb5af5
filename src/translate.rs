//! A filter for logs: `dm-3`, `/dev/dm-3` and `253:3` become names, everything else stays byte for byte. Pure, and in
//! constant memory: what has been decided is written, and no more than one word is kept.
//!
//! A word is what stands between white space, brackets, quotes and `, ; = | ! ?`. It is translated when the whole of
//! it, but for colons and full stops at its end, is such a name or number. So `admin-3`, `dm-33`, `1253:3`, `12:253:30`,
//! `block/dm-3` and `dm-3.service` stay as they are.

use crate::devno::Devno;

/// What stands for a device in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// The kernel's name, `dm-3`.
    Kernel(&'a str),
    /// The path of its node, `/dev/dm-3`; this is the kernel's name in it.
    Node(&'a str),
    /// `MAJOR:MINOR`.
    Number(Devno),
}

/// The longest word that can be a reference with its punctuation; of a longer one nothing is kept.
const WORD_MAX: usize = 64;

/// Quotation marks of UTF-8, which are no part of a word.
const QUOTES: [&[u8]; 6] = ["‘".as_bytes(), "’".as_bytes(), "“".as_bytes(), "”".as_bytes(), "«".as_bytes(), "»".as_bytes()];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a word, or before one.
    Word,
    /// In a word that is too long to be a reference.
    Long,
    /// After an escape character.
    Escape,
    /// In a terminal's control sequence: `ESC [`, parameters, a final letter.
    Sequence,
}

/// The filter's memory between two pieces of a text.
#[derive(Debug)]
pub struct Translator {
    state: State,
    word: Vec<u8>,
}

impl Default for Translator {
    fn default() -> Self {
        Self { state: State::Word, word: Vec::with_capacity(WORD_MAX) }
    }
}

impl Translator {
    /// Appends to `out` what is decided after this piece of the text. `name` tells what a reference is called.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>, mut name: impl FnMut(Reference<'_>) -> Option<String>) {
        for &byte in piece {
            match self.state {
                State::Word if separates(byte) => {
                    self.end_word(out, &mut name);
                    out.push(byte);
                    self.state = if byte == ESCAPE { State::Escape } else { State::Word };
                }
                State::Word if self.word.len() == WORD_MAX => {
                    out.append(&mut self.word);
                    out.push(byte);
                    self.state = State::Long;
                }
                State::Word => self.word.push(byte),
                State::Long => {
                    out.push(byte);
                    self.state = match byte {
                        ESCAPE => State::Escape,
                        byte if separates(byte) => State::Word,
                        _ => State::Long,
                    };
                }
                State::Escape => {
                    out.push(byte);
                    self.state = match byte {
                        b'[' => State::Sequence,
                        ESCAPE => State::Escape,
                        _ => State::Word,
                    };
                }
                State::Sequence => {
                    out.push(byte);
                    // Parameters and intermediate bytes, ECMA-48; anything else ends it.
                    if !(0x20..=0x3f).contains(&byte) {
                        self.state = if byte == ESCAPE { State::Escape } else { State::Word };
                    }
                }
            }
        }
    }

    /// Appends what was kept, at the end of the text or where it stops for a while: a word that ends here.
    pub fn finish(&mut self, out: &mut Vec<u8>, mut name: impl FnMut(Reference<'_>) -> Option<String>) {
        self.end_word(out, &mut name);
    }

    fn end_word(&mut self, out: &mut Vec<u8>, name: &mut impl FnMut(Reference<'_>) -> Option<String>) {
        let (before, core, after) = trimmed(&self.word);
        match reference(core).and_then(name) {
            Some(name) => [before, name.as_bytes(), after].iter().for_each(|part| out.extend_from_slice(part)),
            None => out.extend_from_slice(&self.word),
        }
        self.word.clear();
    }
}

const ESCAPE: u8 = 0x1b;

/// Whether a byte stands between words.
fn separates(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f || b"()[]{}<>'\"`,;=|!?".contains(&byte)
}

/// A word without quotation marks around it, and colons and full stops at its end.
fn trimmed(word: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let mut core = word;
    while let Some(rest) = QUOTES.iter().find_map(|quote| core.strip_prefix(*quote)) {
        core = rest;
    }
    let (before, rest) = word.split_at(word.len() - core.len());
    let mut core = rest;
    while let Some(shorter) = QUOTES.iter().chain(&[&b":"[..], b"."]).find_map(|end| core.strip_suffix(*end)) {
        core = shorter;
    }
    let (core, after) = rest.split_at(core.len());
    (before, core, after)
}

/// What a whole word refers to. Numbers have no superfluous zeros, as the kernel writes them.
fn reference(word: &[u8]) -> Option<Reference<'_>> {
    let word = str::from_utf8(word).ok()?;
    let is_kernel_name = |name: &str| name.strip_prefix("dm-").is_some_and(|number| decimal(number).is_some());
    if is_kernel_name(word) {
        return Some(Reference::Kernel(word));
    }
    if let Some(name) = word.strip_prefix("/dev/").filter(|name| is_kernel_name(name)) {
        return Some(Reference::Node(name));
    }
    let (major, minor) = word.split_once(':')?;
    Devno::new(decimal(major)?, decimal(minor)?).map(Reference::Number)
}

fn decimal(digits: &str) -> Option<u32> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    canonical.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(reference: Reference<'_>) -> Option<String> {
        match reference {
            Reference::Kernel("dm-3") => Some("vg-home".to_string()),
            Reference::Node("dm-3") => Some("/dev/mapper/vg-home".to_string()),
            Reference::Number(devno) if devno.to_string() == "253:3" => Some("vg-home".to_string()),
            _ => None,
        }
    }

    /// The text in pieces of every length gives the same.
    fn translated(text: &[u8]) -> Vec<u8> {
        let in_pieces = |length: usize| {
            let (mut translator, mut out) = (Translator::default(), Vec::new());
            text.chunks(length).for_each(|piece| translator.feed(piece, &mut out, name));
            translator.finish(&mut out, name);
            out
        };
        let whole = in_pieces(text.len().max(1));
        for length in 1..text.len().min(40) {
            assert_eq!(in_pieces(length), whole, "in pieces of {length}");
        }
        whole
    }

    fn assert_becomes(text: &str, expected: &str) {
        assert_eq!(String::from_utf8(translated(text.as_bytes())).unwrap(), expected);
    }

    #[test]
    fn references_become_names_wherever_logs_put_them() {
        assert_becomes("EXT4-fs (dm-3): mounted", "EXT4-fs (vg-home): mounted");
        assert_becomes("Buffer I/O error on dev dm-3, logical block 5", "Buffer I/O error on dev vg-home, logical block 5");
        assert_becomes("device-mapper: thin: 253:3: reached low water mark", "device-mapper: thin: vg-home: reached low water mark");
        assert_becomes("[253:3] 'dm-3' \"dm-3\" <253:3> DEVICE=dm-3;", "[vg-home] 'vg-home' \"vg-home\" <vg-home> DEVICE=vg-home;");
        assert_becomes("resume /dev/dm-3.\ndm-3\r\n253:3", "resume /dev/mapper/vg-home.\nvg-home\r\nvg-home");
        assert_becomes(
            "\u{2018}dm-3\u{2019} \u{201c}253:3\u{201d}: \u{ab}dm-3\u{bb}...",
            "\u{2018}vg-home\u{2019} \u{201c}vg-home\u{201d}: \u{ab}vg-home\u{bb}...",
        );
        assert_becomes("\x1b[1;31mdm-3\x1b[0m \x1b[K253:3\x1b\x1b[mdm-3", "\x1b[1;31mvg-home\x1b[0m \x1b[Kvg-home\x1b\x1b[mvg-home");
        assert_becomes("dm-3\x00253:3\0dm-3: dm-3!", "vg-home\0vg-home\0vg-home: vg-home!");
    }

    #[test]
    fn what_only_looks_like_one_stays() {
        for text in [
            "admin-3 dm-33 dm-3x xdm-3 x-dm-3 dm-3-x dm-3_1 dm-03 dm- dm-3.service dm-3p1",
            "1253:3 253:33 12:253:3 253:3:12 12:253:30 253:03 0253:3 -253:3 253:3x 1.253:3 253:3.5 fe80::253:3 :253:3",
            "/sys/block/dm-3/stat /sys/dev/block/253:3 block/dm-3 /dev/dm-3/x /dev/block/253:3 +dm-3 b253:3 #dm-3 @dm-3",
            "10:15:07.390 12:30 4096:1 253:1048576 99999999999999999999:3 dm-99999999999999999999",
            "\u{e4}dm-3 dm-3\u{e4} \u{2019}",
        ] {
            assert_becomes(text, text);
        }
    }

    #[test]
    fn every_other_byte_stays() {
        let every: Vec<u8> = (0..=255).cycle().take(3000).collect();
        assert_eq!(translated(&every), every);
        let long =
            [vec![b'x'; 1000], b" dm-3 ".to_vec(), vec![b'1'; 1000], b":3 \x1b[".to_vec(), vec![b'1'; 1000], b"mdm-3".to_vec()].concat();
        let expected =
            [vec![b'x'; 1000], b" vg-home ".to_vec(), vec![b'1'; 1000], b":3 \x1b[".to_vec(), vec![b'1'; 1000], b"mvg-home".to_vec()]
                .concat();
        assert_eq!(translated(&long), expected);
        assert_eq!(translated(b""), b"");
    }

    #[test]
    fn no_more_than_a_word_is_kept() {
        let (mut translator, mut out) = (Translator::default(), Vec::new());
        for _ in 0..100 {
            translator.feed(&[b'1'; 1000], &mut out, name);
            assert!(translator.word.capacity() <= 2 * WORD_MAX, "{}", translator.word.capacity());
        }
        assert_eq!(out.len(), 100_000);
    }
}
