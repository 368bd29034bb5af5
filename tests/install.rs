//! What `make install` installs, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Static, as the release is.
const STATIC: &str = env!("CARGO_BIN_EXE_dmhelper");

/// Runs `make install` on what was built into this directory: how it ended, and whether a program was installed.
fn install(built: &Path, more: &[(&str, &str)]) -> (Result<(), String>, bool) {
    let (outcome, to) = installed(built, more);
    (outcome, to.path().join("usr/sbin/dmhelper").exists())
}

/// The same, and what there is then.
fn installed(built: &Path, more: &[(&str, &str)]) -> (Result<(), String>, TempDir) {
    let to = tempfile::tempdir().unwrap();
    let mut make = Command::new("make");
    make.args(["-C", env!("CARGO_MANIFEST_DIR"), "install", "PREFIX=/usr"]).arg(format!("DESTDIR={}", to.path().display()));
    make.env_remove("MAKEFLAGS").env_remove("CARGO_BUILD_TARGET").env("CARGO_TARGET_DIR", built).envs(more.iter().copied());
    let output = make.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (if output.status.success() { Ok(()) } else { Err(told) }, to)
}

/// Puts a program where cargo puts the one of a target.
fn build(built: &Path, target: &str, program: &str) {
    let directory = built.join(target).join("release");
    fs::create_dir_all(&directory).unwrap();
    fs::copy(program, directory.join("dmhelper")).unwrap();
}

#[test]
fn only_a_static_program_is_installed() {
    let built = tempfile::tempdir().unwrap();
    build(built.path(), "x86_64-unknown-linux-gnu", "/usr/bin/env");
    let (outcome, installed) = install(built.path(), &[]);
    assert!(outcome.as_ref().is_err_and(|told| told.contains("is linked dynamically")) && !installed, "{outcome:?}");
    // Of what readelf can make nothing, as where there is no readelf.
    build(built.path(), "x86_64-unknown-linux-gnu", file!());
    let (outcome, installed) = install(built.path(), &[]);
    assert!(outcome.is_err() && !installed, "{outcome:?}");
    build(built.path(), "x86_64-unknown-linux-gnu", STATIC);
    assert_eq!(install(built.path(), &[]), (Ok(()), true));
}

#[test]
fn of_programs_for_several_targets_the_one_that_is_named_is_installed() {
    let built = tempfile::tempdir().unwrap();
    assert!(install(built.path(), &[]).0.unwrap_err().contains("nothing to install"));
    build(built.path(), "x86_64-unknown-linux-gnu", "/usr/bin/env");
    build(built.path(), "x86_64-unknown-linux-musl", STATIC);
    let (outcome, installed) = install(built.path(), &[]);
    assert!(outcome.as_ref().is_err_and(|told| told.contains("CARGO_BUILD_TARGET")) && !installed, "{outcome:?}");
    assert_eq!(install(built.path(), &[("CARGO_BUILD_TARGET", "x86_64-unknown-linux-musl")]), (Ok(()), true));
}

#[test]
fn what_the_readme_names_of_the_documentation_is_installed_beside_it() {
    let built = tempfile::tempdir().unwrap();
    build(built.path(), "x86_64-unknown-linux-gnu", STATIC);
    let (outcome, to) = installed(built.path(), &[]);
    assert_eq!(outcome, Ok(()));
    let folder = to.path().join("usr/share/doc/dmhelper");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let named = readme.split(['`', '(', ')']).filter(|word| word.starts_with("docs/") && !word.contains(' '));
    let missing: Vec<_> = named.clone().filter(|name| !folder.join(name).exists()).collect();
    assert!(named.count() >= 3 && missing.is_empty(), "{missing:?}");
}
