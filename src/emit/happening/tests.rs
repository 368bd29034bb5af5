use super::*;
use crate::cookie::Cookie;
use crate::devno::Devno;
use crate::name::DmName;
use std::time::SystemTime;

fn report(what: What) -> Report {
    Report {
        time: UNIX_EPOCH + Duration::from_micros(3_661_012_345),
        origin: Origin::Event(Source::Kernel),
        action: Some(b"change".to_vec()),
        seqnum: Some(1204),
        devno: Devno::new(253, 3),
        diskseq: Some(9),
        name: DmName::new("vg-home").ok(),
        uuid: DmUuid::new("LVM-x").unwrap(),
        what,
        suspended: false,
        cookie: Some(Cookie::new(0x0060_1234)),
        latency: None,
        repeats: false,
    }
}

fn line(report: &Report) -> String {
    Lines::new(false).line(report, UtcOffset::UTC)
}

#[test]
fn a_line_tells_when_who_what_and_for_whom() {
    assert_eq!(line(&report(What::Activated)), "01:01:01.012 kernel change vg-home      253:3   activated, cookie 0x0d4d1234\n");
    let flagged = Report { cookie: Some(Cookie::new(0x0164_1234)), ..report(What::Removed) };
    assert!(line(&flagged).ends_with("removed, cookie 0x0d4d1234\n"), "its flags mean nothing any more");
    let flagged = Report { what: What::Activated, ..flagged };
    assert!(line(&flagged).ends_with(", no /dev/disk links: the disk rules are off, not to be scanned: LVM has not wiped it yet\n"));
    let udev = Report {
        origin: Origin::Event(Source::Udev),
        latency: Some(Duration::from_micros(12_345)),
        repeats: true,
        ..report(What::Activated)
    };
    assert_eq!(line(&udev), "01:01:01.012 udev   change vg-home      253:3   activated, 12 ms after the kernel\n");
    let other = Report { cookie: None, name: None, suspended: true, ..report(What::Resumed) };
    assert_eq!(line(&other), "01:01:01.012 kernel change -            253:3   resumed, suspended\n");
}

#[test]
fn columns_grow_with_the_names_and_stay() {
    let mut lines = Lines::new(false);
    let long = Report { name: DmName::new("a-rather-long-name").ok(), cookie: None, ..report(What::Resumed) };
    let short = Report { cookie: None, ..report(What::Resumed) };
    let column = |line: String| line.find("resumed").unwrap();
    let (first, second, third) =
        (lines.line(&short, UtcOffset::UTC), lines.line(&long, UtcOffset::UTC), lines.line(&short, UtcOffset::UTC));
    assert_eq!((column(first), column(second), column(third)), (48, 54, 54));
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let report = report(What::PathFailed(Path { number: b"8:16".to_vec(), left: Some(3) }));
    let coloured = Lines::new(true).line(&report, UtcOffset::UTC);
    let plain = [BOLD, RED, RESET].iter().fold(coloured.clone(), |text, code| text.replace(code, ""));
    assert_eq!(plain, line(&report));
    assert!(coloured.contains("\x1b[31mpath 8:16 failed, 3 left"));
}

#[test]
fn a_name_made_to_do_harm_does_none() {
    let evil = Report { name: DmName::new(&b"a\n\x1b[31m\xff"[..]).ok(), ..report(What::Removed) };
    assert!(line(&evil).contains("a\\x0a\\x1b[31m\\xff"));
    assert!(json(&evil).unwrap().trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
}

#[test]
fn json_is_one_line_with_the_same_keys_always() {
    let renamed = What::Renamed { from: DmName::new("a").unwrap(), to: DmName::new("vg-home").unwrap() };
    let keys = |report: &Report| {
        let text = json(report).unwrap();
        assert!(text.ends_with('\n') && text.trim_end().lines().count() == 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        (value.as_object().unwrap().keys().cloned().collect::<Vec<_>>(), value)
    };
    let (first, value) = keys(&report(renamed));
    assert_eq!((value["event"].as_str(), value["renamed_from"].as_str()), (Some("renamed"), Some("a")));
    assert_eq!((value["cookie"].as_str(), value["seqnum"].as_u64()), (Some("0x0d4d1234"), Some(1204)));
    assert_eq!(value["time_usec"], 3_661_012_345_u64);
    let (second, value) = keys(&Report::of_rescan(SystemTime::now(), None, What::Overrun(Some(7))));
    assert_eq!(first, second);
    assert_eq!((value["source"].as_str(), value["lost"].as_u64(), value["devno"].is_null()), (Some("rescan"), Some(7), true));
}
