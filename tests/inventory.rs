//! `dmhelper ls`, `tree`, `deps`, `name` and `translate` used wrongly, and on a kernel that may have no device-mapper: one
//! clear line, the documented exit status, and no panic. The scenarios `ls` and `tree` show the real thing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn dmhelper(words: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_dmhelper")])
        .args(words)
        .env_remove("DEVPATH")
        .env_remove("SUBSYSTEM")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Those that read none may be gone before it is written.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn assert_one_line(words: &[&str], output: &Output) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let line = text.strip_suffix('\n').unwrap_or_else(|| panic!("{words:?}: no whole line: {text:?}"));
    assert!(line.starts_with("dmhelper: ") && !line.chars().any(char::is_control), "{words:?}: {line:?}");
}

#[test]
fn words_that_cannot_be_understood_are_one_line_and_status_2() {
    let all: [&[&str]; 11] = [
        &["ls", "-o", "nope"],
        &["ls", "-o", ""],
        &["ls", "--sort", "-"],
        &["ls", "--filter", "size>x"],
        &["ls", "--filter", "a\nb\x1b[31m=c"],
        &["ls", "vg-home"],
        &["tree", "--dot", "--json"],
        &["tree", "--reverse", "--dot"],
        &["name"],
        &["deps", "--nonsense"],
        &["translate", "file"],
    ];
    for words in all {
        let output = dmhelper(words, b"");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{words:?}");
        assert_one_line(words, &output);
    }
}

#[test]
fn a_kernel_without_device_mapper_is_one_line() {
    if std::fs::read_to_string("/proc/misc").unwrap_or_default().lines().any(|line| line.ends_with(" device-mapper")) {
        assert_eq!(dmhelper(&["ls", "--json"], b"").status.code(), Some(0));
        return;
    }
    for words in [&["ls"][..], &["ls", "--json"], &["tree"], &["tree", "--dot"], &["deps"], &["name", "dm-0"], &["deps", "/dev/null"]] {
        let output = dmhelper(words, b"");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{words:?}");
        assert_one_line(words, &output);
    }
}

#[test]
fn a_log_goes_through_whatever_there_is() {
    let log: Vec<u8> = (0..=255).cycle().take(1 << 20).chain(*b" no-dm-0 1:2:3").collect();
    let output = dmhelper(&["translate"], &log);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == log, "other bytes came out than went in");
}

#[test]
fn completion_never_fails_whatever_is_on_the_line() {
    for words in
        [&["complete"][..], &["complete", "--"], &["complete", "--", "info", "--x", "\x1b"], &["complete", "--", "nope", "nope", ""]]
    {
        let output = dmhelper(words, b"");
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{words:?}");
    }
}
