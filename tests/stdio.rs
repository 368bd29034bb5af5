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
