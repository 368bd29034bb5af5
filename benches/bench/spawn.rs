//! What the processes of one event cost: ours against dmsetup's and against a program that does nothing, spawned in
//! turn, so that whatever else the machine does falls on all alike. On this machine, and on a real device in a guest.

use std::fs;
use std::path::Path;

use dmhelper::cookie::transaction::{Backend, Semaphore, Transaction};

use crate::image::libraries;
use crate::launch::{Cost, Launcher};
use crate::measure::Program;
use crate::report::{Column, Samples, Table, Value};

const DMSETUP: &str = "/usr/sbin/dmsetup";

/// Of which device the programs speak.
pub(crate) struct Event<'a> {
    pub(crate) table: &'a str,
    pub(crate) program: &'a str,
    pub(crate) devno: &'a str,
    /// A device-mapper device on a machine with udevd: without, libdevmapper leaves every cookie alone.
    pub(crate) exists: bool,
    /// Whether system calls are counted as well, by strace.
    pub(crate) traced: bool,
    pub(crate) rounds: usize,
}

/// One job of the rules, done by each side: programs in sequence.
struct Job {
    name: &'static str,
    ours: Vec<Program>,
    stock: Vec<Program>,
    completes: bool,
}

/// Measures every job of an event of an LVM volume that a tool has activated.
pub(crate) fn measure(event: &Event<'_>, launcher: &Launcher, samples: &mut Samples) -> Result<(), String> {
    let told = |error: dmhelper::error::Error| error.to_string();
    let transaction = Transaction::begin().map_err(told)?; // Removed at the end, whichever it is.
    let semaphore = Semaphore::open(transaction.cookie()).map_err(told)?;
    let jobs = jobs(event, &transaction.cookie().to_string());
    let empty = Program::new(&[&launcher.empty.display().to_string()], &[]);
    let settle_up = |job: &Job, side: &str| {
        let missing = semaphore.missing().map_err(told)?;
        if missing > 0 && (event.exists || side != "dmsetup") {
            return Err(format!("{}: {side} has not completed the cookie", job.name));
        }
        (0..missing).try_for_each(|_| semaphore.complete().map_err(told))
    };
    for job in &jobs {
        let announce = || if job.completes { semaphore.add().map_err(told) } else { Ok(()) };
        // Of the first round nothing is kept: it reads the files.
        for round in 0..=event.rounds {
            for (side, programs) in [("dmhelper", &job.ours), ("dmsetup", &job.stock), ("empty", &vec![empty.clone()])] {
                let completes = side != "empty";
                if completes {
                    announce()?;
                }
                let mut cost = Cost::default();
                for program in programs {
                    cost += launcher.run(program)?;
                }
                if round > 0 {
                    samples.add(event.table, job.name, side, cost.nanoseconds as f64 / 1000.0);
                    samples.add(event.table, job.name, &format!("{side} faults"), cost.minor_faults as f64);
                    samples.add(event.table, job.name, &format!("{side} peak kB"), cost.peak_kb as f64);
                }
                settle_up(job, side)?;
            }
        }
        for (side, programs) in [("dmhelper", &job.ours), ("dmsetup", &job.stock)].into_iter().filter(|_| event.traced) {
            announce()?;
            let mut calls = 0;
            for program in programs {
                calls += program.system_calls()?.ok_or("strace is missing: run make setup")?;
            }
            samples.add(event.table, job.name, &format!("{side} calls"), calls as f64);
            settle_up(job, side)?;
        }
    }
    transaction.cancel().map_err(told)
}

fn jobs(event: &Event<'_>, cookie: &str) -> [Job; 4] {
    // What udevd gives to a program that a rule runs, of an event of an LVM volume's activation.
    let (major, minor) = event.devno.split_once(':').unwrap_or_default();
    let environment = [
        ("ACTION", "change"),
        ("DEVPATH", &format!("/devices/virtual/block/dm-{minor}")),
        ("SUBSYSTEM", "block"),
        ("DM_COOKIE", "71325304"),
        ("DEVNAME", &format!("/dev/dm-{minor}")),
        ("MAJOR", major),
        ("MINOR", minor),
        ("SEQNUM", "1234"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let ours = |words: &[&str]| Program::new(&[&[event.program], words].concat(), &environment);
    let stock = |words: &[&str]| Program::new(&[&[DMSETUP], words].concat(), &environment);
    let udev = ours(&["udev", event.devno]);
    let complete = ours(&["cookie", "complete", cookie]);
    let flags = stock(&["udevflags", "0x4405678"]);
    let split = stock(&["splitname", "--nameprefixes", "--noheadings", "--rows", "vg-lv"]);
    let udevcomplete = stock(&["udevcomplete", cookie]);
    [
        Job { name: "cookie flags", ours: vec![ours(&["cookie", "flags", "0x4405678"])], stock: vec![flags.clone()], completes: false },
        Job { name: "cookie complete", ours: vec![complete.clone()], stock: vec![udevcomplete.clone()], completes: true },
        Job {
            name: "udev (dmsetup: udevflags, splitname)",
            ours: vec![udev.clone()],
            stock: vec![flags.clone(), split.clone()],
            completes: false,
        },
        Job { name: "all of one LVM change event", ours: vec![udev, complete], stock: vec![flags, split, udevcomplete], completes: true },
    ]
}

/// Sizes of files: the programs', and with all that they need in an image.
pub(crate) fn sizes(program: &str, launcher: &Launcher, samples: &mut Samples) -> Result<(), String> {
    let empty = launcher.empty.display().to_string();
    for (side, program) in [("dmhelper", program), ("dmsetup", DMSETUP), ("empty", &empty)] {
        let own = size(Path::new(program))?;
        let mut closure = own;
        for library in libraries(program)? {
            closure += size(&library)?;
        }
        samples.add(SIZES, "the program's file", side, own / 1024.0);
        samples.add(SIZES, "with all libraries that ldd names", side, closure / 1024.0);
    }
    Ok(())
}

fn size(path: &Path) -> Result<f64, String> {
    fs::metadata(path).map(|metadata| metadata.len() as f64).map_err(|error| format!("{}: {error}", path.display()))
}

const SIZES: &str = "sizes";

pub(crate) const TIMES: &[Column] = &[
    Column { heading: "dmhelper", value: Value::Median("dmhelper"), decimals: 0 },
    Column { heading: "dmsetup", value: Value::Median("dmsetup"), decimals: 0 },
    Column { heading: "ratio", value: Value::Ratio("dmhelper", "dmsetup"), decimals: 2 },
    Column { heading: "of best", value: Value::BestRatio("dmhelper", "dmsetup"), decimals: 2 },
    Column { heading: "empty", value: Value::Median("empty"), decimals: 0 },
    Column { heading: "x empty", value: Value::Ratio("dmhelper", "empty"), decimals: 1 },
    Column { heading: "of each", value: Value::Count("dmhelper"), decimals: 0 },
];
const COUNTS: &[Column] = &[
    Column { heading: "calls", value: Value::Median("dmhelper calls"), decimals: 0 },
    Column { heading: "dmsetup", value: Value::Median("dmsetup calls"), decimals: 0 },
    Column { heading: "faults", value: Value::Median("dmhelper faults"), decimals: 0 },
    Column { heading: "dmsetup", value: Value::Median("dmsetup faults"), decimals: 0 },
    Column { heading: "empty", value: Value::Median("empty faults"), decimals: 0 },
    Column { heading: "peak kB", value: Value::Median("dmhelper peak kB"), decimals: 0 },
    Column { heading: "dmsetup", value: Value::Median("dmsetup peak kB"), decimals: 0 },
    Column { heading: "empty", value: Value::Median("empty peak kB"), decimals: 0 },
];

pub(crate) const HERE: &str = "spawn";
pub(crate) const HERE_TABLES: &[Table] = &[
    Table { name: HERE, title: "microseconds, median", columns: TIMES, note: "" },
    Table {
        name: HERE,
        title: "counts: dmhelper, dmsetup",
        columns: COUNTS,
        note: "of a machine without device-mapper: both sides ask the kernel in vain, and dmsetup leaves the cookie as it is; the \
               guest's figures below are of the real thing. The kernel counts peak memory in batches of pages, hence 0 of the empty one",
    },
    Table {
        name: SIZES,
        title: "kB",
        columns: &[
            Column { heading: "dmhelper", value: Value::Median("dmhelper"), decimals: 0 },
            Column { heading: "dmsetup", value: Value::Median("dmsetup"), decimals: 0 },
            Column { heading: "ratio", value: Value::Ratio("dmhelper", "dmsetup"), decimals: 2 },
        ],
        note: "",
    },
];

/// In a guest.
pub(crate) const THERE: &str = "spawn in a guest";
pub(crate) const THERE_TABLES: [Table; 2] = [
    Table { name: THERE, title: "microseconds of the guest, median", columns: TIMES, note: "of a real volume, with its ioctl" },
    Table { name: THERE, title: "counts: dmhelper, dmsetup", columns: COUNTS, note: "" },
];
