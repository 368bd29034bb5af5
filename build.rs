//! Whether the program may begin before the C library (the crate `dmhelper-early`): only where nothing has to be relocated
//! before code may run, and where the entry is written for the processor.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(early)");
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|value| value == wanted);
    let has =
        |name: &str, separator: char, wanted: &str| env::var(name).is_ok_and(|value| value.split(separator).any(|word| word == wanted));
    let fits = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && is("CARGO_CFG_TARGET_ARCH", "x86_64");
    // Of two cargo configurations only .cargo/config.toml's asks for this.
    let in_place = has("CARGO_CFG_TARGET_FEATURE", ',', "crt-static") && has("CARGO_ENCODED_RUSTFLAGS", '\x1f', "relocation-model=static");
    if fits && in_place {
        println!("cargo::rustc-cfg=early");
        println!("cargo::rustc-link-arg-bins=-Wl,--entry=dmhelper_start");
    }
}
