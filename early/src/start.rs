//! The program's entry, named on the linker's command line by build.rs.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use crate::process::Process;
use crate::{commands, system};

/// Where the kernel begins: the stack holds the arguments (System V ABI, AMD64 supplement, 3.4.1). `_start` of the C
/// library then finds registers and stack as the kernel left them.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn dmhelper_start() -> ! {
    naked_asm!(
        // Cannot be linked into a program that is relocated when it starts: no program rather than one that crashes.
        "mov eax, offset dmhelper_start",
        "mov r12, rsp", // What a call keeps.
        "mov r13, rdx", // What _start registers with atexit(3).
        "mov rdi, rsp",
        "and rsp, -16", // As every function expects it before a call.
        "call {attempt}",
        "mov rsp, r12",
        "mov rdx, r13",
        "xor ebp, ebp",
        "jmp _start",
        attempt = sym attempt,
    )
}

/// Ends the process if a command was done; else nothing has happened.
///
/// # Safety
/// `stack` is what the kernel gave to the process.
unsafe extern "C" fn attempt(stack: *const usize) {
    // SAFETY: the caller's promise; nothing has written to it yet.
    let process = unsafe { Process::from_stack(stack) };
    if commands::run(&process).is_some() {
        system::exit();
    }
}
