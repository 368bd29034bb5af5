//! The worked example of an initramfs with busybox and without udevd: built by its own script, booted from a disk, into
//! a root where a real udevd takes over.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::guest::{self, Rules, Run};
use super::parity;
use super::scenario::{Scenario, root};
use super::{guest_root, install};

/// What is needed here beyond what is built in. The kernel asks modprobe for a cipher's parts, which is not there.
const MODULES: &[&str] = &["cbc", "ecb", "xts", "dm-mod", "dm-crypt"];

/// What the first process of the real root begins its lines with.
const MARK: &str = "boot: ";

/// The scenario that makes the disk; the test bears its name and needs what it needs.
pub(crate) fn disk() -> Result<Scenario, String> {
    Scenario::read("boot", &root().join("tests/boot/busybox_initramfs.sh"))
}

/// Makes the disk, builds the initramfs, boots both, and judges what the real root found, and what its udevd made of it.
pub(crate) fn busybox_initramfs(scenario: &Scenario) -> Result<(), String> {
    let alone = guest::run(scenario, Rules::Ours)?;
    let out = alone.log_path.with_extension("out");
    let after = Scenario::read("boot", &root().join("tests/boot/root.sh"))?;
    let shared = guest::prepare(&after, Rules::Ours)?;
    let here = shared.path();
    let (initramfs, disk) = (here.join("initramfs.cpio"), here.join("disk.img"));
    fs::rename(out.join("disk1.img"), &disk).map_err(|error| format!("disk1.img: {error}"))?;
    build(&initramfs, &out.join("key"), &install::tree(scenario.layout())?)?;

    let log_path = alone.log_path.with_file_name("boot-busybox_initramfs.log");
    let arguments = [
        "mem=768M".to_owned(),
        format!("initrd={}", initramfs.display()),
        format!("ubda={}", disk.display()),
        format!("rig={}", here.display()),
        format!("uml_dir={}", here.display()),
        format!("rig_root={}", guest_root::get()?.tree().display()),
    ];
    let ended = guest::boot(&arguments, &log_path, scenario.deadline() + after.deadline() + guest::GRACE);
    let log = String::from_utf8_lossy(&fs::read(&log_path).unwrap_or_default()).into_owned();
    let expected = fs::read_to_string(out.join("links")).map_err(|error| format!("links: {error}"))?;
    let judged = ended.and_then(|()| judge(&log, &expected)).and_then(|()| {
        let handed_over = guest::collect(here, &log, &log_path)?;
        compare(&alone, &handed_over)
    });
    judged.map_err(|error| guest::with_log(&error, &log, &log_path))
}

/// A udevd that made all devices alone, and one that took them over: the same links and records, and no cookie.
fn compare(alone: &Run, handed_over: &Run) -> Result<(), String> {
    let common = |run: &Run| -> Vec<_> {
        run.steps.iter().filter(|step| ["the root is up", "every device has changed"].contains(&step.step.as_str())).cloned().collect()
    };
    let steps = common(handed_over);
    if steps.len() != 2 {
        return Err(format!("{} steps after the hand-over, not two", steps.len()));
    }
    match parity::differences(&common(alone), &steps)? {
        differences if differences.is_empty() => Ok(()),
        differences => Err(format!("after the hand-over:\n{}", parity::report(&differences, ["alone", "handed over"]))),
    }
}

/// By the example's own script, as a person would.
fn build(initramfs: &Path, key: &Path, tree: &Path) -> Result<(), String> {
    let script = root().join("examples/busybox-initramfs/build");
    let output = Command::new(&script)
        .arg("-d")
        .arg(tree.join("usr/sbin/dmhelper"))
        .arg("-k")
        .arg(key)
        .arg(initramfs)
        .args(modules()?)
        .output()
        .map_err(|error| format!("{}: {error}", script.display()))?;
    if output.status.success() && output.stderr.is_empty() {
        return Ok(());
    }
    Err(format!("{}: {}\n{}", script.display(), output.status, String::from_utf8_lossy(&output.stderr)))
}

/// The files of the modules, each after those that it needs.
fn modules() -> Result<Vec<PathBuf>, String> {
    let releases = guest_root::get()?.path("usr/lib/uml/modules");
    let io = |error: std::io::Error| format!("{}: {error}", releases.display());
    let mut found: Vec<PathBuf> = fs::read_dir(&releases).map_err(io)?.flatten().map(|entry| entry.path()).collect();
    found.sort();
    let release = found.pop().ok_or("no modules of UML")?;
    let list = fs::read_to_string(release.join("modules.dep")).map_err(io)?;
    let mut files: Vec<PathBuf> = Vec::new();
    for name in MODULES {
        let suffix = format!("/{name}.ko");
        let found = list.lines().filter_map(|line| line.split_once(':')).find(|(file, _)| file.ends_with(&suffix));
        let Some((file, needed)) = found else { continue }; // Built in.
        // depmod(8) lists what must be loaded first last.
        for file in needed.split_whitespace().rev().chain([file]) {
            let file = release.join(file);
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// What the real root found against what a udevd made of the same devices.
fn judge(log: &str, expected: &str) -> Result<(), String> {
    let found: Vec<&str> = log.lines().filter_map(|line| line.trim_end().strip_prefix(MARK)).collect();
    if found.last() != Some(&"the root is up") {
        return Err("the real root did not come up".to_owned());
    }
    for complaint in ["by udev but", "Falling back to direct", "Kernel panic"] {
        if let Some(line) = log.lines().find(|line| line.contains(complaint)) {
            return Err(format!("a tool complained: {line}"));
        }
    }
    let starting_with = |start: &str| found.iter().copied().filter(|line| line.starts_with(start)).collect::<BTreeSet<&str>>();
    for (start, wrong) in [
        ("node ", "a tool made a node of its own: it did not synchronise"),
        ("cookie ", "a cookie was left"),
        ("still ", "dmhelper did not give its place up"),
    ] {
        if !starting_with(start).is_empty() {
            return Err(format!("{wrong}: {:?}", starting_with(start)));
        }
    }
    if starting_with("root ") != BTreeSet::from(["root /dev/disk/by-label/root"]) {
        return Err(format!("the root was not mounted by its label: {:?}", starting_with("root ")));
    }
    let expected: BTreeSet<&str> = expected.lines().collect();
    if expected.len() < 8 {
        return Err(format!("udevd made too few links to compare with: {expected:?}"));
    }
    let links = starting_with("link ");
    if links != expected {
        let (more, less): (Vec<_>, Vec<_>) = (links.difference(&expected).collect(), expected.difference(&links).collect());
        return Err(format!("links differ from udevd's: too many {more:?}, missing {less:?}"));
    }
    // Two activations, and what LVM and cryptsetup make besides for themselves.
    let said: Vec<&str> = starting_with("said ").into_iter().collect();
    let [said] = said.as_slice() else { return Err(format!("dmhelper said {} things, not one: {said:?}", said.len())) };
    super::judge::expect_clean_listener(said)
}
