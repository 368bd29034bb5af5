//! libdevmapper's mangling: how a name or UUID of any bytes becomes one that udev and a path can carry.

use std::borrow::Cow;

/// Whether libdevmapper keeps this byte in a mangled name; every other one becomes `\xNN`.
fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"#+-.:=@_".contains(&byte)
}

/// The bytes with every one that libdevmapper does not keep written as `\xNN`. A `\xNN` that stands there already
/// stays as it is (libdevmapper's mode "auto"), so mangling twice changes nothing.
pub fn mangle(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(bytes)
        && bytes.iter().all(|&b| is_kept(b))
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() * 4);
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        if let Some((_, after)) = escape_at(rest) {
            let escape = rest.len() - after.len();
            out.extend(rest.iter().take(escape).map(|&b| char::from(b)));
            rest = after;
            continue;
        }
        if is_kept(*byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("\\x{byte:02x}"));
        }
        rest = tail;
    }
    Cow::Owned(out)
}

/// The bytes with every `\xNN` turned back into its byte.
pub fn unmangle(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'\\') {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        let (byte, tail) = escape_at(rest).unwrap_or((*byte, tail));
        out.push(byte);
        rest = tail;
    }
    Cow::Owned(out)
}

/// The byte of a `\xNN` at the start, and what follows it.
fn escape_at(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'\\', b'x', high, low, rest @ ..] = bytes else { return None };
    let digit = |b: u8| char::from(b).to_digit(16);
    Some(((digit(*high)? << 4 | digit(*low)?) as u8, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mangling_keeps_what_libdevmapper_keeps_and_undoes_itself() {
        assert_eq!(mangle(b"vg-lv+0.1:2=3@4#5_6"), "vg-lv+0.1:2=3@4#5_6");
        assert_eq!(mangle("a b\"\\c\u{e9}\n/".as_bytes()), "a\\x20b\\x22\\x5cc\\xc3\\xa9\\x0a\\x2f");
        assert_eq!(mangle(b"a\\x20b"), "a\\x20b");
        let every: Vec<u8> = (1..=255).collect();
        assert_eq!(&*unmangle(mangle(&every).as_bytes()), every.as_slice());
        assert_eq!(&*unmangle(b"\\x2"), b"\\x2");
        assert_eq!(&*unmangle(b"\\xzz\\x41"), b"\\xzzA");
    }
}
