//! The parts that need device-mapper: scenarios in `tests/bench`, each in a guest of its own, two of them side by side.
//! Nothing in one guest is compared with anything in another.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::launch::Launcher;
use crate::report::{self, Column, Samples, Table, Value};
use crate::rig::install;
use crate::rig::scenario::{Scenario, root};
use crate::rig::show;
use crate::spawn;

/// What a guest measures, and how it is shown.
struct Part {
    /// As on the command line, and the name of the scenario.
    name: &'static str,
    title: &'static str,
    tables: &'static [Table],
}

/// The longest first.
const GUESTS: &[Part] = &[
    Part { name: "event", title: "Operations under udevd, stock rules and ours in turn", tables: EVENT },
    Part { name: "scale", title: "Many devices", tables: SCALE },
    Part { name: "listener", title: "The listener", tables: LISTENER },
    Part { name: "completer", title: "Cookies, completed by a process or by the resident completer, in turn", tables: COMPLETER },
    Part { name: "spawn", title: "Processes, in a guest", tables: &spawn::THERE_TABLES },
];

/// The scenarios' own settings, with their defaults.
const SETTINGS: &[(&str, &str)] = &[("BENCH_LVS", "200"), ("BENCH_ROUNDS", "6")];

/// As the scenarios read them: from the environment, or these defaults.
pub(crate) fn settings(defaults: &[(&str, &str)]) -> String {
    let line = |(name, default): &(&str, &str)| format!("{name}={}\n", std::env::var(name).unwrap_or_else(|_| (*default).to_owned()));
    defaults.iter().map(line).collect()
}

/// Boots a guest for each part and publishes what it measured; tells the files.
pub(crate) fn run(parts: &[&str], launcher: &Launcher, work: &Path, directory: &Path) -> Result<Vec<PathBuf>, String> {
    install::sweep()?;
    let mut brings = launcher.files().to_vec();
    // This program measures inside as well, under a name that does not change.
    let this = work.join("bench");
    let executable = std::env::current_exe().map_err(|error| error.to_string())?;
    fs::copy(executable, &this).map_err(|error| format!("{}: {error}", this.display()))?;
    let file = work.join("settings");
    fs::write(&file, settings(SETTINGS)).map_err(|error| format!("{}: {error}", file.display()))?;
    brings.extend([this, file, root().join("tests/bench/lib/bench.sh")]);

    let wanted: Vec<&Part> = GUESTS.iter().rev().filter(|part| parts.contains(&part.name)).collect();
    let queue = Mutex::new(wanted);
    let guest = || -> Vec<Result<PathBuf, String>> {
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        std::iter::from_fn(|| next().map(|part| measure(part, &brings, directory))).collect()
    };
    thread::scope(|scope| {
        let guests = [scope.spawn(guest), scope.spawn(guest)];
        guests.into_iter().flat_map(|guest| guest.join().unwrap_or_else(|_| vec![Err("a guest's thread panicked".to_owned())])).collect()
    })
}

fn measure(part: &Part, brings: &[PathBuf], directory: &Path) -> Result<PathBuf, String> {
    let mut scenario = Scenario::read("bench", &root().join(format!("tests/bench/{}.sh", part.name)))?;
    scenario.brings = brings.to_vec();
    println!("{}: booting", part.name);
    let run = show::watched(&scenario, show::MARK)?;
    let file = run.log_path.with_extension("out").join("samples");
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let name = if part.name == "spawn" { "spawn-guest" } else { part.name };
    report::publish(name, part.title, part.tables, &Samples::parse(&text)?, directory)
}

/// What two sides need for the same, by their names in the samples.
const fn versus(old: &'static str, new: &'static str) -> [Column; 5] {
    [
        Column { heading: old, value: Value::Median(old), decimals: 1 },
        Column { heading: new, value: Value::Median(new), decimals: 1 },
        Column { heading: "ratio", value: Value::Ratio(new, old), decimals: 2 },
        Column { heading: "of best", value: Value::BestRatio(new, old), decimals: 2 },
        Column { heading: "of each", value: Value::Count(new), decimals: 0 },
    ]
}

pub(crate) const SIDES: &[Column] = &versus("stock", "ours");

const EVENT: &[Table] = &[
    Table { name: "wall", title: "milliseconds of the guest, median", columns: SIDES, note: "" },
    Table {
        name: "cpu",
        title: "CPU of udevd per operation, milliseconds",
        columns: SIDES,
        note: "udevd, its workers and what they start: user and system time in /proc/PID/stat, in ticks of 10 ms, over a whole batch",
    },
    PROCESSES,
];

pub(crate) const PROCESSES: Table = Table {
    name: "processes",
    title: "processes that udevd starts",
    columns: &[
        Column { heading: "stock", value: Value::Median("stock"), decimals: 0 },
        Column { heading: "ours", value: Value::Median("ours"), decimals: 0 },
    ],
    note: "counted in udevd's log, of all devices' events",
};

const SIZES: &[Column] = &[
    Column { heading: "100", value: Value::Median("100"), decimals: 0 },
    Column { heading: "1,000", value: Value::Median("1000"), decimals: 0 },
    Column { heading: "5,000", value: Value::Median("5000"), decimals: 0 },
    Column { heading: "exponent", value: Value::Growth((1000.0, "1000"), (5000.0, "5000")), decimals: 2 },
    Column { heading: "ratio", value: Value::Against(PARTNERS, "5000"), decimals: 2 },
];

/// The stock tool that answers the same question.
pub(crate) const PARTNERS: &[(&str, &str)] = &[
    ("dmhelper ls", "dmsetup info -c"),
    ("dmhelper ls -o name,uuid,devno,events", "dmsetup info -c"),
    ("dmhelper info --json", "dmsetup info -c"),
    ("dmhelper tree", "dmsetup ls --tree"),
    ("lsblk", "dmsetup ls --tree"),
    ("dmhelper cookie list", "dmsetup udevcookies"),
];

const SCALE: &[Table] = &[
    Table {
        name: "devices",
        title: "milliseconds of the guest, median, by number of devices",
        columns: SIZES,
        note: "exponent: of the growth from 1,000 to 5,000, 1 is linear; ratio, with 5,000: `ls` and `info` to `dmsetup info -c`, \
               `tree` and lsblk to `dmsetup ls --tree`",
    },
    Table { name: "cookies", title: "milliseconds of the guest, median, by number of cookies", columns: SIZES, note: "" },
    Table { name: "running", title: "with so many devices", columns: SIZES, note: "" },
];

const COMPLETER: &[Table] =
    &[Table { name: "wall", title: "milliseconds of the guest, median", columns: &versus("process", "completer"), note: "" }];

const LISTENER: &[Table] = &[
    Table {
        name: "answer",
        title: "microseconds from a resume to its answer",
        columns: &[
            Column { heading: "stock", value: Value::Median("stock"), decimals: 0 },
            Column { heading: "ours", value: Value::Median("ours"), decimals: 0 },
            Column { heading: "ratio", value: Value::Ratio("ours", "stock"), decimals: 2 },
            Column { heading: "listen", value: Value::Median("listen"), decimals: 0 },
            Column { heading: "ratio", value: Value::Ratio("listen", "stock"), decimals: 4 },
            Column { heading: "stock p99", value: Value::Percentile("stock", 99), decimals: 0 },
            Column { heading: "ours p99", value: Value::Percentile("ours", 99), decimals: 0 },
            Column { heading: "listen p99", value: Value::Percentile("listen", 99), decimals: 0 },
            Column { heading: "of each", value: Value::Count("listen"), decimals: 0 },
        ],
        note: "from the ioctl to the completion of its cookie, under udevd with the stock rules, with ours, and under `dmhelper listen`",
    },
    Table {
        name: "tool",
        title: "milliseconds of the guest, median",
        columns: &versus("none", "listen"),
        note: "none: without udev the tool makes its node itself and waits for nobody",
    },
    Table {
        name: "figures",
        title: "figures",
        columns: &[Column { heading: "median", value: Value::Median("figure"), decimals: 0 }],
        note: "",
    },
];
