//! `dmhelper info` used wrongly, and on a kernel that may have no device-mapper: one clear line, the documented exit
//! status, and no panic. The scenario `info` shows the real thing on real devices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

struct Outcome {
    status: i32,
    stdout: String,
    stderr: String,
}

/// Runs `dmhelper info WORDS`; a run that does not end in time, or by a signal, fails the test.
fn info<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(words: I) -> Outcome {
    // Files, not pipes: however much it prints, it never waits for a reader.
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_dmhelper"))
        .arg("info")
        .args(words)
        // Both set, messages would go to the system's log: the program takes itself for a child of udevd.
        .env_remove("DEVPATH")
        .env_remove("SUBSYSTEM")
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap())
        .spawn()
        .expect("the binary runs");
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                panic!("no end within 20 seconds");
            }
            None => sleep(Duration::from_millis(5)),
        }
    };
    let (stdout, stderr) = (text(&mut out), text(&mut err));
    assert!(!stderr.contains("panicked"), "{stderr}");
    Outcome { status: status.code().unwrap_or_else(|| panic!("ended by a signal: {status}: {stderr}")), stdout, stderr }
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_string(&mut text).expect("what it prints is UTF-8");
    text
}

/// Exactly one line, of this program's, that can do nothing to a terminal.
fn assert_one_line(outcome: &Outcome) {
    let line = outcome.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("no whole line: {:?}", outcome.stderr));
    assert!(line.starts_with("dmhelper: ") && !line.chars().any(char::is_control), "{line:?}");
}

/// Whether this machine's kernel has device-mapper.
fn kernel_has_device_mapper() -> bool {
    std::fs::read_to_string("/proc/misc").unwrap_or_default().lines().any(|line| line.ends_with(" device-mapper"))
}

#[test]
fn a_device_that_does_not_exist_is_one_line_and_its_status() {
    // Without device-mapper the line is about that, with it about the device.
    let (status, words) = if kernel_has_device_mapper() { (3, "no such device-mapper device") } else { (1, "try `modprobe dm-mod`") };
    for word in ["no-such-device-2f6b", "4095:1048575", "LVM-nothing", "/dev/mapper/no-such-device-2f6b", "", "CRYPT-", "-"] {
        let outcome = info(["--", word]);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (status, ""), "{word:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{word:?}: {}", outcome.stderr);
        assert_one_line(&outcome);
    }
}

#[test]
fn a_word_full_of_quotes_newlines_and_escapes_cannot_leave_its_line() {
    let long = "x".repeat(4096);
    for word in
        ["a'b\"c", "a\nDM_NAME=evil", "\x1b[2J\x1b]0;owned\x07", "$(id)`id`", "../../etc/passwd", "\u{202e}\u{9b}31m", "%s%n", &long]
    {
        for switch in ["--name", "--uuid", "--json"] {
            let outcome = info([switch, "--", word]);
            assert!([1, 3].contains(&outcome.status), "{word:?}: {} {}", outcome.status, outcome.stderr);
            assert_one_line(&outcome);
            assert!(["", "[]\n"].contains(&outcome.stdout.as_str()), "{word:?}: {}", outcome.stdout);
        }
    }
}

#[test]
fn a_malformed_number_is_the_callers_mistake_whatever_the_system_has() {
    for word in
        ["253", "253:", ":0", "4096:0", "253:1048576", "-1:0", "0x10:0", "253:0:0", "99999999999999999999:0", "a:b", " 253:0", "253:0\n"]
    {
        let outcome = info(["--devno", "--", word]);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (2, ""), "{word:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("not MAJOR:MINOR"), "{word:?}: {}", outcome.stderr);
        assert_one_line(&outcome);
    }
}

#[test]
fn switches_that_contradict_each_other_are_refused() {
    let all: [&[&str]; 7] = [
        &["--name", "--uuid", "x"],
        &["--uuid", "--devno", "253:0"],
        &["--name", "--uuid", "--devno", "x"],
        &["--name"],
        &["--devno", "--json"],
        &["--nonsense"],
        &["-x"],
    ];
    for words in all {
        let outcome = info(words);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (2, ""), "{words:?}: {}", outcome.stderr);
        assert_one_line(&outcome);
    }
}

#[test]
fn an_argument_that_is_not_text_is_refused_and_shown_escaped() {
    let outcome = info([OsString::from_vec(b"a\xff\x1b".to_vec())]);
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("a\\xff\\x1b"), "{}", outcome.stderr);
    assert_one_line(&outcome);
}

#[test]
fn a_path_that_is_no_device_mapper_device_is_refused() {
    if kernel_has_device_mapper() {
        for (path, status) in [("/dev/null", 2), ("/", 2), ("/etc/passwd", 2), ("/no/such/path", 3), ("/etc/passwd/x", 3)] {
            let outcome = info([path]);
            assert_eq!((outcome.status, outcome.stdout.as_str()), (status, ""), "{path}: {}", outcome.stderr);
            assert_one_line(&outcome);
        }
    } else {
        // What can be said of any path is that nothing can be asked about it.
        assert_eq!(info(["/dev/null"]).status, 1);
    }
}

#[test]
fn without_a_device_all_are_shown_or_the_reason_why_not() {
    let outcome = info::<_, &str>([]);
    if kernel_has_device_mapper() {
        assert_eq!(outcome.status, 0, "{}", outcome.stderr);
        assert!(outcome.stdout == "no device-mapper devices\n" || outcome.stdout.starts_with("Name "), "{}", outcome.stdout);
        let json: Vec<serde_json::Value> = serde_json::from_str(&info(["--json"]).stdout).unwrap();
        assert_eq!(json.is_empty(), outcome.stdout.starts_with("no "));
    } else {
        assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
        assert!(outcome.stderr.contains("/dev/mapper/control"), "{}", outcome.stderr);
        assert_one_line(&outcome);
    }
}
