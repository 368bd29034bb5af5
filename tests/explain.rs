//! `dmhelper explain` and `dmhelper doctor`: their man page says what the program says, and every reason that they can
//! give is provoked by a scenario of the rig.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use dmhelper::completer::Completer;
use dmhelper::devno::Devno;
use dmhelper::dm::Device;
use dmhelper::doctor::{Diagnosis, Trouble};
use dmhelper::emit::doctor;
use dmhelper::emit::explain;
use dmhelper::explain::links::{Claim, Found, Link};
use dmhelper::explain::reason::{self, ALL};
use dmhelper::explain::{Finding, Report, Service};
use dmhelper::info::Info;
use dmhelper::name::{DmName, DmUuid};
use dmhelper::rulefiles::{Job, Origin, RuleFile, RuleFiles};
use dmhelper::terminal::Terminal;
use dmhelper::udevd::Udevd;
use dmhelper::udevdb::Record;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn page() -> String {
    std::fs::read_to_string(format!("{ROOT}/man/dmhelper-explain.8")).unwrap()
}

fn section(name: &str) -> String {
    let page = page();
    let (_, rest) = page.split_once(&format!("\n.Sh {name}\n")).unwrap_or_else(|| panic!("no section {name}"));
    rest.split("\n.Sh ").next().unwrap().to_string()
}

fn items(name: &str, macro_name: &str) -> BTreeSet<String> {
    let section = section(name);
    section.lines().filter_map(|line| line.strip_prefix(".It ")?.strip_prefix(macro_name)).map(str::to_string).collect()
}

/// The words as the page has them: places in capitals.
fn words(answer: &str) -> String {
    let mut out = String::new();
    let mut rest = answer;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, tail) = after.split_once('}').unwrap();
        out += &(before.to_string() + &place.to_uppercase());
        rest = tail;
    }
    out + rest
}

#[test]
fn every_reason_is_in_the_page_with_its_words() {
    let reasons = items("REASONS", "");
    assert_eq!(reasons, ALL.iter().map(|reason| reason.id.to_string()).collect());
    let section = section("REASONS");
    for reason in ALL {
        let (_, text) = section.split_once(&format!(".It {}\n", reason.id)).unwrap();
        let text = text.split(".It ").next().unwrap().split(".El").next().unwrap();
        let text = text.replace("\\&", "").split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(text, words(reason.answer), "{}", reason.id);
    }
}

#[test]
fn every_reason_has_a_scenario_that_provokes_it() {
    let mut provoked = BTreeSet::new();
    for file in std::fs::read_dir(format!("{ROOT}/tests/scenarios/ours")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        // A word that is no reason would be provoked by nobody either.
        let checks = text.split("assert_explained ").skip(1).filter_map(|rest| rest.split_whitespace().next());
        provoked.extend(checks.map(str::to_string));
        let found = text.lines().filter_map(|line| line.strip_prefix("assert_finds "));
        provoked.extend(found.flat_map(|line| line.trim_matches('\'').split(' ')).map(str::to_string));
    }
    let all: BTreeSet<String> = ALL.iter().map(|reason| reason.id.to_string()).collect();
    let missing: Vec<_> = all.difference(&provoked).collect();
    let unknown: Vec<_> = provoked.difference(&all).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "no scenario: {missing:?}; no such reason: {unknown:?}");
}

fn keys(value: &serde_json::Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys(value, &path, out);
                out.insert(path);
            }
        }
        serde_json::Value::Array(array) => array.iter().for_each(|value| keys(value, &format!("{path}[]"), out)),
        _ => {}
    }
}

/// A volume with a link of its own, one that another device has, and one that is missing.
fn specimen() -> Report {
    let devno = |minor| Devno::new(253, minor).unwrap();
    let device = Device {
        devno: devno(3),
        name: DmName::new("vg-home").unwrap(),
        uuid: DmUuid::new("LVM-x").unwrap(),
        suspended: false,
        details: None,
    };
    let info = Info {
        device,
        size: Some(8),
        read_only: Some(false),
        diskseq: Some(9),
        targets: None,
        dependencies: Vec::new(),
        dependants: Vec::new(),
        parent: None,
        udev: Some(Record::parse(b"E:DM_UDEV_PRIMARY_SOURCE_FLAG=1\nE:DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG=1\n")),
        udevd: true,
    };
    let claim = |minor, name: &str, priority| Claim { devno: devno(minor), called: format!("{name} (253:{minor})"), priority };
    let link = |path: &str, found, elsewhere: Option<&str>, claims| Link {
        path: path.to_string(),
        expected: true,
        recorded: true,
        found,
        elsewhere: elsewhere.map(str::to_string),
        claims,
    };
    let by_uuid = "disk/by-uuid/01234567-89ab-cdef-0123-456789abcdef";
    let rule = RuleFile {
        job: Job::Identity,
        upstream: false,
        path: "/usr/lib/udev/rules.d/55-dm.rules".into(),
        origin: Origin::Ours,
        generation: Some(3),
        refreshes: true,
        lost_programs: Vec::new(),
        hides: Vec::new(),
    };
    Report {
        asked: "vg-home".to_string(),
        findings: vec![
            Finding::new(&reason::CLAIMED)
                .with("link", format!("/dev/{by_uuid}"))
                .with("device", "vg-home (253:3)")
                .with("other", "vg-snap (253:5)")
                .with("detail", "vg-snap (253:5) with priority 0, vg-home (253:3) with -100: the higher one wins"),
            Finding::new(&reason::IN_USE).with("detail", "mounted at /home"),
        ],
        device: Some(info),
        decision: vec!["activated by a tool", "udev would keep the flags and make the links again"],
        links: vec![
            link("mapper/vg-home", Found::Link(devno(3)), None, vec![claim(3, "vg-home", 0)]),
            link("vg/home", Found::Missing, None, Vec::new()),
            link(by_uuid, Found::Link(devno(5)), Some("vg-snap (253:5)"), vec![claim(5, "vg-snap", 0), claim(3, "vg-home", -100)]),
        ],
        holders: vec![Finding::new(&reason::MOUNTED).with("detail", "/home").with("remedy", "umount /home")],
        facts: vec![("Used by", vec!["nobody".to_string()])],
        unknown: Some("its openers"),
        ..Report::new(
            Service { udevd: Udevd::Running, busy: false, idle: true, stopped: None, completer: Completer::Absent },
            RuleFiles(vec![rule]),
        )
    }
}

fn terminal(width: Option<usize>, colour: bool) -> Terminal {
    Terminal { width, colour, unicode: false }
}

#[test]
fn an_explanation_reads_as_it_should() {
    let text = explain::text(&specimen(), terminal(Some(80), false));
    assert!(ALL.iter().all(|reason| reason.answer.is_ascii() && reason.steps.iter().all(|step| step.is_ascii())), "for any console");
    assert_eq!(text, include_str!("fixtures/explain/claimed"));
    assert!(text.lines().all(|line| line.chars().count() <= 80));
    // Both ends of a link that is right; one that is wrong stays whole.
    let mut long = specimen();
    let path = format!("disk/by-id/dm-uuid-LVM-{}", "abcdefgh".repeat(8));
    let link = |found| Link { path: path.clone(), expected: true, recorded: true, found, elsewhere: None, claims: Vec::new() };
    long.links = vec![link(Found::Link(Devno::new(253, 3).unwrap())), link(Found::Missing)];
    let shown = explain::text(&long, terminal(Some(80), false));
    assert!(shown.contains("missing    /dev/disk/by-id/dm-uuid-LVM-abcdefghabcdefghabc"), "{shown}");
    assert!(shown.contains("ok         /dev/disk/by-id/dm-uuid-LVM-abcdefgha~fghabcdefghabcdefgh\n"), "{shown}");
    let whole = explain::text(&long, terminal(None, false));
    assert_eq!(whole.matches(&path).count(), 2, "a program gets all of it: {whole}");
    for width in [20, 40] {
        let narrow = explain::text(&specimen(), terminal(Some(width), true));
        assert!(narrow.contains("\x1b[1;31m") && narrow.lines().count() > text.lines().count(), "{narrow}");
    }
}

/// One line, or an explanation, and the documented status; never a panic, whatever the kernel of this machine has.
#[test]
fn bad_words_end_in_a_line_and_a_status() {
    let run = |words: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_dmhelper")).args(words).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked") && stderr.lines().count() <= 1, "{words:?}: {stderr}");
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    for words in [
        &["explain"][..],
        &["explain", "a", "b"],
        &["doctor", "--yes"],
        &["doctor", "--json", "--fix"],
        &["doctor", "--patience", "x"],
        &["doctor", "x"],
    ] {
        assert_eq!(run(words).0, 2, "{words:?}");
    }
    for word in ["", "no-such-device-2f6b", "4095:1048575", "0x0d4d0000", "UUID=", "--", "\u{1b}[31m", "/dev/", "99999999999"] {
        let (status, stdout) = run(&["explain", "--", word]);
        assert!([0, 2, 3, 4].contains(&status), "{word:?}: {status}");
        assert!(stdout.chars().all(|c| c == '\n' || !c.is_control()), "{word:?}: {stdout:?}");
    }
}

#[test]
fn a_diagnosis_is_a_line_for_each_trouble_and_a_count() {
    let trouble = |name: &str| Trouble {
        finding: Finding::new(&reason::REMOVED)
            .with("link", format!("/dev/mapper/{name}"))
            .with("trigger", "udevadm trigger --settle /sys/dev/block/253:3"),
        device: Some(name.to_string()),
        repair: None,
    };
    let of = |names: &[&str]| Diagnosis { troubles: names.iter().map(|name| trouble(name)).collect(), devices: 9, unknown: None };
    assert_eq!(doctor::text(&of(&[]), terminal(None, false)), "all is well: 9 devices\n");
    assert_eq!(
        doctor::text(&of(&["a"]), terminal(None, false)),
        "/dev/mapper/a is missing: udev made it, and somebody has removed it since. \
         Fix: udevadm trigger --settle /sys/dev/block/253:3\n1 trouble; 9 devices\n"
    );
    let many = doctor::text(&of(&["a", "b", "c", "d", "e"]), terminal(None, false));
    assert!(many.contains("\nand 2 more of this kind; --json lists them all\n5 troubles; 9 devices\n"), "{many}");
    // One and the same thing, of the machine and of two devices.
    let stopped =
        |device: Option<&str>| Trouble { finding: Finding::new(&reason::UDEVD_STOPPED), device: device.map(str::to_string), repair: None };
    let troubles = vec![stopped(None), stopped(Some("a")), trouble("c"), stopped(Some("b"))];
    let text = doctor::text(&Diagnosis { troubles, devices: 9, unknown: None }, terminal(None, false));
    assert!(text.matches("udevd is stopped").count() == 1 && text.ends_with("\n2 troubles; 9 devices\n"), "{text}");
    let missing = |file: &str| Finding::new(&reason::RULE_MISSING).with("other", file).with("detail", "x");
    let troubles = ["a", "b", "a"].map(|file| Trouble { finding: missing(file), device: None, repair: None }).into();
    let text = doctor::text(&Diagnosis { troubles, devices: 9, unknown: None }, terminal(None, false));
    assert!(text.matches("rule file a").count() == 1 && text.ends_with("\n2 troubles; 9 devices\n"), "{text}");
    // A command that does not fit is not broken.
    let absent = Trouble { finding: Finding::new(&reason::NO_UDEVD).with("device", "a"), device: None, repair: None };
    let text = doctor::text(&Diagnosis { troubles: vec![absent], devices: 9, unknown: None }, terminal(Some(80), false));
    assert!(text.contains("\n    fix: Start it: systemctl start systemd-udevd\n"), "{text}");
    let shown = doctor::text(&of(&["a"]), terminal(Some(40), false));
    assert!(
        shown.starts_with("/dev/mapper/a is missing: udev made\n  it, and somebody has removed it since.\n    fix: udevadm"),
        "{shown}"
    );
}

#[test]
fn every_json_key_is_in_the_page_and_no_other() {
    let mut real = BTreeSet::new();
    keys(&serde_json::from_str(&explain::json(&specimen()).unwrap()).unwrap(), "", &mut real);
    assert!(real.len() > 30, "{real:?}");
    let trouble = |device: Option<&str>, repair| Trouble {
        finding: Finding::new(&reason::REMOVED)
            .with("link", "/dev/mapper/vg-home")
            .with("trigger", "udevadm trigger --settle /sys/dev/block/253:3"),
        device: device.map(str::to_string),
        repair,
    };
    let diagnosis = Diagnosis { troubles: vec![trouble(Some("vg-home (253:3)"), None)], devices: 3, unknown: None };
    let mut of_doctor = BTreeSet::new();
    keys(&serde_json::from_str(&doctor::json(&diagnosis).unwrap()).unwrap(), "", &mut of_doctor);
    let common: BTreeSet<String> = ["needs_root".to_string()].into();
    assert_eq!(items("JSON", "Va "), real.union(&of_doctor).cloned().collect());
    assert_eq!(real.intersection(&of_doctor).cloned().collect::<BTreeSet<_>>(), common);
}
