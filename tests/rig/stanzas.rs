//! Lists for people: stanzas of `key: value` lines, set apart by blank lines; `#` starts a comment line.

/// One stanza, and where it ends.
#[derive(Debug)]
pub(crate) struct Stanza<'a> {
    pub(crate) line: usize,
    fields: Vec<(&'a str, &'a str)>,
}

pub(crate) fn parse<'a>(text: &'a str, known: &[&str]) -> Result<Vec<Stanza<'a>>, String> {
    let mut stanzas = Vec::new();
    let mut fields: Vec<(&str, &str)> = Vec::new();
    for (line, text) in (1..).zip(text.lines().chain([""])) {
        let text = text.trim();
        if text.starts_with('#') {
            continue;
        }
        if !text.is_empty() {
            let field = text.split_once(": ").ok_or_else(|| format!("line {line}: no `key: value`"))?;
            if !known.contains(&field.0) {
                return Err(format!("line {line}: unknown key `{}`", field.0));
            }
            fields.push(field);
        } else if !fields.is_empty() {
            stanzas.push(Stanza { line, fields: std::mem::take(&mut fields) });
        }
    }
    for stanza in &stanzas {
        if stanza.need("reason")?.len() < 20 {
            return Err(format!("stanza before line {}: a reason is a sentence", stanza.line));
        }
    }
    Ok(stanzas)
}

impl Stanza<'_> {
    pub(crate) fn find(&self, key: &str) -> Option<String> {
        self.fields.iter().find(|(known, _)| *known == key).map(|(_, value)| value.trim().to_owned())
    }

    pub(crate) fn need(&self, key: &str) -> Result<String, String> {
        self.find(key).ok_or_else(|| format!("stanza before line {}: no `{key}`", self.line))
    }
}

/// Shell-like patterns: `*` for anything, `|` between alternatives.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    pattern.split('|').any(|alternative| {
        let mut pieces = alternative.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
        let pieces: Vec<&str> = pieces.collect();
        let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
        for piece in middle {
            let Some(at) = rest.find(piece) else { return false };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    })
}
