//! `make demo`, a scenario that is being written, and the guests of `make bench`: its lines are shown as they come.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::ExitCode;
use std::thread::{self, sleep};
use std::time::Duration;

use super::guest::{self, Rules, Run};
use super::install;
use super::scenario::{self, Scenario, root};

/// What the scenario's lines for people begin with.
pub(crate) const MARK: &str = "show|";

/// Runs a scenario, or `tests/demo.sh`, under our rules and shows its lines. Its assertions count as in any scenario.
pub(crate) fn run(name: &str) -> ExitCode {
    match show(name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(name: &str) -> Result<(), String> {
    let scenario = find(name)?;
    println!("Building and installing into a directory of its own …");
    install::tree(scenario.layout())?;
    println!("Booting …");
    // One that says nothing to people is asked for by who writes it, and wants to see all.
    let text = fs::read_to_string(&scenario.path).map_err(|error| error.to_string())?;
    let run = watched(&scenario, if text.contains(MARK) { MARK } else { "" })?;
    println!("\nThe guest is switched off; {} checks held. Its log: {}", run.assertions, run.log_path.display());
    Ok(())
}

/// `FOLDER::NAME` as `--list` tells it, or the name alone.
fn find(name: &str) -> Result<Scenario, String> {
    if name == "demo" {
        return Scenario::read("rig", &root().join("tests/demo.sh"));
    }
    let all = [scenario::discover("parity")?, scenario::discover("ours")?].concat();
    let found = all.into_iter().find(|scenario| scenario.test_name() == name || scenario.name == name);
    found.ok_or_else(|| "no such scenario; --list tells which there are".to_owned())
}

/// The scenario under our rules, with the lines shown that begin with `mark`, while it runs. One that asserted nothing
/// has failed.
pub(crate) fn watched(scenario: &Scenario, mark: &str) -> Result<Run, String> {
    if let Some(reason) = scenario.missing() {
        return Err(format!("cannot run: {reason}; `make setup` installs what is missing"));
    }
    let log = guest::log_path(scenario, Rules::Ours)?;
    // A log of an earlier run must not be shown as this one's.
    let _ = fs::remove_file(&log);
    thread::scope(|scope| {
        let guest = scope.spawn(|| guest::run(scenario, Rules::Ours));
        let mut shown = 0;
        while !guest.is_finished() {
            shown = print_from(&log, shown, mark);
            sleep(Duration::from_millis(100)); // The guest has its own deadline.
        }
        print_from(&log, shown, mark);
        let run = guest.join().map_err(|_| "the guest's thread panicked".to_owned())??;
        if run.assertions == 0 { Err("the scenario asserted nothing".to_owned()) } else { Ok(run) }
    })
}

/// Prints the marked lines of the log from the offset on; returns the end of the last complete line.
fn print_from(log: &Path, offset: u64, mark: &str) -> u64 {
    // A guest's console may hold any bytes.
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.read_to_end(&mut bytes)
    });
    let (Ok(_), Some(end)) = (read, bytes.iter().rposition(|byte| *byte == b'\n')) else { return offset };
    for line in String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).lines() {
        if let Some(shown) = line.strip_prefix(mark) {
            println!("{}", shown.strip_prefix(' ').unwrap_or(shown).trim_end());
        }
    }
    offset + end as u64 + 1
}
