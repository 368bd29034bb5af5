//! The rig's own tests: that its comparison sees what it must see, and that it can fail.

use std::os::unix::fs::PermissionsExt;
use std::slice::from_ref;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use super::allowed::Allowed;
use super::guest::{self, Rules};
use super::judge;
use super::parity::{self, Difference};
use super::scenario::{self, Scenario, parse_header};
use super::snapshot;
use super::stanzas::matches;

/// The scenario that the deliberately broken rules are tried with; it makes a file system.
const PROBE: &str = "filesystem_links";

pub(crate) fn trials(parity: &[Scenario]) -> Vec<Trial> {
    let mut trials = vec![
        test("a_record_is_parsed_and_made_comparable", a_record_is_parsed_and_made_comparable),
        test("a_truncated_record_is_refused", a_truncated_record_is_refused),
        test("a_changed_property_is_a_difference", a_changed_property_is_a_difference),
        test("empty_runs_are_refused", empty_runs_are_refused),
        test("an_allowance_needs_its_reason_and_its_direction", an_allowance_needs_its_reason_and_its_direction),
        test("patterns_match_whole_texts", patterns_match_whole_texts),
        test("a_misspelt_header_is_refused", a_misspelt_header_is_refused),
        test("without_udevd_links_nodes_and_our_properties_are_compared", without_udevd_links_nodes_and_our_properties_are_compared),
        test("a_listener_that_did_nothing_or_complains_is_refused", a_listener_that_did_nothing_or_complains_is_refused),
    ];
    let probe = parity.iter().find(|scenario| scenario.name == PROBE).cloned();
    let missing = probe.as_ref().and_then(Scenario::missing);
    let kind = missing.as_ref().map_or_else(String::new, |reason| format!("skipped: {reason}"));
    trials.push(
        Trial::test("rig::rules_that_lose_a_link_are_caught", move || {
            let probe = probe.ok_or_else(|| Failed::from(format!("no scenario {PROBE}")))?;
            broken_rules_are_caught(&probe).map_err(Failed::from)
        })
        .with_kind(kind)
        .with_ignored_flag(missing.is_some()),
    );
    let bad: [(&str, &str, &str); 5] = [
        ("a_scenario_that_hangs_is_ended_and_explained", "# timeout: 5\nsleep 1000\n", "did not end within"),
        ("a_scenario_that_leaves_early_is_refused", "assert_eq 1 1\nexit 0\n", "died before its end"),
        ("a_scenario_that_asserts_nothing_is_refused", "step nothing\n", "asserted nothing"),
        ("a_failing_command_fails_its_scenario", "assert_eq 1 1\nfalse\n", "command failed"),
        ("a_panic_of_the_guest_is_reported", "assert_eq 1 1\necho c >/proc/sysrq-trigger\n", "panicked"),
    ];
    trials.extend(bad.map(|(name, text, complaint)| refused(name, text, complaint)));
    trials.push(guest_test("a_guest_that_outlives_its_deadline_leaves_no_process", late_guests_leave_no_process));
    trials
}

/// A scenario that must fail, on a real guest, and why.
fn refused(name: &'static str, text: &'static str, complaint: &'static str) -> Trial {
    let body = move || {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = directory.path().join(format!("{name}.sh"));
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        let report = judge::stock_alone(&Scenario::read("self", &path)?).err().ok_or("it passed")?;
        ensure(report.contains(complaint), &format!("failed for another reason: {report}"))
    };
    guest_test(name, body)
}

fn guest_test(name: &str, body: impl FnOnce() -> Result<(), String> + Send + 'static) -> Trial {
    let missing = scenario::missing_to_boot();
    let kind = missing.as_ref().map_or_else(String::new, |reason| format!("skipped: {reason}"));
    Trial::test(format!("rig::{name}"), move || body().map_err(Failed::from)).with_kind(kind).with_ignored_flag(missing.is_some())
}

/// Killed by the host: the guest's kernel, its helpers and its processes.
fn late_guests_leave_no_process() -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mark = format!("uml_dir={}", directory.path().display());
    let init = directory.path().join("init");
    std::fs::write(&init, "#!/bin/sh\nexec sleep 1000\n").map_err(|error| error.to_string())?;
    std::fs::set_permissions(&init, std::fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
    let init = format!("init={}", init.display());
    let arguments = ["mem=64M", "rootfstype=hostfs", "rootflags=/", "ro", &init, &mark].map(str::to_owned);
    let report = guest::boot(&arguments, &directory.path().join("log"), Duration::from_secs(4)).err().ok_or("it ended by itself")?;
    ensure(report.contains("was killed"), &format!("ended for another reason: {report}"))?;
    let is_of_the_guest = |process: std::fs::DirEntry| {
        std::fs::read(process.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&mark))
    };
    // All are killed by now, but a process needs a moment to die.
    let deadline = Instant::now() + Duration::from_secs(5);
    while std::fs::read_dir("/proc").map_err(|error| error.to_string())?.flatten().any(is_of_the_guest) {
        ensure(Instant::now() < deadline, "processes of the guest are left")?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn test(name: &str, body: fn() -> Result<(), String>) -> Trial {
    Trial::test(format!("rig::{name}"), move || body().map_err(Failed::from))
}

fn ensure(condition: bool, message: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(message.to_owned()) }
}

/// The stock rules without their by-uuid links, on the real kernel: the comparison must name exactly such links.
fn broken_rules_are_caught(probe: &Scenario) -> Result<(), String> {
    // That scenario asserts its links itself, so under broken rules it must fail …
    let failed = guest::run(probe, Rules::Broken).err().ok_or("a scenario's own assertion missed a lost link")?;
    ensure(failed.contains("/dev/disk/by-uuid/"), &format!("failed for another reason: {failed}"))?;
    // … and without its assertions the comparison must see it.
    let text = std::fs::read_to_string(&probe.path).map_err(|error| error.to_string())?;
    let unasserting: String =
        text.lines().filter(|line| !line.trim_start().starts_with("assert_")).map(|line| format!("{line}\n")).collect();
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut silent = probe.clone();
    silent.name = format!("{PROBE}_without_assertions");
    silent.path = directory.path().join("scenario.sh");
    std::fs::write(&silent.path, unasserting).map_err(|error| error.to_string())?;
    let stock = guest::run(&silent, Rules::Stock)?;
    let broken = guest::run(&silent, Rules::Broken)?;
    let differences = parity::differences(&stock.steps, &broken.steps)?;
    ensure(!differences.is_empty(), "the comparison missed a lost link")?;
    let expected = |difference: &Difference| difference.fact.1.contains("disk/by-uuid/") && difference.ours.is_none();
    ensure(differences.iter().all(expected), &format!("unexpected:\n{}", parity::report(&differences, ["stock", "broken"])))
}

/// A record with `|` in place of NUL.
const RECORD: &str = "step|made|device|dm-3|254:3|vg-lv|\
    LVM-aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd|0|I:123\nE:DM_NAME=vg-lv\n\
    E:DM_UUID=LVM-aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd\nS:vg/lv\nL:-100\nG:systemd\nV:1\n|\
    link|/dev/vg/lv|../dm-3|link|/dev/old|dm-9|link|/dev/fd|/proc/self/fd|watch|b254:3|watch|b7:0|";

fn parse(record: &str) -> Result<snapshot::Snapshot, String> {
    snapshot::parse(record.replace('|', "\0").as_bytes())
}

fn a_record_is_parsed_and_made_comparable() -> Result<(), String> {
    let snapshot = parse(RECORD)?;
    let facts = snapshot.devices.get("vg-lv").ok_or("no device vg-lv")?;
    let fact = |kind, name: &str| facts.get(&(kind, name.to_owned())).map(String::as_str);
    ensure(fact("property", "DM_UUID") == Some("LVM-<group of vg-lv><volume of vg-lv>"), "LVM ids are not replaced")?;
    ensure(fact("symlink", "/dev/vg/lv") == Some("../<node>"), "the real link is missing")?;
    ensure(fact("link", "vg/lv") == Some("yes"), "the recorded link is missing")?;
    ensure(fact("link priority", "") == Some("-100"), "the priority is missing")?;
    ensure(fact("watch", "") == Some("yes"), "the watch is missing")?;
    ensure(!facts.values().any(|value| value.contains("123")), "the time is left in")?;
    let strays = snapshot.devices.get(snapshot::NO_DEVICE).ok_or("the dangling link is missing")?;
    ensure(strays.len() == 1, "other links than those of DM devices count")?;
    let unit = parse(&(RECORD.to_owned() + "unit|dev-vg-lv.device|active|"))?;
    ensure(parity::differences(from_ref(&snapshot), from_ref(&unit))?.len() == 1, "a unit of systemd's is not noticed")
}

fn a_truncated_record_is_refused() -> Result<(), String> {
    let cut = RECORD.get(..60).ok_or("short record")?;
    ensure(parse(cut).is_err(), "a record that breaks off was taken for whole")
}

fn a_changed_property_is_a_difference() -> Result<(), String> {
    let one = parse(RECORD)?;
    let other = parse(&RECORD.replace("L:-100", "L:50"))?;
    ensure(parity::differences(from_ref(&one), from_ref(&one))?.is_empty(), "equal runs differ")?;
    let found = parity::differences(&[one], &[other])?;
    ensure(found.len() == 1 && found.iter().all(|one| one.fact.0 == "link priority"), "the priority was not compared")
}

fn without_udevd_links_nodes_and_our_properties_are_compared() -> Result<(), String> {
    let differ = |udevd: &str, listen: &str| parity::differences_without_udevd(from_ref(&parse(udevd)?), from_ref(&parse(listen)?));
    let only_udevd = RECORD.replace("E:DM_NAME", "E:SYSTEMD_READY=1\nE:DM_NAME") + "link|/dev/block/254:3|../dm-3|";
    let without_watch = RECORD.replace("watch|b254:3|", "");
    ensure(differ(&only_udevd, &without_watch)?.is_empty(), "what only udevd can have is compared")?;
    ensure(differ(RECORD, &only_udevd)?.len() == 1, "a link that nobody should have made is not noticed")?;
    ensure(differ(&(RECORD.to_owned() + "link|/dev/more|dm-3|"), RECORD)?.len() == 1, "a missing link is not noticed")?;
    ensure(differ(RECORD, &RECORD.replace("L:-100", "L:0"))?.len() == 1, "another priority is not noticed")?;
    ensure(differ(RECORD, &RECORD.replace("DM_NAME=vg", "DM_NAME=x"))?.len() == 1, "another property is not noticed")?;
    ensure(differ(RECORD, &(RECORD.to_owned() + "node|/dev/mapper/vg-lv|"))?.len() == 1, "a tool's own node is not noticed")
}

fn a_listener_that_did_nothing_or_complains_is_refused() -> Result<(), String> {
    let says = |said: &str| judge::expect_clean_listener(said).err();
    let good = "dmhelper: listen: 9 events, 4 cookies completed, 0 datagrams dropped, 0 times overrun\n";
    ensure(says(good).is_none(), "a good one is refused")?;
    let bad = [String::new(), format!("{good}more\n"), good.replace("4 cookies", "0 cookies"), good.replace("0 datagrams", "1 datagrams")];
    ensure(bad.iter().all(|said| says(said).is_some()), "a bad one passes")
}

fn empty_runs_are_refused() -> Result<(), String> {
    let empty = parse("step|nothing|")?;
    ensure(parity::differences(from_ref(&empty), from_ref(&empty)).is_err(), "nothing was found equal to nothing")
}

fn an_allowance_needs_its_reason_and_its_direction() -> Result<(), String> {
    ensure(Allowed::parse("kind: property\nname: A\nstock: (none)\nours: *\n", "3").is_err(), "no reason was needed")?;
    let text = "kind: property\nname: A\nstock: (none)\nours: *\nreason: because of a good reason\n\n\
        kind: property\nname: A\nstock: 1\nours: *\ngeneration: 2\nreason: because of the older rules\n";
    let allowed = Allowed::parse(text, "3")?;
    let all = ["s".to_owned(), "t".to_owned()];
    let difference = |stock: Option<&str>, ours: Option<&str>| Difference {
        step: "1".to_owned(),
        device: "d".to_owned(),
        fact: ("property", "A".to_owned()),
        stock: stock.map(str::to_owned),
        ours: ours.map(str::to_owned),
    };
    let refused = |stock, ours| !allowed.others("s", vec![difference(stock, ours)]).is_empty();
    ensure(refused(Some("1"), None), "the wrong direction was allowed")?;
    ensure(refused(Some("1"), Some("2")), "what is allowed of other stock rules was allowed")?;
    ensure(allowed.unused(&all).is_empty(), "an entry counts as unused before all scenarios were compared")?;
    ensure(allowed.unused(all.get(..1).unwrap_or_default()).len() == 1, "an unused entry goes unnoticed")?;
    ensure(!refused(None, Some("1")), "the difference was not allowed")?;
    ensure(allowed.unused(all.get(..1).unwrap_or_default()).is_empty(), "a used entry counts as unused")
}

fn patterns_match_whole_texts() -> Result<(), String> {
    let yes = [("a*c", "abc"), ("*", ""), ("a|b", "b"), ("DM_*_FLAG*", "DM_X_FLAG7"), ("x", "x")];
    let no = [("a*c", "abcd"), ("a", "ab"), ("*b*", "xyz"), ("a|b", "a|b"), ("ab*ab", "ab")];
    ensure(yes.iter().all(|(pattern, text)| matches(pattern, text)), "a match was missed")?;
    ensure(!no.iter().any(|(pattern, text)| matches(pattern, text)), "something matched that must not")
}

fn a_misspelt_header_is_refused() -> Result<(), String> {
    ensure(parse_header("# need: lvm\n").is_err(), "`need` was taken for prose")?;
    ensure(parse_header("# timeout: soon\n").is_err(), "`soon` was taken for a time")?;
    ensure(parse_header("# listen: no\n").is_err(), "`no` needs a reason")?;
    let header = parse_header("# Prose: it may have colons.\n# needs: lvm\n\n# layout: upstream\n")?;
    ensure(header.len() == 1, "the header does not end with the leading comment")
}
