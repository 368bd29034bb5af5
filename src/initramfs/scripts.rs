//! Scripts of an image that run dmsetup where it is not. Many have another way then, which nobody can tell from outside.

use std::io::Read;

use super::tree::Tree;
use super::{Fault, Kind, find_program};

/// Where nothing is a script, and much has to be looked at.
const PASSED_OVER: [&str; 4] = ["/usr/lib/modules/", "/lib/modules/", "/usr/lib/firmware/", "/lib/firmware/"];
/// Bytes; a script is not larger.
const LENGTH_MAX: u64 = 1 << 20;

/// Scripts that cannot work.
pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    if find_program(tree, "dmsetup").is_some() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for here in tree.files("/") {
        let path = tree.name_of(&here);
        if PASSED_OVER.iter().any(|start| path.starts_with(start.as_bytes())) {
            continue;
        }
        if script(&here).is_some_and(|text| runs_dmsetup(&text)) {
            faults.push(Fault {
                kind: Kind::Note,
                object: b"dmsetup".to_vec(),
                why: format!("the image lacks it, and the script {} runs it", crate::text::printable(&path)),
                fix: "add the program, or see that the script can do without".to_string(),
            });
        }
    }
    faults
}

/// The text of a shell script: told by its first line, or, where it is read by another, by its name.
fn script(here: &std::path::Path) -> Option<String> {
    let metadata = here.symlink_metadata().ok().filter(|file| file.is_file() && file.len() <= LENGTH_MAX)?;
    let mut file = std::fs::File::open(here).ok()?;
    let mut start = [0; 2];
    file.read_exact(&mut start).ok()?;
    let name = here.file_name()?.as_encoded_bytes();
    if start != *b"#!" && !name.ends_with(b".sh") && name != b"functions" {
        return None;
    }
    let mut text = start.to_vec();
    file.take(metadata.len()).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Whether it runs dmsetup without having looked whether there is one.
fn runs_dmsetup(text: &str) -> bool {
    let mut runs = false;
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> =
            line.split(|c: char| c.is_whitespace() || ";|&()`\"'$!{}=".contains(c)).filter(|word| !word.is_empty()).collect();
        for (at, word) in words.iter().enumerate().filter(|(_, word)| word.rsplit('/').next() == Some("dmsetup")) {
            let before = at.checked_sub(1).and_then(|before| words.get(before)).copied().unwrap_or_default();
            match before {
                "-v" | "-x" | "-e" | "-f" | "type" | "which" | "hash" => return false,
                // Told to a person, not run.
                _ if matches!(words.first(), Some(&("echo" | "info" | "warn" | "printf" | "log_warning_msg"))) => {}
                _ => runs |= is_command(line, word),
            }
        }
    }
    runs
}

/// Whether a word begins a command, rather than being part of another's: at the start, after what separates commands,
/// or after what only runs another.
fn is_command(line: &str, word: &str) -> bool {
    let Some(before) = line.find(word).and_then(|at| line.get(..at)) else { return false };
    let before = before.trim_end_matches([' ', '\t', '"']);
    let last = before.rsplit(|c: char| c.is_whitespace() || "(;".contains(c)).next().unwrap_or_default();
    before.is_empty()
        || before.ends_with(['|', '&', ';', '(', '`', '!', '{'])
        || matches!(last, "if" | "then" | "else" | "elif" | "while" | "until" | "do" | "exec" | "env" | "command")
}

#[cfg(test)]
mod tests {
    use super::runs_dmsetup;

    #[test]
    fn scripts_that_run_dmsetup_are_told_from_those_that_can_do_without() {
        for runs in
            ["dmsetup ls\n", "x=$(dmsetup table \"$1\")", "if ! /sbin/dmsetup info; then", "a && dmsetup remove x", "x | dmsetup load y"]
        {
            assert!(runs_dmsetup(runs), "{runs}");
        }
        for not in [
            "# dmsetup ls\n",
            "command -v dmsetup >/dev/null || exit 0\ndmsetup ls\n",
            "if [ -x /sbin/dmsetup ]; then /sbin/dmsetup ls; fi",
            "echo 'run dmsetup ls'",
            "info \"dmsetup ls --tree\"",
            "copy_exec /sbin/dmsetup",
            "my-dmsetup-thing",
        ] {
            assert!(!runs_dmsetup(not), "{not}");
        }
    }
}
