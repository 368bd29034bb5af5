//! A static program that does nothing: what a process costs at least. Made by `rustc` when the benchmark runs.
#![no_std]
#![no_main]

core::arch::global_asm!(".globl _start", "_start:", "mov eax, 60", "xor edi, edi", "syscall");

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
