//! `make demo`, and the guests of `make bench`: one scenario whose own lines are shown as they come.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::ExitCode;
use std::thread::{self, sleep};
use std::time::Duration;

use super::guest::{self, Rules, Run};
use super::install;
use super::scenario::{Scenario, root};

/// What the scenario's lines for people begin with.
const MARK: &str = "show|";

/// Runs `tests/NAME.sh` under our rules and shows its lines. Its assertions count as in any scenario.
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
    let scenario = Scenario::read("rig", &root().join(format!("tests/{name}.sh")))?;
    println!("Building and installing into a directory of its own …");
    install::tree(scenario.layout())?;
    println!("Booting …");
    let run = watched(&scenario)?;
    println!("\nThe guest is switched off; {} checks held. Its log: {}", run.assertions, run.log_path.display());
    Ok(())
}

/// The scenario under our rules, its lines shown while it runs. One that asserted nothing has failed.
pub(crate) fn watched(scenario: &Scenario) -> Result<Run, String> {
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
            shown = print_from(&log, shown);
            sleep(Duration::from_millis(100)); // The guest has its own deadline.
        }
        print_from(&log, shown);
        let run = guest.join().map_err(|_| "the guest's thread panicked".to_owned())??;
        if run.assertions == 0 { Err("the scenario asserted nothing".to_owned()) } else { Ok(run) }
    })
}

/// Prints the marked lines of the log from the offset on; returns the end of the last complete line.
fn print_from(log: &Path, offset: u64) -> u64 {
    let mut text = String::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.read_to_string(&mut text)
    });
    let (Ok(_), Some(end)) = (read, text.rfind('\n')) else { return offset };
    for line in text.get(..end).unwrap_or_default().lines() {
        if let Some(shown) = line.strip_prefix(MARK) {
            println!("{}", shown.strip_prefix(' ').unwrap_or(shown).trim_end());
        }
    }
    offset + end as u64 + 1
}
