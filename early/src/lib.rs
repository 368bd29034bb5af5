//! What the udev rules run for every event, done before the C library has started.
//!
//! `udev` of an event with a cookie and `cookie complete` need a handful of system calls; starting the C library and
//! Rust's runtime costs several times as much. `dmhelper_start` is where the kernel enters the program. It does those two
//! commands if all goes well, and ends. In every other case (other words, an event without a tool behind it, any error
//! at all) it has changed nothing and goes on to the C library's own `_start`: the whole program runs as if nothing
//! had been tried, meets the same error, and reports it. So nothing is explained here, and no error is handled twice.
//!
//! Here there is no allocator, no thread-local storage (no `errno`), and no function of the C library that is chosen by
//! processor (`memcpy` and its kin, which `memory` replaces). `no_std` makes the compiler see to the first two.
#![no_std]
#![cfg(target_arch = "x86_64")] // Where the entry is written; elsewhere nothing begins early.

mod commands;
mod memory;
mod process;
mod start;
mod system;
