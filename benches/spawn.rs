//! What one helper process costs: ours against dmsetup's, spawned in turn, so that whatever else the machine does
//! falls on both sides alike. Medians in microseconds, and the ratio; a table on stdout, JSON under target/.
#![allow(clippy::panic, clippy::indexing_slicing)] // A benchmark that cannot run says so and ends.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 300;

/// One job of the rules, done by each side: programs in sequence, with their arguments.
struct Job {
    name: &'static str,
    ours: Vec<Vec<&'static str>>,
    stock: Vec<Vec<&'static str>>,
}

fn main() {
    let ours = env!("CARGO_BIN_EXE_dmhelper");
    let dmsetup = "/usr/sbin/dmsetup";
    assert!(std::path::Path::new(dmsetup).exists(), "{dmsetup} is missing: run make setup");
    let jobs = [
        Job {
            name: "decode a cookie's flags",
            ours: vec![vec![ours, "cookie", "flags", "0x4105678"]],
            stock: vec![vec![dmsetup, "udevflags", "0x4105678"]],
        },
        Job {
            name: "LVM change event: identity and flags",
            ours: vec![vec![ours, "udev", "253:0"]],
            stock: vec![vec![dmsetup, "udevflags", "0x4405678"], vec![dmsetup, "splitname", "--nameprefixes", "vg-lv"]],
        },
    ];

    println!("{:<40} {:>9} {:>9} {:>7}", "job (median of 300, microseconds)", "dmhelper", "dmsetup", "ratio");
    let mut rows = Vec::new();
    for job in &jobs {
        let (mut our_times, mut stock_times) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            our_times.push(time(&job.ours));
            stock_times.push(time(&job.stock));
        }
        let (our, stock) = (median(&mut our_times), median(&mut stock_times));
        let ratio = our.as_secs_f64() / stock.as_secs_f64();
        println!("{:<40} {:>9} {:>9} {ratio:>7.2}", job.name, our.as_micros(), stock.as_micros());
        rows.push(serde_json::json!({ "job": job.name, "dmhelper_us": our.as_micros(), "dmsetup_us": stock.as_micros(), "ratio": ratio }));
    }
    let size = std::fs::metadata(ours).map(|m| m.len()).unwrap_or_default();
    println!("binary: {size} bytes");
    let report = serde_json::json!({ "rounds": ROUNDS, "binary_bytes": size, "jobs": rows });
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/spawn.json");
    std::fs::write(path, report.to_string()).unwrap_or_else(|error| panic!("{path}: {error}"));
    println!("written: {path}");
}

/// Runs the programs one after the other, as udevd would for an event with a cookie.
fn time(programs: &[Vec<&str>]) -> Duration {
    let started = Instant::now();
    for program in programs {
        let [name, arguments @ ..] = program.as_slice() else { continue };
        let status = Command::new(name)
            .args(arguments)
            .env_clear()
            .envs([("ACTION", "change"), ("DM_COOKIE", "71325304"), ("DEVPATH", "/devices/virtual/block/dm-0")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(status.success(), "{program:?}: {status}");
    }
    started.elapsed()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
