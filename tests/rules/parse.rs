//! Rule files as rules and tokens, as udev(7) has them.

#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) key: String,
    pub(crate) attribute: Option<String>,
    pub(crate) operator: String,
    pub(crate) value: String,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) line: usize,
    pub(crate) tokens: Vec<Token>,
}

/// Logical lines without comments, and the rules on them.
pub(crate) fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    let mut pending = String::new();
    for (index, line) in text.lines().enumerate() {
        if pending.is_empty() && (line.trim().is_empty() || line.trim_start().starts_with('#')) {
            continue;
        }
        if let Some(start) = line.strip_suffix('\\') {
            pending.push_str(start);
            continue;
        }
        pending.push_str(line);
        let tokens = tokens(&pending).map_err(|error| format!("line {}: {error}", index + 1))?;
        rules.push(Rule { line: index + 1, tokens });
        pending.clear();
    }
    if pending.is_empty() { Ok(rules) } else { Err("the last line is continued".to_owned()) }
}

fn tokens(line: &str) -> Result<Vec<Token>, String> {
    let mut rest = line.trim();
    let mut tokens = Vec::new();
    while !rest.is_empty() {
        let (before, after) = rest.split_once('"').ok_or_else(|| format!("`{rest}`: no quoted value"))?;
        let (value, after) = after.split_once('"').ok_or_else(|| format!("`{rest}`: a quote is not closed"))?;
        if value.ends_with('\\') {
            return Err(format!("`{value}`: a quote that udev takes for one within the value"));
        }
        tokens.push(token(before.trim(), value)?);
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(next) if next.trim().is_empty() => return Err("a comma at the end".to_owned()),
            Some(next) => next.trim_start(),
            // udev puts up with a missing comma; we do not.
            None if rest.is_empty() => rest,
            None => return Err(format!("no comma before `{rest}`")),
        };
    }
    Ok(tokens)
}

fn token(before: &str, value: &str) -> Result<Token, String> {
    let split = before.find(['=', '!', '+', ':', '-'].as_slice()).ok_or_else(|| format!("`{before}`: no operator"))?;
    // An attribute's name may hold such characters, in braces.
    let split = before.find('}').map_or(split, |brace| brace + 1);
    let (name, operator) = before.split_at_checked(split).ok_or_else(|| format!("`{before}`: no operator"))?;
    let (key, attribute) = match name.split_once('{') {
        Some((key, attribute)) => {
            let attribute = attribute.strip_suffix('}').ok_or_else(|| format!("`{name}`: a brace is not closed"))?;
            (key, Some(attribute.to_owned()))
        }
        None => (name, None),
    };
    Ok(Token { key: key.to_owned(), attribute, operator: operator.trim().to_owned(), value: value.to_owned() })
}
