//! The help of the program as a whole: what people come for first, on one screen.

use argh::ArgsInfo;

/// The commonest uses.
const USES: [(&str, &str); 2] = [
    ("dmhelper tree", "what stands on what, from mounts down to disks"),
    ("dmhelper explain WHAT", "why it is missing, not ready or busy; what to do"),
];

/// How wide a line may be.
const WIDTH: usize = 80;

pub(super) fn text() -> String {
    let info = super::Arguments::get_args_info();
    let uses: String = USES.iter().map(|(words, what)| format!("  {words:<24}{what}\n")).collect();
    let longest = info.commands.iter().map(|sub| sub.name.len()).max().unwrap_or(0);
    let command = |name: &str, what: &str| format!("  {name:longest$}  {}\n", summary(what, WIDTH - longest - 4));
    let commands: String = info.commands.iter().map(|sub| command(sub.name, sub.command.description)).collect();
    format!("{}\n{uses}\nCommands:\n{commands}More: dmhelper COMMAND --help, man dmhelper\n", info.description)
}

/// What argh takes for optional, because there may be several, and is not.
const REQUIRED: [(&str, &str, &str); 6] = [
    ("wait", "[<DEVICE...>]", "<DEVICE...>"),
    ("name", "[<DEVICE...>]", "<DEVICE...>"),
    ("refresh", "[<DEVICE...>]", "<DEVICE...>"),
    ("detach", "[--all] ", ""),
    ("detach", "[<DEVICE...>]", "(--all | <DEVICE...>)"),
    ("cookie run", "[COMMAND...]", "COMMAND..."),
];

/// argh's help of a command, with what argh cannot know: what is required, and the facts that options choose from.
pub(super) fn of_command(text: &str) -> String {
    let is_of = |command: &str| text.strip_prefix("Usage: dmhelper ").is_some_and(|rest| rest.starts_with(&format!("{command} ")));
    let own = REQUIRED.iter().filter(|(command, ..)| is_of(command));
    let text = own.fold(text.to_string(), |text, (_, optional, required)| text.replacen(optional, required, 1));
    let text = text.replace("--help, help  ", "-h, --help    ");
    let text: String = text.lines().map(|line| folded(line, if line.starts_with("Usage: ") { 7 } else { 0 })).collect();
    if is_of("ls") { text + &super::ls::help() } else { text }
}

/// A line in as many as it takes, all but the first indented; what stands in brackets stays together.
fn folded(line: &str, indent: usize) -> String {
    let (mut out, mut column, mut depth) = (String::new(), 0, 0);
    let mut pieces: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match pieces.last_mut() {
            Some(piece) if depth > 0 => *piece += &format!(" {word}"),
            _ => pieces.push(word.to_string()),
        }
        depth = (depth + word.matches(['[', '(']).count()).saturating_sub(word.matches([']', ')']).count());
    }
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 && column + 1 + piece.len() > WIDTH {
            out += &format!("\n{:indent$}", "");
            column = indent;
        } else if at > 0 {
            out.push(' ');
            column += 1;
        }
        out += piece;
        column += piece.len();
    }
    out + "\n"
}

/// As much of a command's description as fits a line: its first sentence, less what follows a colon or a comma.
fn summary(description: &str, width: usize) -> &str {
    let sentence = description.split(". ").next().unwrap_or(description).trim_end_matches('.');
    let mut summary = sentence.split(": ").next().unwrap_or(sentence);
    while summary.chars().count() > width {
        match summary.rfind(',').or_else(|| summary.rfind(' ')) {
            Some(at) => summary = summary.get(..at).unwrap_or_default(),
            None => break,
        }
    }
    summary
}

#[cfg(test)]
mod tests {
    use argh::FromArgs;

    use super::*;

    #[test]
    fn the_help_fits_a_screen() {
        let text = text();
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn a_summary_is_what_fits() {
        assert_eq!(summary("Show things: all of them.", 40), "Show things");
        assert_eq!(
            summary("Wait until devices, which need not exist yet, are usable, or gone.", 60),
            "Wait until devices, which need not exist yet, are usable"
        );
        assert_eq!(summary("Short. More.", 40), "Short");
    }

    #[test]
    fn a_long_line_is_folded_between_brackets() {
        let options = "[--one <VALUE>] ".repeat(5);
        assert_eq!(
            folded(&format!("Usage: x {options}y"), 7),
            format!("Usage: x {}\n       [--one <VALUE>] y\n", options[..64].trim_end())
        );
        assert_eq!(folded("  --x  as it was", 0), "  --x  as it was\n");
    }

    /// The help of each command, as it is printed.
    fn helps() -> Vec<String> {
        let mut commands = vec![(Vec::new(), super::super::Arguments::get_args_info())];
        let mut helps = vec![text()];
        while let Some((path, command)) = commands.pop() {
            for sub in command.commands {
                let path: Vec<&str> = path.iter().copied().chain([sub.name]).collect();
                let words: Vec<&str> = path.iter().copied().chain(["--help"]).collect();
                helps.push(of_command(&super::super::Arguments::from_args(&["dmhelper"], &words).unwrap_err().output));
                commands.push((path, sub.command));
            }
        }
        helps
    }

    #[test]
    fn a_help_is_ascii_and_tells_what_is_required_and_what_a_value_is() {
        let helps = helps();
        assert!(helps.len() > 25, "{}", helps.len());
        for help in &helps {
            assert!(help.is_ascii() && help.lines().all(|line| line.len() <= WIDTH), "{help}");
            let usage = help.split("\n\n").next().unwrap_or_default();
            let placeholders = usage.split('<').skip(1).filter_map(|rest| rest.split('>').next()).filter(|name| *name != "command");
            placeholders.for_each(|name| assert!(!name.contains(char::is_lowercase) || name == "args", "{name}: {usage}"));
        }
        for (command, optional, required) in REQUIRED {
            let help = helps.iter().find(|help| help.starts_with(&format!("Usage: dmhelper {command} "))).unwrap();
            assert!(help.contains(required) && !help.contains(optional), "{help}");
        }
    }

    #[test]
    fn the_commonest_uses_are_commands() {
        let info = super::super::Arguments::get_args_info();
        for (words, _) in USES {
            assert!(info.commands.iter().any(|sub| Some(sub.name) == words.split(' ').nth(1)), "{words}");
        }
    }
}
