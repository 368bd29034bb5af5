//! The `dmhelper` program: run, report, exit.
#![cfg_attr(all(target_env = "gnu", not(test)), no_main)]

// Brings the entry that the linker was told of.
#[cfg(early)]
extern crate dmhelper_early as _;

/// C's main. The runtime that std starts before a Rust `main` reads /proc/self/maps and prepares for overflowing
/// stacks: half of the system calls of a process that lives for a millisecond, several times for each event.
#[cfg(all(target_env = "gnu", not(test)))]
#[allow(unsafe_code)] // The C library knows its main by this name.
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    run()
}

/// Other C libraries do not give the arguments to a program that starts so.
#[cfg(not(target_env = "gnu"))]
fn main() {
    run()
}

#[cfg_attr(test, allow(dead_code, reason = "a test harness has a main of its own"))]
fn run() -> ! {
    dmhelper::log::start();
    dmhelper::stdio::prepare();
    let status = dmhelper::cli::run(std::env::args_os()).unwrap_or_else(|error| {
        if !error.is_closed_pipe() {
            log::error!("{error}");
        }
        error.status()
    });
    // Flushes what is buffered.
    std::process::exit(status.into())
}
