//! Our install tree, built once per layout by the same `make install` that a packager uses.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::guest_root;
use super::scenario::root;

static BUILT: Mutex<BTreeMap<String, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());

/// Where everything the rig leaves behind lies.
pub(crate) fn rig_directory() -> Result<PathBuf, String> {
    let directory = root().join("target/rig");
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(directory)
}

/// Where the logs and results of this run lie: those of each root apart.
pub(crate) fn results_directory() -> Result<PathBuf, String> {
    let directory = guest_root::suite().map_or_else(rig_directory, |suite| Ok(rig_directory()?.join(suite)))?;
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(directory)
}

/// Removes what a killed run could not: guests' directories older than any deadline.
pub(crate) fn sweep() -> Result<(), String> {
    let entries = fs::read_dir(rig_directory()?).map_err(|error| format!("target/rig: {error}"))?;
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("guest-")) {
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > Duration::from_secs(3600)) {
            fs::remove_dir_all(entry.path()).map_err(|error| format!("{}: {error}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// The tree with the binary and the rules of one layout, fresh.
pub(crate) fn tree(layout: &str) -> Result<PathBuf, String> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(layout.to_owned()).or_insert_with(|| build(layout)).clone()
}

fn build(layout: &str) -> Result<PathBuf, String> {
    let directory = rig_directory()?;
    // Test runners that use one process per test must not install over each other.
    let lock = File::create(directory.join("install.lock")).map_err(|error| format!("install.lock: {error}"))?;
    lock.lock().map_err(|error| format!("install.lock: {error}"))?;

    let tree = directory.join(layout);
    if tree.exists() {
        fs::remove_dir_all(&tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    }
    let output = Command::new("make")
        .arg("-C")
        .arg(root())
        .args(["build", "install"])
        .arg(format!("DESTDIR={}", tree.display()))
        .args(["PREFIX=/usr", &format!("RULES_LAYOUT={layout}")])
        // What the caller built its tests with is not what is installed: static, from where cargo builds by itself.
        .env_remove("MAKEFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .map_err(|error| format!("make: {error}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!("make install RULES_LAYOUT={layout}: {}\n{message}", output.status));
    }
    expect_rules(&tree)?;
    Ok(tree)
}

/// An install tree without rules would make every comparison one against nothing.
fn expect_rules(tree: &Path) -> Result<(), String> {
    let rules = tree.join("usr/lib/udev/rules.d");
    let count = fs::read_dir(&rules).map_err(|error| format!("{}: {error}", rules.display()))?.count();
    if count < 4 { Err(format!("{}: {count} rule files, expected four", rules.display())) } else { Ok(()) }
}
