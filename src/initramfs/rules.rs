//! The udev rules of an image: one whole set of ours, no other beside it, and every program that they call.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::tree::{Program, Tree};
use super::{Fault, Kind, enumerate, find_program};

/// Where udevd reads rules; of files with one name the first counts (udev(7)).
const DIRECTORIES: [&str; 5] =
    ["etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d"];
/// Where a program without a path is, for udevd.
const HELPERS: [&str; 3] = ["usr/lib/udev", "lib/udev", "usr/local/lib/udev"];
/// The names that the rules of device-mapper go by: upstream's, and those of Debian and its children.
const LAYOUTS: [[&str; 4]; 2] = [
    ["10-dm.rules", "11-dm-lvm.rules", "13-dm-disk.rules", "95-dm-notify.rules"],
    ["55-dm.rules", "56-lvm.rules", "60-persistent-storage-dm.rules", "95-dm-notify.rules"],
];
/// What stands in the first line of every rule file of ours.
const OURS: &[u8] = b"dmhelper(8)";

/// A rule file that counts.
struct File {
    /// As the image calls it.
    path: Vec<u8>,
    text: Vec<u8>,
}

impl File {
    fn is_ours(&self) -> bool {
        let first = self.text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        contains(first, OURS)
    }

    fn concerns_device_mapper(&self) -> bool {
        [&b"DM_"[..], b"dm-[", b"dm-*"].iter().any(|word| contains(&self.text, word))
    }
}

/// Faults of the rules.
pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    let files = files(tree);
    let mut faults = set(&files);
    faults.extend(programs(tree, &files));
    faults
}

/// Every file that udevd would read, by its name.
fn files(tree: &Tree) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    let mut masked: Vec<String> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    for directory in DIRECTORIES {
        // Where /lib is a link to /usr/lib it is one directory.
        let Some(here) = tree.resolve(directory).filter(|here| !seen.contains(here)) else { continue };
        seen.push(here);
        for name in tree.list(directory) {
            let Some(name) = name.to_str().filter(|name| name.ends_with(".rules")).map(str::to_string) else { continue };
            if files.contains_key(&name) || masked.contains(&name) {
                continue;
            }
            let path = format!("{directory}/{name}");
            match tree.read(&path) {
                Some(text) if !text.is_empty() => drop(files.insert(name, File { path: format!("/{path}").into_bytes(), text })),
                // An empty file or a link to /dev/null takes the others of this name out of force.
                _ => masked.push(name),
            }
        }
    }
    files
}

/// Whether it is one whole set.
fn set(files: &BTreeMap<String, File>) -> Vec<Fault> {
    let is_ours = |name: &str| files.get(name).is_some_and(File::is_ours);
    let count = |layout: &[&str; 4]| layout.iter().filter(|name| is_ours(name)).count();
    let Some(layout) = LAYOUTS.iter().rev().max_by_key(|layout| count(layout)).filter(|layout| count(layout) > 0) else {
        let why = "the image has udevd, but no rule file of dmhelper".to_string();
        // The names of the rules that are there instead tell which this system uses.
        let there = |layout: &[&str; 4]| layout.iter().filter(|name| files.contains_key(**name)).count();
        let [upstream, debian] = LAYOUTS.map(|layout| (there(&layout), enumerate(&layout)));
        let fix = match upstream.0.cmp(&debian.0) {
            Ordering::Greater => format!("add {}", upstream.1),
            Ordering::Less => format!("add {}", debian.1),
            Ordering::Equal => format!("add {} on Debian and its children, {} elsewhere", debian.1, upstream.1),
        };
        let mut faults = vec![Fault { kind: Kind::Missing, object: b"rules".to_vec(), why, fix }];
        faults.extend(foreign(files, &[]));
        return faults;
    };
    let ours: Vec<&str> = layout.iter().copied().filter(|name| is_ours(name)).collect();
    let missing = layout.iter().filter(|name| !files.contains_key(**name)).map(|name| Fault {
        kind: Kind::Missing,
        object: name.as_bytes().to_vec(),
        why: format!("{} without it {} not a whole set", enumerate(&ours), if ours.len() == 1 { "is" } else { "are" }),
        fix: "add it, from the same dmhelper".to_string(),
    });
    let mut faults: Vec<Fault> = missing.collect();
    faults.extend(foreign(files, layout));
    faults
}

/// Rule files of device-mapper that are not of our layout, or not of ours.
fn foreign(files: &BTreeMap<String, File>, layout: &[&str]) -> Vec<Fault> {
    let mut names: Vec<&str> = LAYOUTS.iter().flatten().copied().collect();
    names.sort_unstable();
    names.dedup();
    let fault = |name: &str| {
        let file = files.get(name)?;
        let path = file.path.clone();
        match (layout.contains(&name), file.is_ours()) {
            (true, true) => None,
            (true, false) => Some(Fault {
                kind: Kind::Wrong,
                object: path,
                why: "it is not the file of that name of dmhelper's, which the others need".to_string(),
                fix: "put dmhelper's there".to_string(),
            }),
            // Nothing to double: the set itself is what is missing.
            (false, _) if layout.is_empty() => None,
            (false, _) => Some(Fault {
                kind: Kind::Doubled,
                object: path,
                why: format!("a second set of device-mapper rules, beside {}", layout.first()?),
                fix: "leave it out of the image".to_string(),
            }),
        }
    };
    names.into_iter().filter_map(fault).collect()
}

/// Programs that rules for device-mapper devices call and that are not there, each once.
fn programs(tree: &Tree, files: &BTreeMap<String, File>) -> Vec<Fault> {
    let mut callers: BTreeMap<Vec<u8>, Vec<&str>> = BTreeMap::new();
    for (name, file) in files.iter().filter(|(_, file)| file.concerns_device_mapper()) {
        for program in called(&file.text) {
            let callers = callers.entry(program).or_default();
            if callers.last() != Some(&name.as_str()) {
                callers.push(name);
            }
        }
    }
    let fault = |(program, callers): (Vec<u8>, Vec<&str>)| {
        let state = present(tree, &program);
        if state == Program::Present {
            return None;
        }
        let run = if callers.len() == 1 { "runs" } else { "run" };
        let files = enumerate(&callers);
        let lacks = if state == Program::Missing { "" } else { ", but it is no program that can be run" };
        let why = format!("{files} {run} it{lacks}");
        let missing = if state == Program::Missing { Kind::Missing } else { Kind::Wrong };
        let (kind, why, fix) = match program.rsplit(|&byte| byte == b'/').next().unwrap_or_default() {
            b"dmhelper" => (missing, why, "put the program there".to_string()),
            b"dmsetup" => (missing, why, format!("leave {files} out of the image: dmhelper's rules do without")),
            // Whether a neighbour's rule comes into force in an image, its other rules decide.
            _ => (Kind::Note, format!("the image lacks it, and {why}"), format!("put it there, or see that {files} can do without")),
        };
        Some(Fault { kind, object: program, why, fix })
    };
    callers.into_iter().filter_map(fault).collect()
}

fn present(tree: &Tree, program: &[u8]) -> Program {
    let text = String::from_utf8_lossy(program);
    if text.starts_with('/') {
        return tree.program(text.as_ref());
    }
    // What a shell calls from a rule, it finds in its path.
    let found = find_program(tree, &text).is_some() && text == "dmsetup";
    let helper = HELPERS.iter().map(|directory| tree.program(format!("{directory}/{text}"))).find(|found| *found != Program::Missing);
    if found { Program::Present } else { helper.unwrap_or(Program::Missing) }
}

/// The programs that a file's rules start: the first word of each command line; and dmsetup wherever a command line
/// has it, for there may be a shell in between.
fn called(text: &[u8]) -> Vec<Vec<u8>> {
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

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
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
