//! The same programs and operations counted in instructions: a machine of QEMU's, emulated, whose clock goes on by one
//! nanosecond with each instruction that it executes. What its kernel takes for time then repeats, whatever else this
//! machine does.

use std::fs;
use std::path::{Path, PathBuf};

use crate::guests::{PARTNERS, PROCESSES, SIDES, settings};
use crate::image::{Image, shell};
use crate::launch::Launcher;
use crate::report::{self, Column, Samples, Table, Value};
use crate::rig::install;
use crate::rig::scenario::root;
use crate::spawn;

const TABLES: &[Table] = &[
    Table {
        name: "instructions",
        title: "thousand instructions, median",
        columns: spawn::TIMES,
        note: "from before vfork to after wait4, of the kernel and of the program; what caches, page tables and trapped instructions \
               cost is not in it",
    },
    Table {
        name: "lists",
        title: "milliseconds at a billion instructions a second, by number of devices",
        columns: LISTS,
        note: "devices with the names and UUIDs of LVM volumes, without udev; ratio, with 5,000, to the tool that answers the same question",
    },
    Table {
        name: "wall",
        title: "milliseconds at a billion instructions a second",
        columns: SIDES,
        note: "under udevd, stock rules and ours in turn; idle moments, in which the kernel waits, are in it, but RCU's grace periods are \
               expedited: a removal is little else, and an idle processor ends them later",
    },
    Table {
        name: "cpu",
        title: "CPU of udevd per operation, milliseconds of that kind",
        columns: SIDES,
        note: "in ticks of 10 ms, over a whole batch",
    },
    PROCESSES,
];
const LISTS: &[Column] = &[
    Column { heading: "1,000", value: Value::Median("1000"), decimals: 2 },
    Column { heading: "5,000", value: Value::Median("5000"), decimals: 2 },
    Column { heading: "exponent", value: Value::Growth((1000.0, "1000"), (5000.0, "5000")), decimals: 2 },
    Column { heading: "ratio", value: Value::Against(PARTNERS, "5000"), decimals: 3 },
];
/// Of this machine, for the operations under udevd; the rest of the shell's needs is busybox's.
const PROGRAMS: &[&str] = &[
    "/bin/bash",
    "/bin/kmod",
    "/sbin/losetup",
    "/sbin/cryptsetup",
    "/sbin/lvm",
    "/usr/bin/find",
    "/usr/bin/mawk",
    "/usr/bin/pgrep",
    "/usr/bin/unshare",
    "/usr/bin/udevadm",
    "/usr/lib/systemd/systemd-udevd",
    "/usr/sbin/dmsetup",
];
const LINKS: &[(&str, &str)] = &[
    ("../bin/kmod", "/usr/sbin/modprobe"),
    ("mawk", "/usr/bin/awk"),
    ("pgrep", "/usr/bin/pkill"),
    ("lvm", "/usr/sbin/pvcreate"),
    ("lvm", "/usr/sbin/vgcreate"),
    ("lvm", "/usr/sbin/vgchange"),
    ("lvm", "/usr/sbin/vgcfgbackup"),
    ("lvm", "/usr/sbin/vgcfgrestore"),
    ("lvm", "/usr/sbin/lvs"),
    ("busybox", "/usr/bin/sh"),
];
/// The rig's own scripts, which run there as in its other guests.
const SCRIPTS: &[&str] = &["rig/guest/boot.sh", "rig/guest/lib.sh", "bench/lib/bench.sh", "bench/event.sh"];
/// Of the clock inside, which idle moments do not cost anything.
const CONFIG: &str = "RIG_RULES=ours-debian\nRIG_DEADLINE=600\n";
const SETTINGS: &[(&str, &str)] = &[("BENCH_LVS", "50"), ("BENCH_ROUNDS", "2")];
const SCENARIO: &str = ". /rig/event.sh\necho 'icount: begin'\ncat /rig/out/samples\necho 'icount: end'\n";
const ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 nokaslr norandmaps rcupdate.rcu_expedited=1";
/// Seconds for all of it.
const DEADLINE: &str = "3000";

pub(crate) fn run(program: &str, launcher: &Launcher, work: &Path, directory: &Path) -> Result<PathBuf, String> {
    let temporary = tempfile::tempdir_in(work).map_err(|error| format!("{}: {error}", work.display()))?;
    let initrd = temporary.path().join("initrd");
    let kernel = work.join("kernel");
    fill(&Image::new(temporary.path().join("tree"))?, program, launcher, &kernel)?
        .pack(&root().join("tests/bench/lib/icount-init"), &initrd)?;

    println!("icount: booting Debian's kernel in QEMU");
    let console = shell(
        "exec setpriv --pdeathsig TERM timeout --signal=KILL \"$3\" qemu-system-x86_64 -accel tcg -icount shift=0,sleep=off -m 2048 -nodefaults -no-reboot \
         -display none -serial stdio -kernel \"$1\" -initrd \"$2\" -append \"$4\" </dev/null",
        &[&kernel.join("vmlinuz"), &initrd, Path::new(DEADLINE), Path::new(ARGUMENTS)],
    )?;
    let log = work.join("icount.log");
    fs::write(&log, &console).map_err(|error| format!("{}: {error}", log.display()))?;
    let console = console.replace('\r', "");
    // Processes first, then lists, then operations.
    let pieces: Vec<&str> =
        console.split("icount: begin\n").skip(1).filter_map(|piece| Some(piece.split_once("icount: end\n")?.0)).collect();
    if pieces.len() != 3 {
        return Err(format!("the measurement did not come to its end: {}", log.display()));
    }
    report::publish("icount", "In instructions", TABLES, &Samples::parse(&pieces.concat())?, directory)
}

fn fill<'a>(image: &'a Image, program: &str, launcher: &Launcher, kernel: &Path) -> Result<&'a Image, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    for file in launcher.files() {
        image.add(&file, &format!("rig/{}", file.file_name().unwrap_or_default().display()))?;
    }
    image.add(&this, "rig/bench")?;
    image.add(Path::new(program), "usr/sbin/dmhelper")?;
    image.add(Path::new("/bin/busybox"), "bin/busybox")?;
    PROGRAMS.iter().try_for_each(|program| image.add_program(program))?;
    LINKS.iter().try_for_each(|(target, path)| image.link(target, path))?;
    for script in SCRIPTS {
        let script = root().join("tests").join(script);
        image.add(&script, &format!("rig/{}", script.file_name().unwrap_or_default().display()))?;
    }
    image.write("rig/config", CONFIG)?;
    image.write("rig/settings", &settings(SETTINGS))?;
    image.write("rig/scenario.sh", SCENARIO)?;
    for file in ["/etc/passwd", "/etc/group", "/etc/lvm/lvm.conf"] {
        image.add(Path::new(file), file)?;
    }
    image.add_folder(Path::new("/usr/lib/udev/rules.d"), "usr/lib/udev/rules.d")?;
    image.add_folder(&install::tree("debian")?, "rig/install")?;
    image.add_folder(&kernel.join("modules"), "usr/lib/modules")?;
    Ok(image)
}
