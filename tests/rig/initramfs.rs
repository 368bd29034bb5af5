//! What a boot is made of: disks and images. Both are made in a guest, once, and kept until what they were made of changes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use super::guest::{self, Rules, SCRIPTS};
use super::scenario::{Scenario, root};
use super::{guest_root, install};

/// What a script under `tests/boot/images` leaves, and the name under which a boot takes it.
const IMAGE: &str = "initrd.img";

type Made = Arc<OnceLock<Result<PathBuf, String>>>;
/// Within one run; by the name under which it is kept.
static MADE: Mutex<BTreeMap<String, Made>> = Mutex::new(BTreeMap::new());

/// The image that a generator builds with these rules. It depends on the host's packages, too.
pub(crate) fn image(generator: &Scenario, rules: Rules) -> Result<PathBuf, String> {
    let name = format!("image-{}-{rules:?}", generator.name).to_lowercase();
    let kept = kept(&name, IMAGE, generator, rules, || match rules {
        Rules::Ours => Ok((packages(), files(&install::tree(generator.layout())?)?)),
        _ => Ok((packages(), Vec::new())),
    })?;
    Ok(kept.join(IMAGE))
}

/// The directory with `disk1.img` … and `key`. The stock rules and tools make them: what is on a disk does not depend on
/// what is under test.
pub(crate) fn disks(case: &Scenario) -> Result<PathBuf, String> {
    kept(&format!("disks-{}", case.name), "disk1.img", case, Rules::Stock, || Ok((String::new(), Vec::new())))
}

/// What a scenario left in `/rig/out`, `proof` among it: in this run, or in an earlier one with the same scripts and the
/// same parts.
fn kept(
    name: &str,
    proof: &str,
    scenario: &Scenario,
    rules: Rules,
    parts: impl FnOnce() -> Result<(String, Vec<PathBuf>), String>,
) -> Result<PathBuf, String> {
    let made = {
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry(name.to_owned()).or_default())
    };
    let make = || {
        let parent = install::results_directory()?.join("kept");
        let io = |error: io::Error| format!("{}: {error}", parent.display());
        fs::create_dir_all(&parent).map_err(io)?;
        let (words, parts) = parts()?;
        let mut hasher = DefaultHasher::new();
        words.hash(&mut hasher);
        let scripts = SCRIPTS.iter().map(|script| root().join("tests").join(script));
        for part in scripts.chain([scenario.path.clone()]).chain(parts) {
            fs::read(&part).map_err(|error| format!("{}: {error}", part.display()))?.hash(&mut hasher);
        }
        let kept = parent.join(format!("{name}-{:016x}", hasher.finish()));
        if kept.join(proof).exists() {
            return Ok(kept);
        }
        for old in fs::read_dir(&parent).map_err(io)?.flatten() {
            if old.file_name().to_string_lossy().rsplit_once('-').is_some_and(|(made_as, _)| made_as == name) {
                fs::remove_dir_all(old.path()).map_err(io)?;
            }
        }
        let run = guest::run(scenario, rules)?;
        let out = run.log_path.with_extension("out");
        if !fs::metadata(out.join(proof)).is_ok_and(|found| found.len() > 0) {
            return Err(format!("{} left no {proof}", scenario.test_name()));
        }
        fs::rename(&out, &kept).map_err(io)?;
        Ok(kept)
    };
    made.get_or_init(make).clone()
}

/// All packages and their versions; where that is not known, nothing is kept beyond a run.
fn packages() -> String {
    let Ok(root) = guest_root::get() else { return format!("{:?}", SystemTime::now()) };
    match Command::new("dpkg-query").arg("--admindir").arg(root.path("var/lib/dpkg")).arg("--show").output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => format!("{:?}", SystemTime::now()),
    }
}

/// The regular files below a directory, in order, without documentation: no image depends on it.
fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.ends_with("usr/share/doc") || path.ends_with("usr/share/man") {
            continue;
        }
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

/// Copies the disks, but for the absent one, into the directory of a boot; gives the kernel's arguments for them.
pub(crate) fn attach(disks: &Path, absent: Option<u32>, here: &Path) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    for (number, letter) in (1..).zip('a'..='h') {
        let (name, disk) = (format!("disk{number}.img"), disks.join(format!("disk{number}.img")));
        if !disk.exists() || absent == Some(number) {
            continue;
        }
        let copy = here.join(name);
        let status = Command::new("cp").arg("--sparse=always").args([&disk, &copy]).status().map_err(|error| format!("cp: {error}"))?;
        if !status.success() {
            return Err(format!("cp {}: {status}", disk.display()));
        }
        arguments.push(format!("ubd{letter}={}", copy.display()));
    }
    Ok(arguments)
}

/// The image with files added, each at its path: another archive after the first, which the kernel unpacks over it.
pub(crate) fn add(image: &Path, files: &[(String, PathBuf)], here: &Path) -> Result<PathBuf, String> {
    let io = |error: io::Error| format!("{}: {error}", here.display());
    let added = here.join("added");
    let mut list: Vec<String> = Vec::new();
    for (path, source) in files {
        let target = added.join(path);
        fs::create_dir_all(target.parent().unwrap_or(&added)).map_err(io)?;
        fs::copy(source, &target).map_err(io)?;
        guest::make_executable(&target).map_err(io)?;
        let parents = Path::new(path).ancestors().filter(|path| !path.as_os_str().is_empty());
        let mut parents: Vec<String> = parents.map(|path| path.display().to_string()).collect();
        parents.reverse();
        list.extend(parents);
    }
    let complete = here.join(IMAGE);
    fs::copy(image, &complete).map_err(io)?;
    let output = File::options().append(true).open(&complete).map_err(io)?;
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
