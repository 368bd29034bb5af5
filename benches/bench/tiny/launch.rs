//! Runs the program that its arguments name, once, and writes what that cost to descriptor 0, which no program that is
//! measured touches: nanoseconds from before vfork to after wait4, minor page faults, peak memory in kB, wait status.
//!
//! So small because exec keeps the peak memory of whoever calls it: a child of a usual program would seem to need as
//! much as its parent. Made by `rustc` when the benchmark runs; for x86_64.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::mem::MaybeUninit;

const WRITE: usize = 1;
const VFORK: usize = 58;
const EXIT: usize = 60;
const WAIT4: usize = 61;
const CLOCK_GETTIME: usize = 228;
const CLOCK_MONOTONIC: usize = 1;

global_asm!(".globl _start", "_start:", "mov rdi, rsp", "and rsp, -16", "call {main}", main = sym main);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// # Safety
/// As of the system call.
unsafe fn system_call(number: usize, arguments: [usize; 4]) -> isize {
    let [a, b, c, d] = arguments;
    let result;
    // SAFETY: the x86_64 convention: the call changes rax, rcx and r11 alone.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            lateout("rcx") _, lateout("r11") _);
    }
    result
}

fn nanoseconds() -> u64 {
    let mut time = [0u64; 2];
    // SAFETY: struct timespec is two words.
    unsafe { system_call(CLOCK_GETTIME, [CLOCK_MONOTONIC, (&raw mut time).addr(), 0, 0]) };
    time[0] * 1_000_000_000 + time[1]
}

/// # Safety
/// The stack as the kernel gives it to a new process: the count of arguments, these, null, the environment, null.
unsafe extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: as said above. The first argument is this program itself.
    let (path, arguments, environment) = unsafe { (*stack.add(2), stack.add(2), stack.add(*stack + 2)) };
    let begun = nanoseconds();
    let child: isize;
    // SAFETY: between vfork and execve or _exit the child touches registers alone, so that the parent finds its stack.
    unsafe {
        asm!(
            "syscall", "test eax, eax", "jnz 2f",
            "mov eax, 59", "mov rdi, {path}", "mov rsi, {arguments}", "mov rdx, {environment}", "syscall",
            "mov eax, 60", "mov edi, 127", "syscall",
            "2:",
            path = in(reg) path, arguments = in(reg) arguments, environment = in(reg) environment,
            inlateout("rax") VFORK => child, out("rdi") _, out("rsi") _, out("rdx") _, lateout("rcx") _, lateout("r11") _,
        );
    }
    let mut status = 0u32;
    // struct rusage: user and system time (two words each), then ru_maxrss, …, ru_minflt as the fifth; 18 words in all.
    let mut usage = MaybeUninit::<[u64; 18]>::uninit();
    // SAFETY: both point to live memory that is large enough.
    let waited = unsafe { system_call(WAIT4, [child.cast_unsigned(), (&raw mut status).addr(), 0, usage.as_mut_ptr().addr()]) };
    let wall = nanoseconds() - begun;
    // SAFETY: the kernel has filled it in, or the caller is told that it has not.
    let usage = unsafe { usage.assume_init() };
    let cost = [wall, usage[8], usage[4], u64::from(status), u64::from(waited == child)];
    // SAFETY: the array lives; exit does not return.
    unsafe {
        system_call(WRITE, [0, (&raw const cost).addr(), size_of_val(&cost), 0]);
        system_call(EXIT, [0; 4]);
    }
    loop {}
}
