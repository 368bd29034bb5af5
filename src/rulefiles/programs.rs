//! The programs that udev rules start. Pure; see udev(7) for the syntax.

/// The programs that a file's rules start: the first word of each command line; and dmsetup wherever a command line
/// has it, for there may be a shell in between.
pub fn called(text: &[u8]) -> Vec<Vec<u8>> {
    let mut programs = Vec::new();
    for rule in String::from_utf8_lossy(text).replace("\\\n", " ").lines() {
        let rule = rule.trim_start();
        if rule.starts_with('#') {
            continue;
        }
        let tokens = tokens(rule);
        let tests: Vec<&str> =
            tokens.iter().filter(|token| token.key == "TEST" && token.operator == "==").map(|token| token.value).collect();
        for token in tokens.iter().filter(|token| token.is_command()) {
            let words = token.value.split(|c: char| c.is_whitespace() || "'\";|&()`".contains(c)).filter(|word| !word.is_empty());
            for (at, word) in words.enumerate() {
                let is_dmsetup = word.rsplit('/').next() == Some("dmsetup");
                // A rule that first looks whether the program is there can do without.
                let is_guarded = tests.contains(&word);
                if (at == 0 || is_dmsetup) && !word.contains(['$', '%']) && !is_guarded {
                    programs.push(word.as_bytes().to_vec());
                }
            }
        }
    }
    programs
}

/// `KEY{attribute}OPERATOR"value"` of a rule.
#[derive(Debug)]
struct Token<'a> {
    key: &'a str,
    attribute: &'a str,
    operator: &'a str,
    value: &'a str,
}

impl Token<'_> {
    fn is_command(&self) -> bool {
        match self.key {
            "PROGRAM" => true,
            "IMPORT" => self.attribute == "program",
            "RUN" => matches!(self.attribute, "" | "program"),
            _ => false,
        }
    }
}

/// The tokens of a rule, as far as they can be told.
fn tokens(rule: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = rule;
    while let Some((before, after)) = rest.split_once('"') {
        let Some(end) = closing_quote(after) else { break };
        let (value, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        rest = tail.strip_prefix('"').unwrap_or_default();
        // `e"…"` is a string with escapes.
        let before = before.trim_start_matches([',', ' ', '\t']).trim_end().trim_end_matches(['e', 'i']).trim_end();
        let split = before.find(['=', '!', '+', ':', '-'].as_slice()).map(|at| before.find('}').map_or(at, |brace| brace + 1));
        let Some((name, operator)) = split.and_then(|at| before.split_at_checked(at)) else { continue };
        let (key, attribute) = name.split_once('{').map_or((name, ""), |(key, attribute)| (key, attribute.trim_end_matches('}')));
        tokens.push(Token { key: key.trim(), attribute, operator: operator.trim(), value });
    }
    tokens
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, character)| {
        let closes = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        closes.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::printable;

    fn programs_of(rule: &str) -> Vec<String> {
        called(rule.as_bytes()).iter().map(|program| printable(program)).collect()
    }

    #[test]
    fn the_programs_of_a_rule_are_found() {
        assert_eq!(
            programs_of("ENV{DM_COOKIE}==\"?*\", IMPORT{program}=\"/usr/sbin/dmhelper udev $major:$minor\"\n"),
            ["/usr/sbin/dmhelper"]
        );
        assert_eq!(programs_of("PROGRAM==\"ata_id --export $devnode\", \\\n  RUN+=\"kpartx_id %M %m\"\n"), ["ata_id", "kpartx_id"]);
        assert_eq!(programs_of("RUN{program}+=\"/bin/sh -c '/sbin/dmsetup ls; x'\""), ["/bin/sh", "/sbin/dmsetup"]);
        assert_eq!(programs_of("RUN+=e\"a \\\" dmsetup\", RUN+=\"b\""), ["a", "dmsetup", "b"]);
    }

    #[test]
    fn what_starts_no_program_is_none() {
        for rule in [
            "# RUN+=\"/sbin/dmsetup\"",
            "IMPORT{builtin}=\"blkid\"",
            "IMPORT{db}=\"DM_NAME\", RUN{builtin}+=\"kmod load x\"",
            "RUN+=\"$env{PROGRAM} x\"",
            "TEST==\"/sbin/x\", RUN+=\"/sbin/x y\"",
            "ENV{A}==\"dmsetup\", SYMLINK+=\"unclosed",
        ] {
            assert_eq!(programs_of(rule), [] as [String; 0], "{rule}");
        }
    }
}
