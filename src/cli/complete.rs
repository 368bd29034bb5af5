//! `dmhelper complete -- WORD…`: what a shell may complete the last word with. For the shells' own scripts; commands and
//! options come from the one definition of each command, the rest from what there is.

use std::path::Path;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use super::words::flag;
use crate::cookie::{FLAG_PROPERTIES, census};
use crate::emit::columns::COLUMNS;
use crate::error::Result;
use crate::info::Roots;
use crate::survey::Survey;
use crate::text::printable;

/// What may stand for an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    Devices,
    Cookies,
    /// What can be explained: devices, paths, cookies.
    Explained,
    /// Columns, separated by commas.
    Columns,
    /// A column and a comparison.
    Comparison,
    /// Names of udev flags, separated by commas.
    Flags,
    Words(&'static [&'static str]),
    /// A program, and then what it takes.
    Command,
    Paths,
    Nothing,
}

/// The one table of what stands for an argument, by its name, and behind an option.
const VALUES: [(&str, Values); 18] = [
    ("WHAT", Values::Explained),
    ("DEVICE", Values::Devices),
    ("MAJOR:MINOR", Values::Devices),
    ("COOKIE", Values::Cookies),
    ("COMMAND", Values::Command),
    ("DIR", Values::Paths),
    ("--output", Values::Columns),
    ("--sort", Values::Columns),
    ("--filter", Values::Comparison),
    ("--flags", Values::Flags),
    ("--for", Values::Words(&["present", "active", "usable", "settled", "event", "gone"])),
    ("--blkid", Values::Paths),
    ("--pid-file", Values::Paths),
    ("--timeout", Values::Words(&["10s", "1min", "infinity"])),
    ("--blkid-timeout", Values::Nothing),
    ("--older-than", Values::Words(&["5min", "1h"])),
    ("--patience", Values::Nothing),
    ("--queue", Values::Nothing),
];

/// A word and what it means.
type Candidate = (String, String);

/// What the last word may become.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    candidates: Vec<Candidate>,
    /// Whether more may follow without a space.
    open: bool,
    /// Whether the shell is to complete paths.
    paths: bool,
    /// Whether the shell is to complete the names of programs.
    programs: bool,
}

/// Prints a candidate a line, with a TAB before what it means, then what else the shell is to do.
pub(super) fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().skip_while(|word| *word == "--").map(String::as_str).collect();
    let answer = answer(&super::Arguments::get_args_info(), &words, existing);
    let line = |(word, meaning): &Candidate| if meaning.is_empty() { format!("{word}\n") } else { format!("{word}\t{meaning}\n") };
    let mut out: String = answer.candidates.iter().map(line).collect();
    for (is_so, word) in [(answer.open, ":nospace\n"), (answer.paths, ":files\n"), (answer.programs, ":programs\n")] {
        out.push_str(if is_so { word } else { "" });
    }
    super::print(&out)
}

/// The devices and cookies there are; none where that cannot be told.
fn existing(values: Values) -> Vec<Candidate> {
    match values {
        Values::Devices => {
            let roots = Roots::default();
            let Ok(survey) = Survey::open(&roots) else { return Vec::new() };
            survey.devices().iter().map(|device| (printable(device.name.as_bytes()), device.devno.to_string())).collect()
        }
        Values::Cookies => {
            let Ok((entries, _)) = census::take(Path::new("/proc")) else { return Vec::new() };
            let missing = |entry: &census::Entry| entry.missing().map_or(String::new(), |missing| format!("{missing} missing"));
            entries.iter().map(|entry| (entry.row.key.to_string(), missing(entry))).collect()
        }
        _ => Vec::new(),
    }
}

fn answer(root: &CommandInfoWithArgs, words: &[&str], existing: impl Fn(Values) -> Vec<Candidate>) -> Answer {
    let Some((partial, before)) = words.split_last() else { return Answer::default() };
    let mut command = root;
    let mut awaited: Option<&str> = None;
    let (mut positional, mut options) = (0, true);
    for word in before {
        if awaited.take().is_some() {
            continue;
        }
        if options && *word == "--" {
            options = false;
        } else if options && word.starts_with('-') {
            awaited = flag(command, word).and_then(value_name);
        } else if command.commands.is_empty() {
            if command.positionals.get(positional).is_some_and(|argument| values(argument.name) == Values::Command) {
                // All that follows is that program's own.
                return Answer { paths: true, ..Answer::default() };
            }
            positional += 1;
        } else {
            match command.commands.iter().find(|sub| sub.name == *word) {
                Some(sub) => command = &sub.command,
                None => return Answer::default(),
            }
        }
    }
    if let Some(name) = awaited {
        return complete(values(name), partial, existing);
    }
    if options
        && let Some((word, value)) = partial.split_once('=').filter(|(word, _)| word.starts_with("--"))
        && let Some(name) = flag(command, word).and_then(value_name)
    {
        let mut answer = complete(values(name), value, existing);
        answer.candidates.iter_mut().for_each(|(candidate, _)| *candidate = format!("{word}={candidate}"));
        return answer;
    }
    if options && partial.starts_with('-') {
        let flags = command.flags.iter().filter(|flag| !flag.hidden).map(|flag| (flag.long.to_string(), flag.description.to_string()));
        return matching(flags.collect(), partial);
    }
    if !command.commands.is_empty() {
        let commands = command.commands.iter().map(|sub| (sub.name.to_string(), sub.command.description.to_string()));
        return matching(commands.collect(), partial);
    }
    let argument = command.positionals.get(positional).or(command.positionals.last());
    argument.map_or_else(Answer::default, |argument| complete(values(argument.name), partial, existing))
}

/// What the table calls an option's value.
fn value_name<'a>(flag: &FlagInfo<'a>) -> Option<&'a str> {
    match flag.kind {
        FlagInfoKind::Option { .. } => Some(flag.long),
        FlagInfoKind::Switch => None,
    }
}

fn values(name: &str) -> Values {
    VALUES.iter().find(|(known, _)| *known == name).map_or(Values::Nothing, |(_, values)| *values)
}

fn complete(values: Values, partial: &str, existing: impl Fn(Values) -> Vec<Candidate>) -> Answer {
    let columns = || COLUMNS.iter().map(|column| (column.name.to_string(), column.help.to_string()));
    match values {
        Values::Devices | Values::Explained if ["/", "./", "../"].iter().any(|start| partial.starts_with(start)) => {
            Answer { paths: true, ..Answer::default() }
        }
        Values::Devices | Values::Cookies => matching(existing(values), partial),
        Values::Explained => matching([existing(Values::Devices), existing(Values::Cookies)].concat(), partial),
        Values::Columns => {
            // A sign before the first column: + adds, - turns round.
            let signed = partial.len() - partial.trim_start_matches(['+', '-']).len();
            let start = partial.rfind(',').map_or(signed, |comma| comma + 1);
            listed(columns().collect(), partial, start)
        }
        Values::Flags => listed(
            FLAG_PROPERTIES.iter().map(|name| ((*name).to_string(), String::new())).collect(),
            partial,
            partial.rfind(',').map_or(0, |comma| comma + 1),
        ),
        Values::Comparison if partial.contains(['=', '!', '<', '>']) => Answer::default(),
        Values::Comparison => Answer { open: true, ..matching(columns().map(|(name, help)| (name + "=", help)).collect(), partial) },
        Values::Words(words) => matching(words.iter().map(|word| ((*word).to_string(), String::new())).collect(), partial),
        Values::Paths => Answer { paths: true, ..Answer::default() },
        Values::Command => Answer { programs: true, ..Answer::default() },
        Values::Nothing => Answer::default(),
    }
}

/// The last of several words separated by commas, with those before it.
fn listed(candidates: Vec<Candidate>, partial: &str, start: usize) -> Answer {
    let (before, last) = partial.split_at(start);
    let mut answer = matching(candidates, last);
    // None is wanted twice.
    answer.candidates.retain(|(word, _)| !before.trim_start_matches(['+', '-']).split(',').any(|named| named == word));
    let candidates = answer.candidates.into_iter().map(|(word, meaning)| (format!("{before}{word}"), meaning)).collect();
    Answer { candidates, open: true, ..Answer::default() }
}

fn matching(candidates: Vec<Candidate>, partial: &str) -> Answer {
    Answer { candidates: candidates.into_iter().filter(|(word, _)| word.starts_with(partial)).collect(), ..Answer::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(words: &[&str]) -> Answer {
        let existing = |values| match values {
            Values::Devices => ["home", "vg-home", "vg-root"].map(|name| (name.to_string(), String::new())).to_vec(),
            Values::Cookies => vec![("0x0d4d0001".to_string(), "1 missing".to_string())],
            _ => Vec::new(),
        };
        answer(&super::super::Arguments::get_args_info(), words, existing)
    }

    fn words(words: &[&str]) -> String {
        answered(words).candidates.into_iter().map(|(word, _)| word).collect::<Vec<_>>().join(" ")
    }

    /// Every command with all below it.
    fn each(command: &CommandInfoWithArgs, look: &mut impl FnMut(&CommandInfoWithArgs)) {
        look(command);
        command.commands.iter().for_each(|sub| each(&sub.command, look));
    }

    #[test]
    fn every_argument_of_every_command_is_in_the_table() {
        let known = |name: &str| VALUES.iter().any(|(known, _)| *known == name);
        let mut arguments = 0;
        each(&super::super::Arguments::get_args_info(), &mut |command| {
            for name in command.flags.iter().filter_map(value_name).chain(command.positionals.iter().map(|argument| argument.name)) {
                assert!(known(name), "{}: what does {name} stand for?", command.name);
                arguments += 1;
            }
        });
        assert!(arguments > 20);
    }

    #[test]
    fn commands_and_options_come_from_their_definition() {
        assert_eq!(words(&["l"]), "ls listen");
        assert_eq!(words(&["cookie", "co"]), "complete complete-all");
        assert!(words(&[""]).contains("info") && words(&["cookie", ""]).contains("reap"));
        assert_eq!(words(&["ls", "--no"]), "--no-headings");
        assert_eq!(words(&["nope", ""]), "");
        assert_eq!(answered(&[]), Answer::default());
    }

    #[test]
    fn arguments_are_what_they_stand_for() {
        assert_eq!(words(&["info", "vg"]), "vg-home vg-root");
        assert_eq!(words(&["info", "--json", "home", "h"]), "home");
        assert_eq!(words(&["cookie", "complete", ""]), "0x0d4d0001");
        assert_eq!(words(&["explain", ""]), "home vg-home vg-root 0x0d4d0001");
        assert_eq!(words(&["wait", "--for", "a"]), "active");
        assert_eq!(words(&["wait", "--for", "active", "vg-r"]), "vg-root");
        assert_eq!(words(&["wait", "--for=a"]), "--for=active");
        assert_eq!(words(&["wait", "--for=active", "vg-r"]), "vg-root");
        assert_eq!(words(&["info", "--", "--"]), "", "after -- there are no options");
        assert!(answered(&["info", "/dev/ma"]).paths && answered(&["detach", "./"]).paths);
    }

    #[test]
    fn a_program_is_followed_by_what_is_its_own() {
        for before in [&["cookie", "run"][..], &["cookie", "run", "--"], &["cookie", "run", "--timeout", "5s", "--"]] {
            assert!(answered(&[before, &["lv"]].concat()).programs, "{before:?}");
            let own = answered(&[before, &["lvcreate", "--time"]].concat());
            assert!(own.paths && own.candidates.is_empty(), "{before:?}");
        }
        assert_eq!(words(&["cookie", "run", "--time"]), "--timeout");
    }

    #[test]
    fn columns_are_completed_one_after_the_other() {
        assert_eq!(words(&["ls", "-o", "na"]), "name");
        assert_eq!(words(&["ls", "--output", "name,de"]), "name,devno name,deps name,dependants");
        assert_eq!(words(&["ls", "-o", "+op"]), "+open");
        assert_eq!(words(&["ls", "-o", "+open,devno,de"]), "+open,devno,deps +open,devno,dependants", "none twice");
        assert_eq!(words(&["ls", "--sort", "-si"]), "-size");
        assert_eq!(words(&["ls", "--filter", "sta"]), "state=");
        assert_eq!(words(&["ls", "--filter", "state="]), "");
        assert!(answered(&["ls", "-o", "na"]).open && answered(&["ls", "--filter", "sta"]).open && !answered(&["ls", "--js"]).open);
    }
}
