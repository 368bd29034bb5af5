//! A guard against growth: what the programs of the rules cost, in counts that repeat, never in time. Of the release build, which the
//! rig installs as well; the identity of a real device is counted in the guest, by tests/scenarios/ours/cost.sh.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod measure;

use std::path::PathBuf;
use std::process::Command;

use dmhelper::cookie::transaction::{Backend, Semaphore, Transaction};
use measure::Program;

/// At most this many system calls, execve and exit among them.
const SYSTEM_CALLS: usize = 4;
/// At most this many minor page faults. How the kernel maps files around a fault moves the number by a few.
const FAULTS: i64 = 9;

fn release_binary() -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    let built = Command::new("make").args(["-C", root, "build"]).env_remove("MAKEFLAGS").env_remove("CARGO_TARGET_DIR").output().unwrap();
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
    let program = Program::new(&[binary.to_str().unwrap(), "cookie", "complete", &cookie], &environment);

    semaphore.add().unwrap();
    program.run().unwrap(); // Reads the file into the page cache.
    semaphore.add().unwrap();
    let faults = program.run().unwrap();
    assert!(faults <= FAULTS, "{} minor page faults, at most {FAULTS}", faults);

    semaphore.add().unwrap();
    let calls = program.system_calls().unwrap().expect("strace is missing: run make setup");
    assert!(calls <= SYSTEM_CALLS, "{calls} system calls, at most {SYSTEM_CALLS}");
    assert_eq!(semaphore.missing().unwrap(), 0, "all three were completed");
}
