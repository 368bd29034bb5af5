//! Whether the program may begin before the C library (the crate `dmhelper-early`): only where nothing has to be relocated
//! before code may run, and where the entry is written for the processor.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(early)");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let target = ["OS", "ENV", "ARCH", "POINTER_WIDTH"].map(|name| variable(&format!("CARGO_CFG_TARGET_{name}")));
    let is_static = variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    // The last one counts, as for rustc. The linker refuses the entry should any that is not seen here say otherwise.
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    let model = flags
        .split('\x1f')
        .filter_map(|flag| flag.trim_start_matches("-C").trim_start_matches("--codegen=").strip_prefix("relocation-model="))
        .next_back();
    if target == ["linux", "gnu", "x86_64", "64"] && is_static && model == Some("static") {
        println!("cargo::rustc-cfg=early");
        println!("cargo::rustc-link-arg-bins=-Wl,--entry=dmhelper_start");
    }
}
