//! Messages: to stderr for people; to the system's log, or the kernel's where there is none yet, when run from udev.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::emit::printable;

/// Whether messages go to the system's log.
static SYSTEM: AtomicBool = AtomicBool::new(false);

/// Starts logging. Costs nothing until there is a message.
pub fn start() {
    // udevd sets both for every program that a rule runs, and shows what they write to stderr to nobody.
    if ["DEVPATH", "SUBSYSTEM"].iter().all(|name| std::env::var_os(name).is_some()) {
        to_system();
    }
    // Fails only if a logger is set already, which is then as good.
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// From now on messages go to the system's log: there is, or will be, no stderr that anybody reads.
pub fn to_system() {
    SYSTEM.store(true, Ordering::Relaxed);
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = printable(record.args().to_string().as_bytes());
        let logged =
            SYSTEM.load(Ordering::Relaxed) && (to_syslog(record.level(), &text).is_some() || to_kmsg(record.level(), &text).is_ok());
        if !logged {
            // Nobody is left to tell when stderr is closed. One write, so that no other process's line cuts ours.
            let _ = io::stderr().write_all(format!("dmhelper: {text}\n").as_bytes());
        }
    }

    fn flush(&self) {}
}

fn to_syslog(level: Level, text: &str) -> Option<()> {
    let formatter = syslog::Formatter3164 {
        facility: syslog::Facility::LOG_DAEMON,
        hostname: None,
        process: "dmhelper".into(),
        pid: std::process::id(),
    };
    let mut logger = syslog::unix(formatter).ok()?;
    let sent = match level {
        Level::Error => logger.err(text),
        Level::Warn => logger.warning(text),
        Level::Info => logger.info(text),
        Level::Debug | Level::Trace => logger.debug(text),
    };
    sent.ok()
}

/// The kernel's log takes one line a write, its priority in front: syslog(2), facility daemon (3).
fn to_kmsg(level: Level, text: &str) -> io::Result<()> {
    let severity = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    let mut kmsg = OpenOptions::new().write(true).open("/dev/kmsg")?;
    kmsg.write_all(format!("<{}>dmhelper[{}]: {text}\n", 3 << 3 | severity, std::process::id()).as_bytes())
}
