//! Messages: to stderr for people; to the system's log, or the kernel's where there is none yet, when run from udev.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::text::printable;

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

/// Whether messages go to the system's log, because udevd runs us.
pub fn is_system() -> bool {
    SYSTEM.load(Ordering::Relaxed)
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // A quote in our own words harms no log; those of others are escaped already.
        let text = record.args().to_string().split('\'').map(|part| printable(part.as_bytes())).collect::<Vec<_>>().join("'");
        let logged = is_system() && (to_syslog(record.level(), &text).is_ok() || to_kmsg(record.level(), &text).is_ok());
        if !logged {
            // Nobody is left to tell when stderr is closed. One write, so that no other process's line cuts ours.
            let _ = io::stderr().write_all(format!("dmhelper: {text}\n").as_bytes());
        }
    }

    fn flush(&self) {}
}

/// Without waiting: a log daemon that is stuck must not stop who logs.
fn to_syslog(level: Level, text: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect("/dev/log")?;
    socket.send(message(level, text).as_bytes()).map(drop)
}

/// One message as syslog(3) and the kernel's log both take it: priority (facility daemon, 3), who, what.
fn message(level: Level, text: &str) -> String {
    let severity = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    format!("<{}>dmhelper[{}]: {text}", 3 << 3 | severity, std::process::id())
}

/// The kernel's log takes one line a write.
fn to_kmsg(level: Level, text: &str) -> io::Result<()> {
    let mut kmsg = OpenOptions::new().write(true).open("/dev/kmsg")?;
    kmsg.write_all((message(level, text) + "\n").as_bytes())
}
