//! The kernel modules of an image, against those that devices need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::tree::Tree;
use super::{Fault, Kind};
use crate::text::printable;

/// A module that something needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Its name, as the kernel writes it: with underscores.
    pub module: String,
    /// What needs it; safe to print.
    pub reason: String,
}

/// Targets whose module is not `dm-TARGET`, or not that one alone (the aliases that the kernel's own modules bear).
const TARGETS: [(&str, &[&str]); 9] = [
    ("linear", &[]), // in dm-mod itself, with the next two
    ("striped", &[]),
    ("error", &[]),
    ("thin", &["dm_thin_pool"]),
    ("thin-pool", &["dm_thin_pool"]),
    ("snapshot-origin", &["dm_snapshot"]),
    ("snapshot-merge", &["dm_snapshot"]),
    ("cache", &["dm_cache", "dm_cache_smq"]),
    ("unstriped", &["dm_unstripe"]),
];
/// A module under either of two names, by age: the one is as good as the other.
const EITHER: [(&str, &str); 1] = [("kvdo", "dm_vdo")];

/// The modules of a target.
pub fn of_target(target: &[u8]) -> Vec<String> {
    let target = String::from_utf8_lossy(target);
    match TARGETS.iter().find(|(known, _)| *known == target) {
        Some((_, modules)) => modules.iter().map(|module| module.to_string()).collect(),
        None => vec![normal(&format!("dm_{target}"))],
    }
}

/// What every image needs.
pub fn always() -> Need {
    Need { module: "dm_mod".to_string(), reason: "every device-mapper device needs it".to_string() }
}

/// Modules that are missing, for every kernel of the image.
pub(super) fn check(tree: &Tree, needs: &[Need], host_modules: &Path) -> Vec<Fault> {
    let base = ["usr/lib/modules", "lib/modules"].into_iter().find(|path| tree.resolve(path).is_some());
    let releases: Vec<String> = base.into_iter().flat_map(|base| tree.list(base)).filter_map(|name| name.into_string().ok()).collect();
    if releases.is_empty() {
        return without_modules(needs, host_modules);
    }
    let mut faults = Vec::new();
    for release in releases {
        let directory = format!("{}/{release}", base.unwrap_or_default());
        let kernel = Kernel::read(tree, &directory, &host_modules.join(&release));
        for need in needs {
            for (module, needed_by) in kernel.closure(&need.module) {
                let because = needed_by.map_or(String::new(), |by| format!(" needs {by}, which needs it"));
                let why = if because.is_empty() {
                    need.reason.clone()
                } else {
                    format!("{}{because}", need.reason.trim_end_matches(" needs it"))
                };
                let fix = match kernel.knows_builtin {
                    true => format!("add the module of kernel {release}"),
                    false => format!("add the module of kernel {release}, or modules.builtin if the kernel has it built in"),
                };
                let fault = Fault { kind: Kind::Missing, object: module.into_bytes(), why, fix };
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
            }
        }
    }
    faults
}

/// An image without modules is right for a kernel that has everything built in, which can be told of one only that is
/// alone here.
fn without_modules(needs: &[Need], host_modules: &Path) -> Vec<Fault> {
    let releases: Vec<_> = std::fs::read_dir(host_modules).into_iter().flatten().flatten().collect();
    if releases.is_empty() {
        return Vec::new();
    }
    let builtin = |need: &Need| {
        releases
            .iter()
            .any(|release| std::fs::read(release.path().join("modules.builtin")).is_ok_and(|list| names(&list).contains(&need.module)))
    };
    let fault = |need: &Need| Fault {
        kind: Kind::Missing,
        object: need.module.clone().into_bytes(),
        why: format!("{}, and the image has no kernel modules", need.reason),
        fix: "add the modules of the kernel that it is for".to_string(),
    };
    needs.iter().filter(|need| !builtin(need)).map(fault).collect()
}

/// One kernel's modules in the image.
struct Kernel {
    present: BTreeSet<String>,
    builtin: BTreeSet<String>,
    knows_builtin: bool,
    /// From modules.dep, where depmod(8) has run already.
    dependencies: BTreeMap<String, Vec<String>>,
}

impl Kernel {
    fn read(tree: &Tree, directory: &str, host: &Path) -> Self {
        let files = tree.files(directory);
        // A link is one to a file of the image, or to nothing.
        let real = files.iter().filter(|here| tree.resolve(here.strip_prefix(tree.root()).unwrap_or(here)).is_some());
        let present = real.filter_map(|here| module_name(here.as_os_str().as_encoded_bytes())).collect();
        let list = tree.read(format!("{directory}/modules.builtin")).or_else(|| std::fs::read(host.join("modules.builtin")).ok());
        let dependencies = tree.read(format!("{directory}/modules.dep")).unwrap_or_default();
        let dependencies = String::from_utf8_lossy(&dependencies).into_owned();
        let dependencies = dependencies.lines().filter_map(|line| {
            let (module, needed) = line.split_once(':')?;
            let needed = needed.split_whitespace().filter_map(|path| module_name(path.as_bytes())).collect();
            Some((module_name(module.as_bytes())?, needed))
        });
        Self {
            present,
            knows_builtin: list.is_some(),
            builtin: list.map(|list| names(&list)).unwrap_or_default(),
            dependencies: dependencies.collect(),
        }
    }

    fn has(&self, module: &str) -> bool {
        let same =
            EITHER.iter().find_map(|(a, b)| [(*a, *b), (*b, *a)].into_iter().find(|(one, _)| *one == module).map(|(_, other)| other));
        [Some(module), same].into_iter().flatten().any(|name| self.present.contains(name) || self.builtin.contains(name))
    }

    /// What is missing of a module and of those that it needs, each with the one that needs it.
    fn closure(&self, module: &str) -> Vec<(String, Option<String>)> {
        if !self.has(module) {
            return vec![(module.to_string(), None)];
        }
        let needed = self.dependencies.get(module).into_iter().flatten().filter(|needed| !self.has(needed));
        needed.map(|needed| (needed.clone(), Some(module.to_string()))).collect()
    }
}

/// Every module that a list such as modules.builtin names.
fn names(list: &[u8]) -> BTreeSet<String> {
    list.split(|&byte| byte == b'\n').filter_map(module_name).collect()
}

/// `dm_crypt` of `kernel/drivers/md/dm-crypt.ko.zst`.
fn module_name(path: &[u8]) -> Option<String> {
    let file = String::from_utf8_lossy(path.rsplit(|&byte| byte == b'/').next()?).into_owned();
    let plain = [".xz", ".zst", ".gz"].iter().find_map(|end| file.strip_suffix(end)).unwrap_or(&file);
    plain.strip_suffix(".ko").map(normal)
}

/// The kernel takes dashes and underscores in the names of modules for the same.
fn normal(name: &str) -> String {
    printable(name.replace('-', "_").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_known_by_any_name_of_its_file() {
        for file in ["kernel/drivers/md/dm-crypt.ko", "dm_crypt.ko.xz", "/x/dm-crypt.ko.zst", "dm-crypt.ko.gz"] {
            assert_eq!(module_name(file.as_bytes()).as_deref(), Some("dm_crypt"), "{file}");
        }
        for file in ["modules.dep", "dm-crypt.ko.bz2", "dm-crypt.ko.xz.gz", ""] {
            assert_eq!(module_name(file.as_bytes()), None, "{file}");
        }
    }

    #[test]
    fn targets_have_modules() {
        let modules = |target: &str| of_target(target.as_bytes()).join(" ");
        assert_eq!([modules("crypt"), modules("thin"), modules("linear"), modules("raid")], ["dm_crypt", "dm_thin_pool", "", "dm_raid"]);
        assert_eq!([modules("log-writes"), modules("snapshot-origin")], ["dm_log_writes", "dm_snapshot"]);
        assert_eq!(modules("a\nb"), "dm_a\\x0ab");
    }
}
