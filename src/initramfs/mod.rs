//! Whether an initramfs image holds what device-mapper devices need, and nothing twice: `dmhelper check-initramfs`.

pub mod modules;
pub mod root;
mod rules;
mod scripts;
pub mod tree;

use std::fmt;
use std::path::Path;

use crate::text::printable;
use modules::Need;
use tree::{Program, Tree};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something needed is not there.
    Missing,
    /// Something is there beside what takes its place.
    Doubled,
    /// Something is there that is not what it has to be.
    Wrong,
    /// Something may be missing: whether it is, only its user knows.
    Note,
}

/// One fault, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: Kind,
    /// With what: a path of the image, a module.
    pub object: Vec<u8>,
    /// Why that is a fault; safe to print.
    pub why: String,
    /// What to do; safe to print.
    pub fix: String,
}

impl Fault {
    /// Whether a build should stop on it.
    pub fn is_fatal(&self) -> bool {
        self.kind != Kind::Note
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Missing => "missing",
            Kind::Doubled => "doubled",
            Kind::Wrong => "wrong",
            Kind::Note => "note",
        };
        write!(f, "{kind} {}: {}; {}", printable(&self.object), self.why, self.fix)
    }
}

/// Where an image may have programs.
const PROGRAM_DIRECTORIES: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];
/// Where udevd is, by distribution and age.
const UDEVD: [&str; 5] =
    ["usr/lib/systemd/systemd-udevd", "lib/systemd/systemd-udevd", "usr/lib/udev/udevd", "usr/sbin/udevd", "sbin/udevd"];

/// All faults of an image. `needs` are the kernel modules that it is to have, `host_modules` the directory
/// (`/lib/modules`) that tells what its kernel has built in, where the image itself does not.
pub fn check(tree: &Tree, needs: &[Need], host_modules: &Path) -> Vec<Fault> {
    let mut faults = Vec::new();
    if UDEVD.iter().any(|path| tree.resolve(path).is_some()) {
        faults.extend(rules::check(tree));
    } else if find_program(tree, "dmhelper").is_none() {
        let why = "the image has neither it nor udevd: nobody makes links or answers tools".to_string();
        faults.push(Fault { kind: Kind::Missing, object: b"dmhelper".to_vec(), why, fix: "add the program".to_string() });
    }
    faults.extend(scripts::check(tree));
    faults.extend(modules::check(tree, needs, host_modules));
    faults
}

/// A program that is called without a path.
fn find_program(tree: &Tree, name: &str) -> Option<String> {
    let paths = PROGRAM_DIRECTORIES.iter().map(|directory| format!("{directory}/{name}"));
    paths.into_iter().find(|path| tree.program(path) == Program::Present)
}

/// `a`, `a and b`, `a, b and c`: safe to print.
fn enumerate(words: &[impl AsRef<[u8]>]) -> String {
    let words: Vec<String> = words.iter().map(|word| printable(word.as_ref())).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
