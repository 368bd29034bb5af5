//! What guests run in: this machine's own root file system, or a tree of another suite, which `RIG_ROOT` names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::scenario::root;

/// A root file system, read-only, and the kernel that boots it.
#[derive(Debug)]
pub(crate) struct GuestRoot {
    /// `/`, or a tree that `tests/roots/make` has made.
    tree: PathBuf,
    kernel: PathBuf,
    /// Inside the tree, where that is not this machine's root. Otherwise it lies in the directory that the guest shares.
    init: Option<&'static str>,
}

/// The suite that `RIG_ROOT` names; none for the machine's own root.
pub(crate) fn suite() -> Option<String> {
    std::env::var("RIG_ROOT").ok().filter(|suite| !suite.is_empty())
}

/// The root of all guests of this run. A tree that is missing is made; the error is why it cannot be.
pub(crate) fn get() -> Result<&'static GuestRoot, String> {
    static ROOT: OnceLock<Result<GuestRoot, String>> = OnceLock::new();
    let own = || GuestRoot { tree: PathBuf::from("/"), kernel: PathBuf::from("linux.uml"), init: None };
    ROOT.get_or_init(|| suite().map_or_else(|| Ok(own()), |suite| make(&suite))).as_ref().map_err(Clone::clone)
}

fn make(suite: &str) -> Result<GuestRoot, String> {
    let make = root().join("tests/roots/make");
    let output = Command::new(&make).arg(suite).output().map_err(|error| format!("{}: {error}", make.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(said.lines().last().unwrap_or("tests/roots/make failed").to_owned());
    }
    let tree = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end());
    Ok(GuestRoot { kernel: tree.join("rig-boot/linux.uml"), tree, init: Some("/rig-boot/init") })
}

impl GuestRoot {
    /// A path of the guest's, as this machine sees it.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.tree.join(inside.trim_start_matches('/'))
    }

    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }

    pub(crate) fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// The kernel's arguments for this root; `here` is the directory that the guest shares.
    pub(crate) fn arguments(&self, here: &Path) -> [String; 4] {
        let init = self.init.map_or_else(|| here.join("init.sh"), PathBuf::from);
        let tree = self.tree.display();
        ["rootfstype=hostfs".to_owned(), format!("rootflags={tree}"), "ro".to_owned(), format!("init={}", init.display())]
    }

    /// The interface that the stock rules offer (`DM_UDEV_RULES_VSN`): 2, or 3 from lvm2 2.03.17 on.
    pub(crate) fn generation(&self) -> String {
        let rules = ["55-dm", "10-dm"].map(|name| self.path("usr/lib/udev/rules.d").join(name).with_extension("rules"));
        let text: String = rules.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        let assigned = text.split_once("ENV{DM_UDEV_RULES_VSN}=\"").map_or("", |(_, value)| value);
        assigned.chars().take_while(char::is_ascii_digit).collect()
    }

    /// Whether the suite is this one, by its release's name (`VERSION_CODENAME` of os-release(5)).
    pub(crate) fn is(&self, suite: &str) -> bool {
        let release = fs::read_to_string(self.path("etc/os-release")).unwrap_or_default();
        release.lines().filter_map(|line| line.strip_prefix("VERSION_CODENAME=")).any(|name| name.trim_matches('"') == suite)
    }
}
