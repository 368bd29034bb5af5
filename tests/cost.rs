//! A guard against growth: what the programs of the rules cost, in counts that repeat, never in time. Of the release build, which the
//! rig installs as well; the identity of a real device is counted in the guest, by tests/scenarios/ours/cost.sh.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod measure;

use std::path::PathBuf;
use std::process::Command;

use dmhelper::cookie::transaction::{Backend, Semaphore, Transaction};
use measure::Program;

/// At most so many system calls (execve and exit among them), and so many minor page faults. How the kernel maps files
/// around a fault moves that number by a few.
struct Limits {
    system_calls: usize,
    faults: i64,
}

/// Before the C library starts, where that is built (build.rs).
const EARLY: Limits = Limits { system_calls: 4, faults: 9 };
/// The whole program, which does what cannot be done early: with `--`, nothing can.
const WHOLE: Limits = Limits { system_calls: 17, faults: 48 };

fn release_binary() -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut make = Command::new("make");
    make.args(["-C", root, "build"]).env_remove("MAKEFLAGS").env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    let built = make.output().unwrap();
    assert!(built.status.success(), "make build: {}", String::from_utf8_lossy(&built.stderr));
    let line = String::from_utf8_lossy(&built.stdout).lines().find_map(|line| line.strip_prefix("built ").map(str::to_owned));
    PathBuf::from(root).join(line.expect("make build names the binary"))
}

#[test]
fn a_completion_costs_no_more_system_calls_and_faults_than_it_did() {
    let binary = release_binary();
    let transaction = Transaction::begin().unwrap();
    let semaphore = Semaphore::open(transaction.cookie()).unwrap();
    let environment = [("ACTION", "change"), ("DEVPATH", "/devices/virtual/block/dm-0"), ("SUBSYSTEM", "block")];
    let environment = environment.map(|(name, value)| (name, value.to_owned()));
    let cookie = transaction.cookie().to_string();
    let as_built = if cfg!(target_arch = "x86_64") { EARLY } else { WHOLE };
    for (words, limits) in [(&["cookie", "complete"][..], as_built), (&["cookie", "complete", "--"], WHOLE)] {
        let words: Vec<&str> = [binary.to_str().unwrap()].into_iter().chain(words.iter().copied()).chain([cookie.as_str()]).collect();
        let program = Program::new(&words, &environment);
        semaphore.add().unwrap();
        program.run().unwrap(); // Reads the file into the page cache.
        semaphore.add().unwrap();
        let faults = program.run().unwrap();
        assert!(faults <= limits.faults, "{words:?}: {faults} minor page faults, at most {}", limits.faults);

        semaphore.add().unwrap();
        let calls = program.system_calls().unwrap().expect("strace is missing: run make setup");
        assert!(calls <= limits.system_calls, "{words:?}: {calls} system calls, at most {}", limits.system_calls);
        assert_eq!(semaphore.missing().unwrap(), 0, "all three were completed");
    }
}
