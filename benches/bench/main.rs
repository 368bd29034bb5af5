//! `make bench`: what it costs, ours and the stock tools in turn, on this machine and in guests of the rig. Tables on
//! stdout; the same as JSON, with all statistics, in target/bench. tests/README.md tells how to run parts of it.

mod guests;
mod icount;
mod image;
mod launch;
#[allow(dead_code, reason = "shared with tests/cost.rs, which uses the rest")]
#[path = "../../tests/measure/mod.rs"]
mod measure;
mod report;
mod resume;
#[allow(dead_code, reason = "shared with tests/rig.rs, which uses the rest")]
#[path = "../../tests/rig"]
mod rig {
    pub(crate) mod guest;
    pub(crate) mod guest_root;
    pub(crate) mod install;
    pub(crate) mod scenario;
    pub(crate) mod show;
    pub(crate) mod snapshot;
}
mod spawn;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use launch::Launcher;
use nix::sched::{CloneFlags, unshare};
use report::Samples;

/// The parts, in the order in which they are begun.
const PARTS: &[&str] = &["spawn", "event", "scale", "listener", "completer"];
/// One that runs only when it is asked for: `make bench-icount`.
const ICOUNT: &str = "icount";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect(); // cargo's own word
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--in-guest", words @ ..] => in_guest(words),
        parts => run(parts),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(parts: &[&str]) -> Result<(), String> {
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part) && **part != ICOUNT) {
        return Err(format!("`{unknown}` is neither {ICOUNT} nor one of {PARTS:?}"));
    }
    let parts = if parts.is_empty() { PARTS } else { parts };
    let directory = rig::scenario::root().join("target/bench");
    let work = directory.join("work"); // The JSON files have the folder above for themselves.
    fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    println!("building and installing into a directory of its own");
    let launcher = Launcher::build(&work)?;
    rig::install::tree("debian")?;
    let begun = Instant::now();
    let mut written = Vec::new();
    if parts.contains(&"spawn") {
        written.push(spawn_here(&launcher, &directory)?);
    }
    written.extend(guests::run(parts, &launcher, &work, &directory)?);
    if parts.contains(&ICOUNT) {
        written.push(icount::run(env!("CARGO_BIN_EXE_dmhelper"), &launcher, &work, &directory)?);
    }
    println!("\nwritten, with all statistics: {}", directory.display());
    for path in written {
        println!("  {}", path.file_name().unwrap_or_default().display());
    }
    println!("measured in {} seconds", begun.elapsed().as_secs());
    Ok(())
}

fn spawn_here(launcher: &Launcher, directory: &Path) -> Result<PathBuf, String> {
    // Of its own where that is permitted: whichever way this ends, no semaphore is left.
    let _ = unshare(CloneFlags::CLONE_NEWIPC);
    let program = env!("CARGO_BIN_EXE_dmhelper");
    let event = spawn::Event { table: spawn::HERE, program, devno: "253:0", exists: false, traced: true, rounds: 200 };
    let mut samples = Samples::default();
    spawn::measure(&event, launcher, &mut samples)?;
    spawn::sizes(program, launcher, &mut samples)?;
    report::publish("spawn", "Processes, on this machine", spawn::HERE_TABLES, &samples, directory)
}

/// What a scenario asks of this same program, inside a guest. Prints samples.
fn in_guest(words: &[&str]) -> Result<(), String> {
    let number = |text: &str| text.parse::<usize>().map_err(|error| format!("{text}: {error}"));
    let mut samples = Samples::default();
    match words {
        ["spawn", devno, table, rounds] => {
            let (program, traced) = ("/usr/sbin/dmhelper", *table == spawn::THERE);
            let event = spawn::Event { table, program, devno, exists: true, traced, rounds: number(rounds)? };
            spawn::measure(&event, &Launcher::in_directory(Path::new("/rig")), &mut samples)?;
        }
        ["resume", device, count, table, row, column] => {
            for seconds in resume::measure(device, number(count)?)? {
                samples.add(table, row, column, seconds * 1e6);
            }
        }
        ["look", table, row, column, command @ ..] => {
            // 7: what `doctor` says where it finds something.
            let cost = Launcher::in_directory(Path::new("/rig")).run_to(&measure::Program::new(command, &[]), &[0, 7])?;
            samples.add(table, row, column, cost.nanoseconds as f64 / 1e6);
        }
        other => return Err(format!("{other:?}: no such measurement")),
    }
    print!("{}", samples.lines());
    Ok(())
}
