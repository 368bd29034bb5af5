//! The same programs counted in instructions: a machine of QEMU's, emulated, whose clock goes on by one nanosecond with
//! each instruction that it executes. What its kernel takes for time then repeats, whatever else this machine does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::launch::Launcher;
use crate::report::{self, Samples, Table};
use crate::rig::guest::make_executable;
use crate::rig::scenario::root;
use crate::spawn;

const TABLE: Table = Table {
    name: "instructions",
    title: "thousand instructions, median",
    columns: spawn::TIMES,
    note: "from before vfork to after wait4, of the kernel and of the program; what caches, page tables and trapped instructions cost is not in it",
};
const ROUNDS: &str = "15";
/// Seconds for one boot with all measurements.
const DEADLINE: &str = "300";

pub(crate) fn run(program: &str, launcher: &Launcher, work: &Path, directory: &Path) -> Result<PathBuf, String> {
    let kernel = work.join("kernel");
    let temporary = tempfile::tempdir_in(work).map_err(|error| format!("{}: {error}", work.display()))?;
    let tree = temporary.path().join("tree");
    for (from, to) in files(program, launcher, &kernel)? {
        let to = tree.join(to.trim_start_matches('/'));
        let copied = fs::create_dir_all(to.parent().unwrap_or(&tree)).and_then(|()| fs::copy(&from, &to));
        copied.map_err(|error| format!("{}: {error}", from.display()))?;
    }
    for empty in ["proc", "sys", "dev", "run"] {
        fs::create_dir_all(tree.join(empty)).map_err(|error| format!("{empty}: {error}"))?;
    }
    make_executable(&tree.join("init")).map_err(|error| format!("init: {error}"))?;
    let image = temporary.path().join("initrd");
    shell("cd \"$1\" && find . | cpio --quiet --create --format=newc >\"$2\"", &[&tree, &image])?;

    println!("icount: booting Debian's kernel in QEMU");
    let console = shell(
        "timeout --signal=KILL \"$3\" qemu-system-x86_64 -accel tcg -icount shift=0,sleep=off -m 512 -nodefaults -no-reboot -display none \
         -serial stdio -kernel \"$1\" -initrd \"$2\" -append \"$4\" </dev/null",
        &[
            &kernel.join("vmlinuz"),
            &image,
            Path::new(DEADLINE),
            Path::new(&format!("console=ttyS0 quiet panic=-1 nokaslr norandmaps ROUNDS={ROUNDS}")),
        ],
    )?;
    let log = work.join("icount.log");
    fs::write(&log, &console).map_err(|error| format!("{}: {error}", log.display()))?;
    let console = console.replace('\r', "");
    let measured = console.split_once("icount: begin\n").and_then(|(_, rest)| rest.split_once("icount: end\n"));
    let (text, _) = measured.ok_or_else(|| format!("the measurement did not come to its end: {}", log.display()))?;
    report::publish("icount", "Processes, in instructions", &[TABLE], &Samples::parse(text)?, directory)
}

/// What the initramfs holds: from where, to where.
fn files(program: &str, launcher: &Launcher, kernel: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut files = vec![
        (root().join("tests/bench/lib/icount-init"), "init".to_owned()),
        ("/bin/busybox".into(), "bin/busybox".to_owned()),
        (kernel.join("dm-mod.ko"), "dm-mod.ko".to_owned()),
        (program.into(), "usr/sbin/dmhelper".to_owned()),
        (spawn::DMSETUP.into(), "usr/sbin/dmsetup".to_owned()),
        (this, "rig/bench".to_owned()),
    ];
    files.extend(launcher.files().map(|file| (file.clone(), format!("rig/{}", file.file_name().unwrap_or_default().display()))));
    let libraries = spawn::libraries(spawn::DMSETUP)?;
    files.extend(libraries.into_iter().map(|library| (library.clone(), library.display().to_string())));
    Ok(files)
}

/// The standard output of a script that must succeed.
fn shell(script: &str, arguments: &[&Path]) -> Result<String, String> {
    let output = Command::new("sh").args(["-euc", script, "sh"]).args(arguments).output().map_err(|error| format!("sh: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{script}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}
