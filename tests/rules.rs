//! A lint of the udev rules, token by token. `udevadm verify` (systemd 254) knows less of what we want, and is a test of
//! the rig where it exists.

#[path = "rules/parse.rs"]
mod parse;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use parse::{Token, parse};

type Outcome = Result<(), String>;

/// Keys of a rule, by what may stand between key and value; from udev(7).
const MATCH: &[&str] = &["==", "!="];
const ASSIGN: &[&str] = &["=", "+=", ":=", "-="];
const BOTH: &[&str] = &["==", "!=", "=", "+=", ":=", "-="];
const ONCE: &[&str] = &["="];
const KEYS: &[(&str, &[&str])] = &[
    ("ACTION", MATCH),
    ("DEVPATH", MATCH),
    ("KERNEL", MATCH),
    ("KERNELS", MATCH),
    ("SUBSYSTEM", MATCH),
    ("SUBSYSTEMS", MATCH),
    ("DRIVER", MATCH),
    ("DRIVERS", MATCH),
    ("ATTR{", MATCH),
    ("ATTRS{", MATCH),
    ("TAGS", MATCH),
    ("TEST", MATCH),
    ("RESULT", MATCH),
    ("PROGRAM", &["==", "!=", "="]),
    ("NAME", BOTH),
    ("SYMLINK", BOTH),
    ("TAG", BOTH),
    ("ENV{", BOTH),
    ("OWNER", ASSIGN),
    ("GROUP", ASSIGN),
    ("MODE", ASSIGN),
    ("RUN", ASSIGN),
    ("RUN{", ASSIGN),
    ("OPTIONS", ASSIGN),
    ("IMPORT{", &["==", "!=", "="]),
    ("LABEL", ONCE),
    ("GOTO", ONCE),
];
const IMPORTS: &[&str] = &["program", "builtin", "file", "db", "cmdline", "parent"];
const BUILTINS: &[&str] = &["blkid"];
const OPTIONS: &[&str] = &["watch", "nowatch", "db_persist", "link_priority=-100"];
const SUBSTITUTIONS: &[&str] = &["env{", "attr{", "major", "minor", "kernel", "devnode", "name", "root"];
/// The only command line a rule may start, with what follows the program.
const HELPER: &str = "@DMHELPER@";

fn sources() -> Result<Vec<(PathBuf, String)>, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let entries = fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| is_rules(path)).collect();
    paths.sort();
    if paths.len() < 4 {
        return Err(format!("{}: {} rule files, expected four", directory.display(), paths.len()));
    }
    paths.into_iter().map(|path| fs::read_to_string(&path).map(|text| (path, text)).map_err(|error| error.to_string())).collect()
}

fn is_rules(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(".rules.in") || path.ends_with(".rules"))
}

fn check_token(token: &Token) -> Outcome {
    let name = if token.attribute.is_some() { format!("{}{{", token.key) } else { token.key.clone() };
    let (_, operators) = KEYS.iter().find(|(key, _)| *key == name).ok_or_else(|| format!("unknown key `{name}`"))?;
    if !operators.contains(&token.operator.as_str()) {
        return Err(format!("`{name}` with `{}`", token.operator));
    }
    let attribute = token.attribute.as_deref().unwrap_or_default();
    match token.key.as_str() {
        "IMPORT" if !IMPORTS.contains(&attribute) => return Err(format!("unknown import `{attribute}`")),
        "IMPORT" if attribute == "builtin" && !BUILTINS.contains(&token.value.as_str()) => {
            return Err(format!("unknown builtin `{}`", token.value));
        }
        "IMPORT" if attribute == "program" => check_command(&token.value)?,
        "RUN" | "PROGRAM" => check_command(&token.value)?,
        "OPTIONS" if !OPTIONS.contains(&token.value.as_str()) => return Err(format!("unknown option `{}`", token.value)),
        "ENV" if !is_property_name(attribute) => return Err(format!("`{attribute}` is no property name")),
        _ => {}
    }
    check_substitutions(&token.value)
}

fn is_property_name(name: &str) -> bool {
    let plain = name.strip_prefix('.').unwrap_or(name);
    !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn check_command(command: &str) -> Outcome {
    if command.split_whitespace().next() != Some(HELPER) {
        return Err(format!("`{command}` does not start {HELPER}"));
    }
    // No shell ever sees the line, and no name: only numbers that the kernel gave.
    let forbidden = ["/bin/sh", "dmsetup", "DM_NAME", "DM_UUID", "$name", "%", ";", "|", "`"];
    match forbidden.iter().find(|word| command.contains(**word)) {
        Some(word) => Err(format!("`{word}` in the command `{command}`")),
        None => Ok(()),
    }
}

fn check_substitutions(value: &str) -> Outcome {
    for piece in value.split('$').skip(1) {
        if !SUBSTITUTIONS.iter().any(|known| piece.starts_with(known)) {
            return Err(format!("unknown substitution `${piece}`"));
        }
        if piece.split_once('{').is_some_and(|(name, rest)| matches!(name, "env" | "attr") && !rest.contains('}')) {
            return Err(format!("`${piece}`: a brace is not closed"));
        }
    }
    if value.contains('%') { Err(format!("`{value}`: write `$major`, not `%M`")) } else { Ok(()) }
}

/// Every label is defined once over all files, after each jump to it in the same file, and is jumped to.
fn check_labels(files: &[(PathBuf, String)]) -> Outcome {
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (path, text) in files {
        let mut open: Vec<(String, usize)> = Vec::new();
        for rule in parse(text)? {
            for token in &rule.tokens {
                if token.key == "GOTO" {
                    open.push((token.value.clone(), rule.line));
                } else if token.key == "LABEL" {
                    if let Some(first) = seen.insert(token.value.clone(), path.clone()) {
                        return Err(format!("{}: label {} is in {} too", path.display(), token.value, first.display()));
                    }
                    let jumps = open.len();
                    open.retain(|(target, _)| *target != token.value);
                    if jumps == open.len() {
                        return Err(format!("{}:{}: nothing jumps to {}", path.display(), rule.line, token.value));
                    }
                }
            }
            // A jump takes effect although tokens follow it in the rule; put last it reads as what it does.
            let early = rule.tokens.iter().rev().skip(1).any(|token| token.key == "GOTO");
            if early {
                return Err(format!("{}:{}: GOTO is not the last of its rule", path.display(), rule.line));
            }
        }
        if let Some((target, line)) = open.first() {
            return Err(format!("{}:{line}: no label {target} after it", path.display()));
        }
    }
    Ok(())
}

/// What makes one file acceptable, apart from its labels.
fn check_file(text: &str) -> Outcome {
    if !text.starts_with("# ") {
        return Err("no header comment".to_owned());
    }
    if let Some(line) = text.lines().find(|line| line.ends_with(' ') || line.contains('\t')) {
        return Err(format!("white space: `{line}`"));
    }
    let rules = parse(text)?;
    if rules.is_empty() {
        return Err("no rule in it".to_owned());
    }
    for rule in rules {
        for token in &rule.tokens {
            check_token(token).map_err(|error| format!("line {}: {error}", rule.line))?;
        }
    }
    let commands = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    for line in commands {
        // A lone one is a character of a name.
        let pieces: Vec<&str> = line.split('@').collect();
        let enclosed = pieces.get(1..pieces.len().saturating_sub(1)).unwrap_or_default();
        let word = |piece: &&&str| !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_uppercase());
        if let Some(placeholder) = enclosed.iter().filter(word).find(|placeholder| **placeholder != "DMHELPER") {
            return Err(format!("unknown placeholder @{placeholder}@"));
        }
    }
    Ok(())
}

#[test]
fn our_rules_are_well_formed() -> Outcome {
    for (path, text) in sources()? {
        check_file(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

#[test]
fn jumps_go_forward_to_labels_that_exist_once() -> Outcome {
    check_labels(&sources()?)
}

#[test]
fn no_rule_runs_dmsetup_or_a_shell() -> Outcome {
    for (path, text) in sources()? {
        let rules = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for line in rules {
            if ["dmsetup", "/bin/sh", "bash", "lvm ", "sh -c"].iter().any(|word| line.contains(word)) {
                return Err(format!("{}: {line}", path.display()));
            }
        }
    }
    Ok(())
}

#[test]
fn the_lint_finds_what_it_is_for() -> Outcome {
    let bad_files = [
        "ACTION==\"add\"\n",
        "# x\n",
        "# x\nACTION==\"add\n",
        "# x\nACTION=\"add\"\n",
        "# x\nACTOIN==\"add\"\n",
        "# x\nACTION==\"add\" KERNEL==\"x\"\n",
        "# x\nACTION==\"add\",\n",
        "# x\nENV{a b}=\"1\"\n",
        "# x\nENV{A=\"1\"\n",
        "# x\nIMPORT{programme}=\"@DMHELPER@ x\"\n",
        "# x\nIMPORT{program}=\"/sbin/dmsetup info\"\n",
        "# x\nRUN+=\"@DMHELPER@ x $env{DM_NAME}\"\n",
        "# x\nRUN+=\"@OTHER@ x\"\n",
        "# x\nOPTIONS+=\"wach\"\n",
        "# x\nSYMLINK+=\"$evn{DM_NAME}\"\n",
        "# x\nSYMLINK+=\"$env{DM_NAME\"\n",
        "# x\nSYMLINK+=\"%k\"\n",
        "# x\nACTION==\"add\", \\\n",
        "# x\nATTR{a}==\"*\\\\\"\n",
    ];
    for text in bad_files {
        if check_file(text).is_ok() {
            return Err(format!("accepted: {text}"));
        }
    }
    let bad_labels = [
        "GOTO=\"nowhere\"\n",
        "LABEL=\"back\"\nGOTO=\"back\"\n",
        "GOTO=\"a\"\nLABEL=\"a\"\nGOTO=\"a\"\nLABEL=\"a\"\n",
        "LABEL=\"unused\"\n",
        "GOTO=\"a\", ENV{A}=\"1\"\nLABEL=\"a\"\n",
    ];
    for text in bad_labels {
        if check_labels(&[(PathBuf::from("x"), text.to_owned())]).is_ok() {
            return Err(format!("accepted: {text}"));
        }
    }
    check_file("# x\nKERNEL!=\"dm-[0-9]*\", ENV{.A}=\"$env{B}\", GOTO=\"x\"\nLABEL=\"x\"\n")
}
