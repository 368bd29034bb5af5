//! What one helper process costs: ours against dmsetup's and against a program that does nothing, spawned in turn, so
//! that whatever else the machine does falls on all alike. A table on stdout, JSON under target/.
#![allow(clippy::panic)] // A benchmark that cannot run says so and ends.

#[path = "../tests/measure/mod.rs"]
mod measure;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dmhelper::cookie::transaction::{Backend, Semaphore, Transaction};
use measure::Program;

const ROUNDS: usize = 300;
const DMSETUP: &str = "/usr/sbin/dmsetup";

/// One job of the rules, done by each side: programs in sequence.
struct Job {
    name: &'static str,
    ours: Vec<Program>,
    stock: Vec<Program>,
    /// The programs complete this cookie: announce that many events before.
    completes: Option<Semaphore>,
}

/// What one round of a job cost.
#[derive(Default)]
struct Round {
    wall: Duration,
    faults: i64,
}

/// Medians, and the counts of one run.
#[derive(Default)]
struct Figures {
    wall: Duration,
    faults: i64,
    system_calls: Option<usize>,
}

fn main() {
    if let Err(error) = run() {
        panic!("{error}");
    }
}

fn run() -> Result<(), String> {
    let ours = env!("CARGO_BIN_EXE_dmhelper");
    if !Path::new(DMSETUP).exists() {
        return Err(format!("{DMSETUP} is missing: run make setup"));
    }
    let transaction = Transaction::begin().map_err(|error| error.to_string())?;
    let cookie = transaction.cookie().to_string();
    let semaphore = Semaphore::open(transaction.cookie()).map_err(|error| error.to_string())?;
    // What udevd gives to a program that a rule runs, of an event of an LVM volume's activation.
    let environment = [
        ("ACTION", "change"),
        ("DEVPATH", "/devices/virtual/block/dm-0"),
        ("SUBSYSTEM", "block"),
        ("DM_COOKIE", "71325304"),
        ("DEVNAME", "/dev/dm-0"),
        ("MAJOR", "253"),
        ("MINOR", "0"),
        ("SEQNUM", "1234"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let program = |words: &[&str]| Program::new(words, &environment);
    let jobs = [
        Job {
            name: "decode a cookie's flags",
            ours: vec![program(&[ours, "cookie", "flags", "0x4405678"])],
            stock: vec![program(&[DMSETUP, "udevflags", "0x4405678"])],
            completes: None,
        },
        Job {
            name: "complete a cookie",
            ours: vec![program(&[ours, "cookie", "complete", &cookie])],
            stock: vec![program(&[DMSETUP, "udevcomplete", &cookie])],
            completes: Some(semaphore),
        },
        Job {
            name: "LVM event: identity, flags; complete",
            ours: vec![program(&[ours, "udev", "253:0"]), program(&[ours, "cookie", "complete", &cookie])],
            stock: vec![
                program(&[DMSETUP, "udevflags", "0x4405678"]),
                program(&[DMSETUP, "splitname", "--nameprefixes", "vg-lv"]),
                program(&[DMSETUP, "udevcomplete", &cookie]),
            ],
            completes: Some(semaphore),
        },
    ];
    let floor = empty_program(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let empty = [program(&[&floor.display().to_string()])];

    println!("{:<38} {:>9} {:>9} {:>7} {:>8}", format!("median of {ROUNDS}, microseconds"), "dmhelper", "dmsetup", "ratio", "x empty");
    let mut rows = Vec::new();
    let mut counts = Vec::new();
    for job in &jobs {
        let (mut our_costs, mut stock_costs, mut empty_costs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            our_costs.push(job.cost(&job.ours)?);
            stock_costs.push(job.cost(&job.stock)?);
            empty_costs.push(job.cost(&empty)?);
        }
        let (our, stock, nothing) =
            (job.figures(&job.ours, our_costs)?, job.figures(&job.stock, stock_costs)?, median(&empty_costs, |cost| cost.wall));
        let over = |other: Duration| our.wall.as_secs_f64() / other.as_secs_f64();
        println!(
            "{:<38} {:>9} {:>9} {:>7.2} {:>8.1}",
            job.name,
            our.wall.as_micros(),
            stock.wall.as_micros(),
            over(stock.wall),
            over(nothing)
        );
        rows.push(serde_json::json!({
            "job": job.name, "ratio": over(stock.wall), "empty_us": nothing.as_micros(),
            "dmhelper": our.json(), "dmsetup": stock.json(),
        }));
        counts.push((job.name, our, stock));
    }
    println!("\n{:<38} {:>17} {:>17}", "counts: dmhelper / dmsetup", "system calls", "minor faults");
    for (name, our, stock) in counts {
        let calls = |figures: &Figures| figures.system_calls.map_or_else(|| "no strace".to_owned(), |calls| calls.to_string());
        println!("{name:<38} {:>17} {:>17}", format!("{} / {}", calls(&our), calls(&stock)), format!("{} / {}", our.faults, stock.faults));
    }
    let size = std::fs::metadata(ours).map(|metadata| metadata.len()).map_err(|error| format!("{ours}: {error}"))?;
    println!("\nbinary: {size} bytes, all that an image needs");
    let report = serde_json::json!({ "rounds": ROUNDS, "binary_bytes": size, "jobs": rows });
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/spawn.json");
    std::fs::write(path, report.to_string()).map_err(|error| format!("{path}: {error}"))?;
    println!("written: {path}");
    Ok(())
}

impl Job {
    /// Runs the programs one after the other, as udevd would for one event.
    fn cost(&self, programs: &[Program]) -> Result<Round, String> {
        self.announce()?;
        let mut sum = Round::default();
        for program in programs {
            let begun = Instant::now();
            sum.faults += program.run()?;
            sum.wall += begun.elapsed();
        }
        Ok(sum)
    }

    fn figures(&self, programs: &[Program], costs: Vec<Round>) -> Result<Figures, String> {
        let mut calls = Some(0);
        self.announce()?;
        for program in programs {
            calls = calls.zip(program.system_calls()?).map(|(sum, calls)| sum + calls);
        }
        Ok(Figures { wall: median(&costs, |cost| cost.wall), faults: median(&costs, |cost| cost.faults), system_calls: calls })
    }

    fn announce(&self) -> Result<(), String> {
        // The set is at 2 then, and back at 1 afterwards. Programs that complete nothing leave it growing: no harm.
        self.completes.map_or(Ok(()), |semaphore| semaphore.add()).map_err(|error| error.to_string())
    }
}

impl Figures {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "wall_us": self.wall.as_micros(), "minor_faults": self.faults, "system_calls": self.system_calls,
        })
    }
}

fn median<T: Ord + Copy + Default>(costs: &[Round], of: impl Fn(&Round) -> T) -> T {
    let mut values: Vec<T> = costs.iter().map(of).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A static program that does nothing, made by the compiler at hand: what a process costs at least.
fn empty_program(directory: &Path) -> Result<PathBuf, String> {
    let source = directory.join("empty.rs");
    let program = directory.join("empty");
    let text = "#![no_std]\n#![no_main]\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n\
                core::arch::global_asm!(\".globl _start\", \"_start:\", \"mov eax, 60\", \"xor edi, edi\", \"syscall\");\n";
    std::fs::write(&source, text).map_err(|error| format!("{}: {error}", source.display()))?;
    let output = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()))
        .args(["--edition", "2021", "-C", "panic=abort", "-C", "opt-level=s", "-C", "relocation-model=static"])
        .args(["-C", "link-args=-nostartfiles -nostdlib -static", "-o"])
        .arg(&program)
        .arg(&source)
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    if output.status.success() { Ok(program) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
