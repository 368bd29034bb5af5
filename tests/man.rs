//! The man pages and the program say the same: every command, option, property, flag, exit status and JSON key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "man/json.rs"]
mod json;
#[path = "man/words.rs"]
mod words;

use std::collections::BTreeSet;
use std::process::Command;

use dmhelper::cookie::{Cookie, FLAG_PROPERTIES, FLAG_WORDS, SUBSYSTEM_FLAG_WORDS};
use dmhelper::decision::{Action, Decision, Event};
use dmhelper::detach::targets::TARGETS;
use dmhelper::devno::Devno;
use dmhelper::dm::{Details, Device};
use dmhelper::emit::event;
use dmhelper::error::Error;
use dmhelper::listen::condition::Condition;
use dmhelper::name::{DmName, DmUuid};
use nix::errno::Errno;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/dmhelper.8");
const COOKIE_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/dmhelper-cookie.8");
const MONITOR_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/dmhelper-monitor.8");
const WAIT_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/dmhelper-wait.8");
const LISTEN_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/dmhelper-listen.8");
const DETACH_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/dmhelper-detach.8");
const EXPLAIN_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/dmhelper-explain.8");
const INITRAMFS_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/dmhelper-initramfs.8");
const LS_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/dmhelper-ls.8");
const TREE_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/dmhelper-tree.8");
const PAGES: [&str; 10] =
    [PAGE, COOKIE_PAGE, DETACH_PAGE, EXPLAIN_PAGE, INITRAMFS_PAGE, LISTEN_PAGE, LS_PAGE, MONITOR_PAGE, TREE_PAGE, WAIT_PAGE];

/// Runs mandoc on the pages; without it nothing here is proved, so a missing mandoc is a failure.
fn mandoc(words: &[&str]) -> String {
    mandoc_of(words, &PAGES)
}

fn mandoc_of(words: &[&str], pages: &[&str]) -> String {
    let run = Command::new("mandoc").args(words).args(pages).output();
    let output = run.unwrap_or_else(|error| panic!("mandoc: {error}; install it: apt-get install mandoc"));
    assert!(output.stderr.is_empty(), "mandoc {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "mandoc {words:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

/// Without overstrikes.
fn plain(rendered: &str) -> String {
    let mut plain = String::new();
    for character in rendered.chars() {
        match character {
            '\u{8}' => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// The pages as they are read, in one line: without overstrikes and line breaks.
fn text() -> String {
    plain(&mandoc(&["-T", "ascii"])).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The source of the page of all commands from one section's heading to the next.
fn section(name: &str) -> String {
    section_of(PAGE, name)
}

fn section_of(page: &str, name: &str) -> String {
    let source = std::fs::read_to_string(page).unwrap();
    let (_, rest) = source.split_once(&format!("\n.Sh {name}\n")).unwrap_or_else(|| panic!("no section {name}"));
    rest.split("\n.Sh ").next().unwrap().to_string()
}

/// What the items of a section are, after one macro.
fn items(section_name: &str, macro_name: &str) -> BTreeSet<String> {
    items_of(PAGE, section_name, macro_name)
}

fn items_of(page: &str, section_name: &str, macro_name: &str) -> BTreeSet<String> {
    let section = section_of(page, section_name);
    let items = section.lines().filter_map(|line| line.strip_prefix(".It ")?.strip_prefix(macro_name));
    items.map(|item| item.trim().to_string()).collect()
}

fn assert_same(documented: &BTreeSet<String>, real: &BTreeSet<String>) {
    let missing: Vec<_> = real.difference(documented).collect();
    let invented: Vec<_> = documented.difference(real).collect();
    assert!(missing.is_empty() && invented.is_empty(), "not in the man page: {missing:?}; only in the man page: {invented:?}");
}

#[test]
fn the_page_has_no_faults() {
    assert_eq!(mandoc(&["-T", "lint", "-W", "warning"]), "");
}

fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dmhelper")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The first words of the indented lines under a heading of a help text.
fn listed<'a>(help: &'a str, heading: &str) -> Vec<&'a str> {
    let after = help.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| line.starts_with("  "));
    // A line further in continues the one before it.
    after.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn every_command_and_option_of_the_help_is_in_the_page() {
    let text = text();
    let mut seen = Vec::new();
    let mut open: Vec<Vec<String>> = vec![vec![]];
    while let Some(command) = open.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let help = help(&words);
        for sub in listed(&help, "Commands:") {
            open.push(command.iter().cloned().chain([sub.to_string()]).collect());
        }
        // Both call a value the same.
        for (option, value) in help.lines().next().unwrap().split("[--").skip(1).filter_map(|rest| rest.split_once('>')?.0.split_once(" <"))
        {
            let words = format!("--{option} {}", value.replace("...", "")).to_lowercase();
            assert!(option.contains(']') || text.to_lowercase().contains(&words), "{command:?}: {words} is not in the man page");
        }
        for option in listed(&help, "Options:") {
            let option = option.trim_end_matches(',');
            assert!(text.contains(option), "{command:?}: option {option} is not in the man page");
        }
        assert!(text.contains(&format!("dmhelper {}", command.join(" "))), "{command:?} is not in the synopsis");
        seen.push(command.join(" "));
    }
    for known in
        ["info", "udev", "cookie flags", "cookie complete", "cookie reap", "monitor", "wait", "detach", "check-initramfs", "version"]
    {
        assert!(seen.iter().any(|command| command == known), "the help lists no {known}: {seen:?}");
    }
}

#[test]
fn every_command_has_a_page_or_a_link_to_one() {
    let folder = std::path::Path::new(PAGE).parent().unwrap();
    let makefile = std::fs::read_to_string(folder.with_file_name("Makefile")).unwrap().replace("\\\n", " ");
    let (_, links) = makefile.split_once("\nMAN_LINKS := ").unwrap();
    let links = links.lines().next().unwrap().split_whitespace().map(|link| link.split_once(':').unwrap());
    let mut pages: BTreeSet<String> = links.clone().map(|(command, _)| format!("dmhelper-{command}.8")).collect();
    for (command, page) in links {
        assert!(folder.join(format!("{page}.8")).exists(), "{command}: there is no {page}.8");
    }
    pages.extend(PAGES.iter().map(|page| page.rsplit('/').next().unwrap().to_string()));
    for command in listed(&help(&[]), "Commands:") {
        assert!(pages.contains(&format!("dmhelper-{command}.8")), "man dmhelper-{command} shows nothing: MAN_LINKS in the Makefile");
    }
}

#[test]
fn every_flag_is_in_the_page_with_its_words() {
    let flags = section("FLAGS");
    for (bit, (property, words)) in FLAG_PROPERTIES.iter().zip(FLAG_WORDS).enumerate() {
        assert!(flags.contains(&format!("\n.It {bit} Ta Ev {property} Ta {words}\n")), "{bit} {property}: {words}");
    }
    for (prefix, bit, words) in SUBSYSTEM_FLAG_WORDS {
        let uuid = DmUuid::new([prefix, b"-x"].concat()).unwrap().unwrap();
        let line = format!("\n.It {} Ta {bit} Ta {words}\n", dmhelper::name::subsystem(&uuid).unwrap());
        assert!(flags.contains(&line), "{line}");
    }
}

#[test]
fn every_target_is_in_the_page_with_what_is_lost() {
    let page = section_of(DETACH_PAGE, "DESCRIPTION");
    let rows: String = TARGETS.iter().map(|row| format!(".It {} Ta {}\n", row.kind, row.words)).collect();
    assert!(page.contains(&format!("\n{rows}.El\n")), "not as in src/detach/targets.rs:\n{rows}");
}

#[test]
fn every_exit_status_is_in_the_page() {
    let failures = [
        Error::os("a", "b", Errno::EIO),
        Error::malformed("a", "b", "c"),
        Error::usage("a", "b", "c"),
        Error::not_found("a", "b"),
        Error::os("a", "b", Errno::EACCES),
        Error::timed_out("a", "b", "c"),
        Error::no_udevd("a", "b"),
        Error::remains("a", "b", "c"),
    ];
    let mut real: BTreeSet<String> = failures.iter().map(|error| error.status().to_string()).chain(["0".to_string()]).collect();
    assert_same(&items("EXIT STATUS", ""), &real);
    // With cookies nothing remains: they are complete or they are not.
    assert!(real.remove("7"));
    assert_same(&items_of(COOKIE_PAGE, "EXIT STATUS", ""), &real);
}

fn device(uuid: &str) -> Device {
    Device {
        devno: Devno::new(253, 0).unwrap(),
        name: DmName::new("vg-lv").unwrap(),
        uuid: DmUuid::new(uuid).unwrap(),
        suspended: true,
        details: Some(Details {
            live_table: true,
            inactive_table: true,
            read_only: true,
            deferred_remove: true,
            internal_suspend: true,
            open_count: 1,
            event_number: 1,
            segments: 1,
        }),
    }
}

/// A UUID of every owner of which something is told.
fn uuids() -> [String; 4] {
    let id = "0123456789abcdef0123456789abcdef";
    [format!("LVM-{id}{id}"), format!("CRYPT-LUKS2-{id}-x"), "mpath-36".to_string(), "part1-mpath-36".to_string()]
}

#[test]
fn every_property_that_is_printed_is_in_the_page() {
    let mut real = BTreeSet::new();
    for uuid in uuids() {
        let cookie = Some(Cookie::new(0xffff_0001));
        let event =
            Event { action: Action::Change, cookie, synthetic: false, refresh: false, disk_ro: false, recorded: Default::default() };
        let mut properties = dmhelper::emit::env::Properties::default();
        event::add_properties(&Decision::of(&event), Some(&device(&uuid)), &mut properties);
        real.extend(properties.as_str().lines().map(|line| line.split_once('=').unwrap().0.to_string()));
    }
    let flags: BTreeSet<String> = FLAG_PROPERTIES.iter().map(|name| name.to_string()).collect();
    assert!(flags.is_subset(&real), "the event sets every flag");
    let documented = items("PROPERTIES", "Ev ").iter().flat_map(|item| item.split(" , ").map(str::to_string).collect::<Vec<_>>()).collect();
    assert_same(&documented, &real.difference(&flags).cloned().collect());
}

/// The example of the page, and the same as a file that a test boots: what the page has, the file has in this order.
#[test]
fn the_example_of_an_initramfs_is_the_one_that_is_booted() {
    let page = section_of(LISTEN_PAGE, "EXAMPLES").replace("\\\\\n", " ");
    let (_, example) = page.split_once(".Bd -literal -offset indent\n").unwrap();
    let (example, _) = example.split_once("\n.Ed").unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/busybox-initramfs/init");
    let file = std::fs::read_to_string(file).unwrap().replace("\\\n", " ");
    let mut lines = file.lines();
    assert!(example.lines().count() > 8, "{example}");
    for line in example.lines() {
        // The file's line may have more words: a mode, a way out.
        let has_all = |found: &str| {
            let mut found = found.split_whitespace();
            line.split_whitespace().all(|word| found.any(|other| other == word))
        };
        assert!(lines.any(has_all), "not in examples/busybox-initramfs/init, or not there: {line}");
    }
}

#[test]
fn every_condition_is_in_the_page_and_no_other() {
    let conditions = items_of(WAIT_PAGE, "DESCRIPTION", "Cm ");
    let words: Vec<&str> = conditions.iter().flat_map(|item| item.split(" , ")).collect();
    assert_eq!(words, ["active", "event", "event= Ns Ar NUMBER", "gone", "present", "settled", "usable"]);
    for word in words {
        assert!(word.replace(" Ns Ar NUMBER", "7").parse::<Condition>().is_ok(), "{word}");
    }
}
