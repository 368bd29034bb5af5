//! The program starts without std's runtime (src/main.rs); what that does for standard streams must still hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::pipe;
use std::process::{Command, Stdio};

const DMHELPER: &str = env!("CARGO_BIN_EXE_dmhelper");

#[test]
fn a_reader_that_has_gone_away_ends_the_program_quietly_and_not_by_a_signal() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let output = Command::new(DMHELPER).arg("--help").stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(1), "".into()));
}

#[test]
fn closed_standard_streams_are_opened_before_any_file_can_take_their_place() {
    let script = r#"exec "$0" cookie run --without-udevd -- sh -c 'readlink /proc/$$/fd/0 /proc/$$/fd/2' <&- 2>&-"#;
    let output = Command::new("sh").args(["-c", script, DMHELPER]).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout)), (Some(0), "/dev/null\n/dev/null\n".into()));
}

#[test]
fn what_a_closed_standard_output_would_swallow_is_a_failure() {
    let told = |command: &str| {
        let script = format!(r#"exec "$0" {command} </dev/null >&-"#);
        let output = Command::new("sh").args(["-c", &script, DMHELPER]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let failed = (Some(1), "dmhelper: write standard output: Bad file number; it is closed\n".to_string());
    for command in ["cookie create", "version", "--help", "cookie flags 0x410001", "translate", "monitor", "cookie list"] {
        assert_eq!(told(command), failed, "{command}");
    }
    // A cookie without flags has nothing to print.
    assert_eq!(told("cookie flags 1"), (Some(0), String::new()));
}

#[test]
fn a_cookie_whose_number_nobody_was_told_does_not_stay() {
    // A namespace of its own, so that nobody else's cookies count.
    let script = r#""$0" cookie create >&- && exit 9; "$0" cookie create >/dev/full && exit 9; "$0" cookie list"#;
    let output = Command::new("unshare").args(["-r", "-i", "sh", "-c", script, DMHELPER]).output().unwrap();
    let list = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && list.starts_with("no cookies; 0 of "), "{list}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn without_words_the_help_is_told_on_standard_error() {
    let run = |words: &[&str]| {
        let output = Command::new(DMHELPER).args(words).env_remove("DEVPATH").output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, help, errors) = run(&["--help"]);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert!(help.contains("Commands:\n"), "{help}");
    assert_eq!(run(&[]), (Some(2), String::new(), help.clone()));
    assert_eq!(run(&["help", "help"]), (Some(0), help.clone(), String::new()), "one overview");
    assert_eq!(run(&["-h"]), (Some(0), help, String::new()));
    let of_ls = run(&["ls", "--help"]);
    assert!(of_ls.0 == Some(0) && of_ls.1.contains("--output"), "{of_ls:?}");
    assert_eq!(run(&["ls", "-h"]), of_ls);
    let foo = "dmhelper: command foo: no such command; see dmhelper --help\n";
    assert_eq!(run(&["foo"]), (Some(2), String::new(), foo.into()));
    // A quote of our own harms no terminal.
    let beside = run(&["listen", "--complete-only", "--claim-udev"]);
    assert!(beside.0 == Some(2) && beside.2.contains("are udevd's own"), "{beside:?}");
    // What people copy from `cookie list` is no DM_COOKIE.
    let (status, flags, warning) = run(&["cookie", "flags", "0x0d4d1234"]);
    assert!(status == Some(0) && flags.contains("DM_UDEV_PRIMARY_SOURCE_FLAG='1'"), "{flags}");
    assert!(warning.starts_with("dmhelper: cookie 0x0d4d1234: the number of a semaphore") && warning.lines().count() == 1, "{warning}");
    assert_eq!(
        run(&["cookie", "flags", "0x00411234"]),
        (Some(0), "DM_UDEV_DISABLE_DM_RULES_FLAG='1'\nDM_UDEV_PRIMARY_SOURCE_FLAG='1'\n".into(), String::new())
    );
    assert_eq!(
        run(&["cookie", "flags", ""]).2,
        "dmhelper: command cookie flags: cookie \"\": not a number of 32 bits (decimal, 0x hexadecimal or 0 octal); see dmhelper cookie flags --help\n"
    );
    assert_eq!(run(&["name", "--json=x"]).2, "dmhelper: command name: unrecognized argument: --json=x; see dmhelper name --help\n");
}
