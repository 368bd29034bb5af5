//! A scenario: a script in a folder, with what it needs declared in its leading comment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::guest_root::{self, GuestRoot};

/// Commands without which no guest boots at all, and where Debian has them.
const ALWAYS_NEEDED: &[&str] = &["linux.uml", "udevadm", "dmsetup", "losetup", "unshare"];
/// And on the machine that boots it, whatever the guest's root.
const HOST_NEEDS: &[&str] = &["setpriv", "timeout"];
const PACKAGES: &[(&str, &str)] = &[
    ("linux.uml", "user-mode-linux"),
    ("udevadm", "udev"),
    ("dmsetup", "dmsetup"),
    ("lvm", "lvm2"),
    ("thin_check", "thin-provisioning-tools"),
    ("cryptsetup", "cryptsetup-bin"),
    ("veritysetup", "cryptsetup-bin"),
    ("integritysetup", "cryptsetup-bin"),
    ("kpartx", "kpartx"),
    ("multipathd", "multipath-tools"),
    ("mdadm", "mdadm"),
    ("strace", "strace"),
    ("dot", "graphviz"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("sfdisk", "fdisk"),
    ("mkfs.ext4", "e2fsprogs"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("mkinitramfs", "initramfs-tools-core"),
    ("dracut", "dracut-core"),
];
const KEYS: &[&str] = &[
    "needs",
    "layout",
    "timeout",
    "udevd",
    "neighbours",
    "listen",
    "memory",
    "suite",
    "dracut",
    "initramfs-tools",
    "always",
    "root",
    "disks",
    "absent",
    "says",
    "dracut-at",
    "initramfs-tools-at",
];

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// `parity` or `ours`: the folder it lies in; `listen` for one of parity's that runs without udevd.
    pub(crate) folder: String,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    header: BTreeMap<String, String>,
    /// Files that the guest finds beside its scripts, in /rig.
    pub(crate) brings: Vec<PathBuf>,
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn discover(folder: &str) -> Result<Vec<Scenario>, String> {
    discover_in(&root().join("tests/scenarios").join(folder), folder)
}

/// Every script of the directory, each one test of that folder's.
pub(crate) fn discover_in(directory: &Path, folder: &str) -> Result<Vec<Scenario>, String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", directory.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "sh") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(format!("{}: no scenario at all", directory.display()));
    }
    paths.iter().map(|path| Scenario::read(folder, path)).collect()
}

impl Scenario {
    pub(crate) fn read(folder: &str, path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let header = parse_header(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { folder: folder.to_owned(), name, path: path.to_owned(), header, brings: Vec::new() })
    }

    pub(crate) fn test_name(&self) -> String {
        format!("{}::{}", self.folder, self.name)
    }

    pub(crate) fn layout(&self) -> &str {
        self.header.get("layout").map_or("debian", String::as_str)
    }

    /// How long one boot with this scenario may take; `RIG_SLOWNESS=3` trebles it on a slow machine.
    pub(crate) fn deadline(&self) -> Duration {
        let seconds = self.header.get("timeout").and_then(|text| text.parse().ok()).unwrap_or(120);
        let slowness = std::env::var("RIG_SLOWNESS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        Duration::from_secs(seconds * slowness)
    }

    /// A key of the header that only some kind of scenario has.
    #[allow(dead_code, reason = "those of tests/boot have some")]
    pub(crate) fn key(&self, key: &str) -> Option<&str> {
        self.header.get(key).map(String::as_str)
    }

    /// The guest's memory in MiB.
    pub(crate) fn memory(&self) -> u32 {
        self.header.get("memory").and_then(|text| text.parse().ok()).unwrap_or(640)
    }

    pub(crate) fn debugs_udevd(&self) -> bool {
        self.header.get("udevd").is_some_and(|value| value == "debug")
    }

    /// Whether systemd is the guest's first process, and udevd one of its services.
    pub(crate) fn under_systemd(&self) -> bool {
        self.header.get("udevd").is_some_and(|value| value == "systemd")
    }

    /// The same scenario as a test of its own with `dmhelper listen` in udevd's place, if it makes sense there.
    pub(crate) fn for_listen(&self) -> Option<Self> {
        self.header.get("listen").filter(|value| *value == "yes")?;
        let mut scenario = self.clone();
        scenario.folder = "listen".to_owned();
        let needs = scenario.header.entry("needs".to_owned()).or_default();
        needs.push_str(" file:/usr/sbin/blkid"); // Whom it asks what is on a device.
        Some(scenario)
    }

    /// A folder of extra rule files, beside the scenarios.
    pub(crate) fn neighbours(&self) -> Option<PathBuf> {
        Some(root().join("tests/scenarios/neighbours").join(self.header.get("neighbours")?))
    }

    /// Why this scenario cannot run in the guests of this run, if so.
    pub(crate) fn missing(&self) -> Option<String> {
        missing(|root| {
            self.of_another_suite(root).or_else(|| {
                let declared = self.header.get("needs").map_or("", String::as_str).split_whitespace();
                first_missing(root, declared)
            })
        })
    }

    /// Whether it names the suite of this run's guests as one that it is for.
    pub(crate) fn is_for_this_suite(&self) -> bool {
        self.header.contains_key("suite") && guest_root::get().is_ok_and(|root| self.of_another_suite(root).is_none())
    }

    /// The suites that it is for, where this root is another.
    fn of_another_suite(&self, root: &GuestRoot) -> Option<String> {
        let suites = self.header.get("suite")?;
        let here = suites.split_whitespace().any(|suite| root.is(suite));
        (!here).then(|| format!("only for RIG_ROOT={}", suites.replace(' ', "|")))
    }
}

/// Why no guest can boot, if so.
pub(crate) fn missing_to_boot() -> Option<String> {
    missing(|_| None)
}

fn missing(more: impl FnOnce(&GuestRoot) -> Option<String>) -> Option<String> {
    let root = match guest_root::get() {
        Ok(root) => root,
        Err(reason) => return Some(reason),
    };
    let host = HOST_NEEDS.iter().find(|need| !has_command(Path::new("/"), need));
    let host = host.map(|need| format!("no {need}"));
    host.or_else(|| first_missing(root, ALWAYS_NEEDED.iter().copied())).or_else(|| more(root))
}

fn first_missing<'a>(root: &GuestRoot, mut needs: impl Iterator<Item = &'a str>) -> Option<String> {
    needs.find_map(|need| match need.split_once(':') {
        Some(("module", module)) => (!has_module(root, module)).then(|| format!("no kernel module {module} for UML")),
        Some(("file", file)) => (!root.path(file).exists()).then(|| format!("no {file}")),
        _ => (!has_command(root.tree(), need)).then(|| match PACKAGES.iter().find(|(command, _)| *command == need) {
            Some((_, package)) => format!("no {need} (package {package})"),
            None => format!("no {need}"),
        }),
    })
}

/// Reads `# key: value` lines of the leading comment. Other comment lines are prose; an unknown key in lower case at
/// the start of a line, such as a misspelt `need:`, is an error rather than ignored.
pub(crate) fn parse_header(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut header = BTreeMap::new();
    let comment = text.lines().map_while(|line| line.strip_prefix('#'));
    for (key, value) in comment.filter_map(|line| line.trim().split_once(':')) {
        if KEYS.contains(&key) {
            if header.insert(key.to_owned(), value.trim().to_owned()).is_some() {
                return Err(format!("`{key}` is given twice"));
            }
        } else if !key.contains(' ') && KEYS.iter().any(|known| known.starts_with(key) || key.starts_with(known)) {
            return Err(format!("unknown header `{key}`"));
        }
    }
    if header.get("timeout").is_some_and(|value| value.parse::<u64>().is_err()) {
        return Err("`timeout` is not a number of seconds".to_owned());
    }
    if header.get("memory").is_some_and(|value| value.parse::<u32>().is_err()) {
        return Err("`memory` is not a number of MiB".to_owned());
    }
    if header.get("listen").is_some_and(|value| value != "yes" && !value.starts_with("no, ")) {
        return Err("`listen` is neither `yes` nor `no, BECAUSE …`".to_owned());
    }
    Ok(header)
}

fn has_command(tree: &Path, name: &str) -> bool {
    // An ordinary user's PATH often lacks the sbin folders, where most of what is needed lies.
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders = path.split(':').chain(["/usr/sbin", "/sbin", "/usr/bin"]);
    folders.any(|folder| tree.join(folder.trim_start_matches('/')).join(name).is_file())
}

fn has_module(root: &GuestRoot, name: &str) -> bool {
    let Ok(releases) = fs::read_dir(root.path("usr/lib/uml/modules")) else { return false };
    let wanted = format!("/{name}.ko:");
    releases.flatten().any(|release| {
        fs::read_to_string(release.path().join("modules.dep"))
            .is_ok_and(|list| list.lines().any(|line| format!("/{line}").contains(&wanted)))
    })
}
