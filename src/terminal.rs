//! What stands at the other end of standard output: a person's terminal, and what it can show, or a program.

use std::io::IsTerminal;

/// What output may assume of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// How many columns it is wide; `None` where it is no terminal, and nothing needs to fit.
    pub width: Option<usize>,
    /// Whether colours are shown and wanted.
    pub colour: bool,
    /// Whether it shows more than ASCII.
    pub unicode: bool,
}

/// The width of terminals that do not tell theirs.
const WIDTH: usize = 80;

impl Terminal {
    /// Standard output, as the environment describes it: `COLUMNS`, `NO_COLOR`, `TERM`, and the locale.
    pub fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let told = || rustix::termios::tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col));
        Self::new(stdout.is_terminal(), told, |name| std::env::var(name).ok())
    }

    fn new(is_terminal: bool, told: impl Fn() -> Option<usize>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let wanted = || set("COLUMNS").and_then(|columns| columns.parse().ok());
        let width = || [wanted(), told()].into_iter().flatten().find(|width| *width > 0).unwrap_or(WIDTH);
        // The first that is set decides: locale(7).
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
        Self {
            width: is_terminal.then(width),
            colour: is_terminal && set("NO_COLOR").is_none() && set("TERM").is_some_and(|kind| kind != "dumb"),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(is_terminal: bool, told: Option<usize>, variables: &[(&str, &str)]) -> Terminal {
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        Terminal::new(is_terminal, || told, variable)
    }

    #[test]
    fn a_terminal_is_as_wide_as_it_says_unless_the_user_says_otherwise() {
        assert_eq!(terminal(true, Some(132), &[]).width, Some(132));
        assert_eq!(terminal(true, Some(132), &[("COLUMNS", "20")]).width, Some(20));
        assert_eq!(terminal(true, Some(0), &[("COLUMNS", "x")]).width, Some(80));
        assert_eq!(terminal(false, Some(132), &[("COLUMNS", "20")]).width, None);
    }

    #[test]
    fn colours_and_characters_follow_the_environment() {
        let of = |variables| terminal(true, None, variables);
        assert!(of(&[("TERM", "xterm"), ("NO_COLOR", "")]).colour);
        assert!(!of(&[("TERM", "xterm"), ("NO_COLOR", "1")]).colour && !of(&[("TERM", "dumb")]).colour && !of(&[]).colour);
        assert!(!terminal(false, None, &[("TERM", "xterm")]).colour);
        assert!(of(&[("LANG", "de_DE.UTF-8")]).unicode && of(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]).unicode);
        assert!(!of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]).unicode && !of(&[]).unicode);
    }
}
