//! The words of a command line, put into the only form that argh reads, and what was wrong with them.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

use crate::error::Error;

/// Whether a word may be in a form that argh does not know. Mostly none is: the definitions of all commands are many
/// pages of memory.
pub(super) fn are_plain(words: &[String]) -> bool {
    let is_joined = |word: &str| word.len() > 2 && word.starts_with('-') && (!word.starts_with("--") || word.contains('='));
    !words.iter().any(|word| word == "-h" || is_joined(word))
}

/// `--option=value` and `-ovalue` become two words, `-h` becomes `--help`. An option's own value, what follows `--`, and
/// the command line of another program stay as they are.
pub(super) fn plain(root: &CommandInfoWithArgs, words: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len() + 1);
    let (mut command, mut options, mut is_value) = (root, true, false);
    for word in words {
        if std::mem::take(&mut is_value) || !options {
            out.push(word);
        } else if word == "-h" {
            out.push("--help".to_string());
        } else if word.starts_with('-') {
            let long = word.split_once('=').filter(|(name, _)| name.starts_with("--"));
            let split = long.or_else(|| word.split_at_checked(2).filter(|(_, value)| !value.is_empty()));
            if let Some((name, value)) = split.filter(|(name, _)| takes_value(command, name)) {
                out.extend([name.to_string(), value.to_string()]);
            } else {
                options = word != "--";
                is_value = takes_value(command, &word);
                out.push(word);
            }
        } else {
            match command.commands.iter().find(|sub| sub.name == word) {
                Some(sub) => command = &sub.command,
                // The first word of another program's.
                None => options = !command.positionals.iter().any(|argument| matches!(argument.optionality, Optionality::Greedy)),
            }
            out.push(word);
        }
    }
    out
}

/// The option that a word names.
pub(super) fn flag<'a>(command: &'a CommandInfoWithArgs, word: &str) -> Option<&'a FlagInfo<'static>> {
    let short = |flag: &&FlagInfo<'_>| flag.short.is_some_and(|short| word.strip_prefix('-').is_some_and(|rest| rest.chars().eq([short])));
    command.flags.iter().find(|flag| flag.long == word || short(flag))
}

fn takes_value(command: &CommandInfoWithArgs, word: &str) -> bool {
    flag(command, word).is_some_and(|flag| matches!(flag.kind, FlagInfoKind::Option { .. }))
}

/// What was wrong with words that argh refused, and where to read on.
pub(super) fn fault(root: &CommandInfoWithArgs, words: &[&str], output: &str) -> Error {
    let (mut command, mut path) = (root, Vec::new());
    for word in words {
        match command.commands.iter().find(|sub| sub.name == *word) {
            Some(sub) => {
                path.push(*word);
                command = &sub.command;
            }
            None if *word == "help" => {}
            None if command.commands.is_empty() || word.starts_with('-') => break,
            None => {
                let hint = meant(command.commands.iter().map(|sub| sub.name), word);
                let object = path.iter().chain([word]).copied().collect::<Vec<_>>().join(" ");
                return Error::usage("command", object, "no such command").advise(format!("{hint}see {}", help_of(&path)));
            }
        }
    }
    let object = if path.is_empty() { "line".to_string() } else { path.join(" ") };
    let mut cause = one_line(output);
    let mut hint = String::new();
    if let Some(word) = cause.strip_prefix("unrecognized argument: ") {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        if flag(command, name).is_some_and(|flag| flag.long == name) {
            cause = format!("{name} takes no value");
        } else if !word.starts_with('-') && command.positionals.is_empty() {
            cause = format!("takes options alone, not {word}");
        } else if name.starts_with("--") {
            hint = meant(command.flags.iter().filter(|flag| !flag.hidden).map(|flag| flag.long), name);
        }
    } else if let Some(missing) = cause.strip_prefix("required positional arguments not provided: ") {
        cause = format!("needs {missing}");
    } else if cause.starts_with("one of the following subcommands must be present: ") {
        let names = command.commands.iter().map(|sub| sub.name).collect::<Vec<_>>();
        cause = format!("needs a command: {}", names.join(", "));
    }
    Error::usage("command", object, cause).advise(format!("{hint}see {}", help_of(&path)))
}

fn help_of(path: &[&str]) -> String {
    ["dmhelper"].iter().chain(path).chain(&["--help"]).copied().collect::<Vec<_>>().join(" ")
}

/// argh's words about a mistake in one line; of a value that did not parse, the value's own message alone.
fn one_line(output: &str) -> String {
    // Our messages escape single quotes.
    let line = output.split_whitespace().collect::<Vec<_>>().join(" ").replace('\'', "\"");
    if let Some((_, cause)) = line.strip_prefix("Error parsing ").and_then(|rest| rest.split_once("\": ")) {
        return cause.to_string();
    }
    let mut letters = line.trim_end_matches('.').chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// A question for the names that a word may have been meant for: those that it begins, and those a letter or two away.
fn meant<'a>(names: impl Iterator<Item = &'a str>, word: &str) -> String {
    let letters = word.trim_start_matches('-').len();
    let is_near = |name: &&str| (letters > 1 && name.starts_with(word)) || distance(name, word) <= if letters > 3 { 2 } else { 1 };
    let near: Vec<&str> = names.filter(is_near).collect();
    if near.is_empty() { String::new() } else { format!("did you mean {}? ", near.join(" or ")) }
}

/// How many letters are to be put in, left out or replaced to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let (mut left, mut corner) = (i + 1, i);
        let mut next = vec![left];
        for (above, y) in row.iter().skip(1).zip(b.chars()) {
            left = (corner + usize::from(x != y)).min(above + 1).min(left + 1);
            corner = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use argh::{ArgsInfo, FromArgs};

    use super::*;

    fn put(words: &str) -> String {
        let words = words.split(' ').map(str::to_string).collect();
        plain(&super::super::Arguments::get_args_info(), words).join(" ")
    }

    fn told(words: &[&str], output: &str) -> String {
        fault(&super::super::Arguments::get_args_info(), words, output).to_string()
    }

    #[test]
    fn a_value_may_stand_behind_an_equals_sign() {
        assert_eq!(put("ls --output=name,uuid --filter=name=a=b"), "ls --output name,uuid --filter name=a=b");
        assert_eq!(put("wait --for=event=7 x"), "wait --for event=7 x");
        assert_eq!(put("ls --output="), "ls --output ");
        assert_eq!(put("ls -oname,uuid --json"), "ls -o name,uuid --json");
        for same in [
            "ls --json=yes",
            "ls --nonsense=1",
            "ls -o -oname",
            "info -xname",
            "info -é",
            "ls -",
            "ls -- -oname",
            "ls --filter --sort=x",
            "info -- --for=x",
            "--for=x wait",
        ] {
            assert_eq!(put(same), same);
        }
    }

    #[test]
    fn the_words_of_another_program_are_its_own() {
        assert_eq!(put("cookie run --timeout=5s lvs --timeout=5s -h"), "cookie run --timeout 5s lvs --timeout=5s -h");
        assert_eq!(put("cookie run --timeout=5s -- lvs -h"), "cookie run --timeout 5s -- lvs -h");
        assert_eq!(put("cookie run -h"), "cookie run --help");
    }

    #[test]
    fn h_is_help_wherever_an_option_may_stand() {
        assert_eq!((put("ls -h"), put("-h ls"), put("cookie -h")), ("ls --help".into(), "--help ls".into(), "cookie --help".into()));
        assert_eq!((put("ls -o -h"), put("info -- -h")), ("ls -o -h".into(), "info -- -h".into()));
    }

    #[test]
    fn a_fault_names_its_command_and_where_to_read_on() {
        assert_eq!(told(&["foo"], ""), "command foo: no such command; see dmhelper --help");
        assert_eq!(told(&["lis"], ""), "command lis: no such command; did you mean ls or listen? see dmhelper --help");
        assert_eq!(told(&["list"], ""), "command list: no such command; did you mean ls or listen? see dmhelper --help");
        assert_eq!(told(&["explian"], ""), "command explian: no such command; did you mean explain? see dmhelper --help");
        assert_eq!(told(&["cookie", "lst"], ""), "command cookie lst: no such command; did you mean list? see dmhelper cookie --help");
        assert_eq!(
            told(&["ls", "--x", "y"], "Unrecognized argument: --x\n"),
            "command ls: unrecognized argument: --x; see dmhelper ls --help"
        );
        let unknown = |words: &[&str]| told(words, &format!("Unrecognized argument: {}\n", words.last().unwrap()));
        assert_eq!(unknown(&["ls", "--out"]), "command ls: unrecognized argument: --out; did you mean --output? see dmhelper ls --help");
        assert_eq!(
            unknown(&["ls", "--ouput=x"]),
            "command ls: unrecognized argument: --ouput=x; did you mean --output? see dmhelper ls --help"
        );
        assert_eq!(unknown(&["ls", "vg-home"]), "command ls: takes options alone, not vg-home; see dmhelper ls --help");
        assert_eq!(unknown(&["ls", "--json=yes"]), "command ls: --json takes no value; see dmhelper ls --help");
        assert_eq!(told(&["--x"], "Unrecognized argument: --x\n"), "command line: unrecognized argument: --x; see dmhelper --help");
        let parsed = |words: &[&str]| super::super::Arguments::from_args(&["dmhelper"], words).unwrap_err().output;
        let refused = |words: &[&str]| told(words, &parsed(words));
        assert_eq!(refused(&["explain"]), "command explain: needs WHAT; see dmhelper explain --help");
        assert_eq!(
            refused(&["cookie"]),
            "command cookie: needs a command: flags, complete, list, reap, complete-all, run, create, inc, wait, release, guard; \
             see dmhelper cookie --help"
        );
    }
}
