//! The man pages and the program say the same: every command, option, property, flag, exit status and JSON key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::SystemTime;

use dmhelper::cookie::census::{Entry, Process, Row};
use dmhelper::cookie::reap::Circumstances;
use dmhelper::cookie::{Cookie, FLAG_PROPERTIES, FLAG_WORDS, Key, SUBSYSTEM_FLAG_WORDS};
use dmhelper::decision::{Action, Decision, Event};
use dmhelper::devno::Devno;
use dmhelper::dm::{Details, Device, Target};
use dmhelper::emit::{cookies, event, happening, json};
use dmhelper::error::Error;
use dmhelper::info::{Info, Related};
use dmhelper::listen::condition::Condition;
use dmhelper::listen::happening::{Report, What};
use dmhelper::name::{DmName, DmUuid};
use dmhelper::udevd::Udevd;
use dmhelper::udevdb::Record;
use nix::errno::Errno;
use serde_json::Value;

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

/// The macros that the pages mean, other than as the first word of a line. Any other that mdoc(7) knows it takes out of
/// the text: of ".Ss In the exitrd" it makes "<the> exitrd".
const MACROS: &[&str] = &[
    "Ap", "Ar", "Bd", "Cm", "Dl", "Dq", "Em", "Ev", "Fl", "It", "Li", "Nm", "No", "Ns", "Op", "Pa", "Pc", "Pf", "Po", "Pq", "Ql", "Qq",
    "Sx", "Sy", "Ta", "Va", "Xc", "Xo", "Xr",
];

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// The words that a page's author wrote, without the macros.
fn written(source: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in source.lines().filter(|line| ![".\\\"", ".Bl", ".Bd", ".Dd", ".Dt", ".Os"].iter().any(|start| line.starts_with(start))) {
        let line = line.replace("\\&", "").replace("\\e", "\\").replace("\\(dq", "\"");
        let skipped = usize::from(line.starts_with('.'));
        let tokens = line.split(' ').skip(skipped).filter(|token| skipped == 0 || !MACROS.contains(token));
        tokens.for_each(|token| words.extend(words_of(token).map(str::to_owned)));
    }
    words
}

#[test]
fn no_word_of_a_page_is_taken_for_a_macro() {
    for page in PAGES {
        let rendered = plain(&mandoc_of(&["-T", "ascii"], &[page]));
        let shown: Vec<&str> = words_of(&rendered).collect();
        let written = written(&std::fs::read_to_string(page).unwrap());
        assert!(written.len() > 200, "{page}: {}", written.len());
        // mdoc adds words (the program's name, the page's head): the next one that was written is never far.
        let mut at = 0;
        for (index, word) in written.iter().enumerate() {
            let found = shown[at..].iter().take(12).position(|other| other == word);
            let before = &written[index.saturating_sub(6)..=index];
            at += 1 + found.unwrap_or_else(|| panic!("{page}: {before:?} is shown as {:?}", &shown[at.saturating_sub(6)..][..12]));
        }
        // One macro of two words on a line: the second stands inside of the first's quotes, or has lost a dash of its option.
        assert!(!rendered.contains("\"\""), "{page}: quotes within quotes");
        let shown: Vec<&str> = rendered.split_whitespace().collect();
        let lost = shown.windows(2).find(|pair| pair[0] == "|" && pair[1].starts_with('-') && !pair[1].starts_with("--"));
        assert_eq!(lost, None, "{page}: an option without its second dash");
    }
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
        let event = Event { action: Action::Change, cookie, synthetic: false, disk_ro: false, recorded: Default::default() };
        let mut properties = dmhelper::emit::env::Properties::default();
        event::add_properties(&Decision::of(&event), Some(&device(&uuid)), &mut properties);
        real.extend(properties.as_str().lines().map(|line| line.split_once('=').unwrap().0.to_string()));
    }
    let flags: BTreeSet<String> = FLAG_PROPERTIES.iter().map(|name| name.to_string()).collect();
    assert!(flags.is_subset(&real), "the event sets every flag");
    let documented = items("PROPERTIES", "Ev ").iter().flat_map(|item| item.split(" , ").map(str::to_string).collect::<Vec<_>>()).collect();
    assert_same(&documented, &real.difference(&flags).cloned().collect());
}

/// The path of every key, as jq would write it.
fn keys(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys(value, &path, out);
                out.insert(path);
            }
        }
        Value::Array(array) => array.iter().for_each(|value| keys(value, &format!("{path}[]"), out)),
        _ => {}
    }
}

#[test]
fn every_json_key_is_in_the_page_and_no_other() {
    let other = Related { devno: Devno::new(7, 0).unwrap(), name: Some(b"loop0".to_vec()), device_mapper: false };
    let mut real = BTreeSet::new();
    for uuid in uuids() {
        let info = Info {
            device: device(&uuid),
            size: Some(8),
            read_only: Some(true),
            targets: Some(vec![Target { start: 0, length: 8, kind: b"linear".to_vec(), status: Vec::new() }]),
            dependencies: vec![other.clone()],
            dependants: vec![other.clone()],
            parent: Some(other.clone()),
            udev: Some(Record::parse(b"S:mapper/x\nG:systemd\n")),
            udevd: true,
        };
        let array: Vec<Value> = serde_json::from_str(&json::info(&[info]).unwrap()).unwrap();
        array.iter().for_each(|object| keys(object, "", &mut real));
    }
    assert!(real.len() > 40, "{real:?}");
    assert_same(&items("JSON", "Va "), &real);
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
fn every_json_key_of_a_cookie_is_in_its_page_and_no_other() {
    let process = Process { pid: 812, name: "lvcreate".into() };
    let entry = Entry {
        row: Row { key: Key::from_raw(0x0d4d_0001).unwrap(), id: 1, uid: 0, operated: 1, changed: 1 },
        value: Some(1),
        waiting: 1,
        waiters: vec![process.clone()],
        last: Some(process),
    };
    let circumstances = Circumstances { udevd: Udevd::Running, busy: false, now: SystemTime::now(), older_than: None };
    let usage = cookies::Usage { sets: 1, limit: Some(1) };
    let text = cookies::json(std::slice::from_ref(&entry), usage, &circumstances).unwrap();
    let mut real = BTreeSet::new();
    keys(&serde_json::from_str(&text).unwrap(), "", &mut real);
    assert!(real.len() > 12, "{real:?}");
    assert_same(&items_of(COOKIE_PAGE, "JSON", "Va "), &real);

    let page = section_of(COOKIE_PAGE, "JSON");
    for (udevd, verdict) in [(Udevd::Running, "stuck"), (Udevd::Stopped, "udevd stopped"), (Udevd::Absent, "no udevd")] {
        let text = cookies::json(std::slice::from_ref(&entry), usage, &Circumstances { udevd, ..circumstances }).unwrap();
        let list: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(list["cookies"][0]["verdict"], verdict);
        assert!(page.contains(&format!(".Qq {verdict} ,\n")), "{verdict}");
    }
}

#[test]
fn every_json_key_and_word_of_the_monitor_is_in_its_page() {
    let text = happening::json(&Report::of_rescan(SystemTime::now(), None, What::Overrun(Some(1)))).unwrap();
    let mut real = BTreeSet::new();
    keys(&serde_json::from_str(&text).unwrap(), "", &mut real);
    assert!(real.len() > 16, "{real:?}");
    assert_same(&items_of(MONITOR_PAGE, "JSON", "Va "), &real);

    let page = section_of(MONITOR_PAGE, "JSON");
    let events: Vec<&str> = happening::EVENTS.to_vec();
    assert!(events.contains(&happening::event_word(&What::Activated)));
    for event in events {
        assert!(page.contains(&format!(".Qq {event}")), "{event}");
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
