//! What a boot is made of: disks, made once and kept, and images, built once per run under either rule set.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::guest::{self, Rules, SCRIPTS};
use super::install;
use super::scenario::{Scenario, root};

/// What a script under `tests/boot/images` leaves, and the name under which a boot takes it.
const IMAGE: &str = "initrd.img";
/// Where the image has the key of all volumes, for the kernel command lines of the cases.
const KEY: &str = "etc/boot.key";

type Kept = Arc<OnceLock<Result<PathBuf, String>>>;
/// By generator, and by disk.
static BUILT: Mutex<BTreeMap<String, Kept>> = Mutex::new(BTreeMap::new());

/// Made once, by whoever asks first.
fn once(name: &str, make: impl FnOnce() -> Result<PathBuf, String>) -> Result<PathBuf, String> {
    let kept = {
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(built.entry(name.to_owned()).or_default())
    };
    kept.get_or_init(make).clone()
}

/// The image that a generator builds for these rules.
pub(crate) fn image(generator: &Scenario, rules: Rules) -> Result<PathBuf, String> {
    once(&format!("image {} {rules:?}", generator.name), || {
        let run = guest::run(generator, rules)?;
        let image = run.log_path.with_extension("out").join(IMAGE);
        match fs::metadata(&image) {
            Ok(found) if found.len() > 0 => Ok(image),
            _ => Err(format!("{} left no {IMAGE}", generator.test_name())),
        }
    })
}

/// The directory with `disk1.img` … and `key`, of this run or of an earlier one by the same scripts.
pub(crate) fn disks(case: &Scenario) -> Result<PathBuf, String> {
    once(&format!("disks {}", case.name), || {
        let parent = install::rig_directory()?.join("disks");
        let io = |error: io::Error| format!("{}: {error}", parent.display());
        let mut hasher = DefaultHasher::new();
        for script in SCRIPTS.iter().map(|script| root().join("tests").join(script)).chain([case.path.clone()]) {
            fs::read(&script).map_err(io)?.hash(&mut hasher);
        }
        let kept = parent.join(format!("{}-{:016x}", case.name, hasher.finish()));
        if kept.join("disk1.img").exists() {
            return Ok(kept);
        }
        fs::create_dir_all(&parent).map_err(io)?;
        // Those that older scripts made.
        for entry in fs::read_dir(&parent).map_err(io)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.rsplit_once('-').is_some_and(|(made_by, _)| made_by == case.name) {
                fs::remove_dir_all(entry.path()).map_err(io)?;
            }
        }
        // The stock rules and tools make them: what is on a disk does not depend on what is under test.
        let run = guest::run(case, Rules::Stock)?;
        let out = run.log_path.with_extension("out");
        for entry in fs::read_dir(&out).map_err(io)?.flatten().map(|entry| entry.path()) {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name != "key" && !name.ends_with(".img") {
                if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) }.map_err(io)?;
            }
        }
        if !out.join("disk1.img").exists() {
            return Err(format!("{} left no disk", case.test_name()));
        }
        fs::rename(&out, &kept).map_err(io)?;
        Ok(kept)
    })
}

/// Copies the disks into the directory of a boot; gives the kernel's arguments for them.
pub(crate) fn attach(disks: &Path, here: &Path) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    for (number, letter) in (1..).zip('a'..='h') {
        let disk = disks.join(format!("disk{number}.img"));
        if !disk.exists() {
            break;
        }
        let copy = here.join(format!("disk{number}.img"));
        let status = Command::new("cp").arg("--sparse=always").args([&disk, &copy]).status().map_err(|error| format!("cp: {error}"))?;
        if !status.success() {
            return Err(format!("cp {}: {status}", disk.display()));
        }
        arguments.push(format!("ubd{letter}={}", copy.display()));
    }
    Ok(arguments)
}

/// The image with files added: another archive after the first, which the kernel unpacks over it.
pub(crate) fn image_with_key(image: &Path, key: &Path, here: &Path) -> Result<PathBuf, String> {
    let io = |error: io::Error| format!("{}: {error}", here.display());
    let added = here.join("added");
    let target = added.join(KEY);
    fs::create_dir_all(target.parent().unwrap_or(&added)).map_err(io)?;
    fs::copy(key, &target).map_err(io)?;
    let complete = here.join(IMAGE);
    fs::copy(image, &complete).map_err(io)?;
    let output = File::options().append(true).open(&complete).map_err(io)?;
    let list = Path::new(KEY).ancestors().filter(|path| !path.as_os_str().is_empty()).map(|path| path.display().to_string());
    let list: Vec<String> = list.collect::<Vec<_>>().into_iter().rev().collect();
    let mut cpio = Command::new("cpio")
        .args(["--create", "--format=newc", "--quiet", "--owner=0:0"])
        .current_dir(&added)
        .stdin(Stdio::piped())
        .stdout(output)
        .spawn()
        .map_err(|error| format!("cpio: {error}"))?;
    if let Some(mut names) = cpio.stdin.take() {
        names.write_all((list.join("\n") + "\n").as_bytes()).map_err(io)?;
    }
    let status = cpio.wait().map_err(|error| format!("cpio: {error}"))?;
    if status.success() { Ok(complete) } else { Err(format!("cpio: {status}")) }
}
