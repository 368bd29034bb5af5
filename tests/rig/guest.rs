//! Boots one guest for one scenario and collects what it left. The guest cannot outlive its deadline, nor this process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::scenario::{Scenario, root};
use super::snapshot::{self, Snapshot};
use super::{guest_root, install};

/// Which rules the guest's udevd reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The distribution's, untouched.
    Stock,
    /// Ours in place of the distribution's, in the scenario's file layout.
    Ours,
    /// The distribution's without the by-uuid links: what a comparison must notice.
    Broken,
    /// No rules and no udevd: `dmhelper listen` in its place.
    Listen,
}

/// What a guest left behind after a scenario ran to its end.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) steps: Vec<Snapshot>,
    pub(crate) assertions: usize,
    pub(crate) measures: Vec<(String, u64)>,
    /// Tools complaining that udev did not do its part.
    pub(crate) complaints: Vec<String>,
    /// What `dmhelper listen` said, where it ran.
    pub(crate) listener: String,
    pub(crate) log_path: PathBuf,
}

/// Time after the guest's own deadline for it to explain itself, before it is killed.
pub(crate) const GRACE: Duration = Duration::from_secs(20);
const BOOT: Duration = Duration::from_secs(40);
const TAIL_LINES: usize = 40;
/// What a guest finds in the shared directory; two for scenarios that ask for them; the last two are for making disks to boot from.
pub(crate) const SCRIPTS: &[&str] = &[
    "rig/guest/init.sh",
    "rig/guest/boot.sh",
    "rig/guest/lib.sh",
    "rig/guest/completer.sh",
    "rig/guest/detach.sh",
    "boot/disk.sh",
    "boot/root-init.sh",
];

type Kept = Arc<OnceLock<Result<Arc<Run>, String>>>;
/// Runs under our rules, by scenario: compared with the stock rules and with `dmhelper listen`.
static RUNS: Mutex<BTreeMap<PathBuf, Kept>> = Mutex::new(BTreeMap::new());

/// The scenario under our rules: booted by whoever asks first, the same run for all who ask.
pub(crate) fn ours_once(scenario: &Scenario) -> Result<Arc<Run>, String> {
    let kept = {
        let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(runs.entry(scenario.path.clone()).or_default())
    };
    kept.get_or_init(|| run(scenario, Rules::Ours).map(Arc::new)).clone()
}

/// Boots, runs, collects. An error is the whole report: the scenario, the step it died in, the log's tail and path.
pub(crate) fn run(scenario: &Scenario, rules: Rules) -> Result<Run, String> {
    let log_path = log_path(scenario, rules)?;

    // Lives until the end of this function, whichever way it ends.
    let shared = prepare(scenario, rules)?;
    let here = shared.path().display();
    let mut arguments = vec![format!("mem={}M", scenario.memory()), format!("rig={here}"), format!("uml_dir={here}")];
    arguments.extend(guest_root::get()?.arguments(shared.path()));
    let ended = boot(&arguments, &log_path, BOOT + scenario.deadline() + GRACE);
    let log = String::from_utf8_lossy(&fs::read(&log_path).unwrap_or_default()).into_owned();
    let collected = ended.and_then(|()| collect(shared.path(), &log, &log_path));
    // The records stay beside the log, for whoever has to find out why.
    let kept = log_path.with_extension("out");
    let _ = fs::remove_dir_all(&kept);
    copy_tree(&shared.path().join("out"), &kept)?;
    collected.map_err(|error| {
        let under = match rules {
            Rules::Listen => "`dmhelper listen`".to_owned(),
            _ => format!("the {} rules", rules_label(scenario, rules)),
        };
        format!("{} under {under}: {}", scenario.test_name(), with_log(&error, &log, &log_path))
    })
}

/// The error, and for whoever has to find out why: the last step, the log's end and its path.
pub(crate) fn with_log(error: &str, log: &str, log_path: &Path) -> String {
    let step = log.lines().rev().find_map(|line| line.strip_prefix("rig: step ")).unwrap_or("none yet");
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n  | ");
    format!("{error}\nlast step: {step}\nguest log ({}), its end:\n  | {tail}", log_path.display())
}

/// Where the guest's console of this scenario under these rules is kept.
pub(crate) fn log_path(scenario: &Scenario, rules: Rules) -> Result<PathBuf, String> {
    let label = format!("{}-{}", scenario.test_name().replace("::", "-"), rules_label(scenario, rules));
    let logs = install::results_directory()?.join("logs");
    fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    Ok(logs.join(format!("{label}.log")))
}

fn rules_label(scenario: &Scenario, rules: Rules) -> String {
    match rules {
        Rules::Stock => "stock".to_owned(),
        Rules::Broken => "broken".to_owned(),
        Rules::Listen => format!("listen-{}", scenario.layout()),
        Rules::Ours => format!("ours-{}", scenario.layout()),
    }
}

/// The directory shared with the guest: its scripts, the scenario, our install tree, and `out` for the results.
pub(crate) fn prepare(scenario: &Scenario, rules: Rules) -> Result<TempDir, String> {
    let parent = install::rig_directory()?;
    let shared = tempfile::Builder::new().prefix("guest-").tempdir_in(&parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    let here = shared.path();
    let io = |error: std::io::Error| format!("{}: {error}", here.display());
    for script in SCRIPTS {
        let script = root().join("tests").join(script);
        fs::copy(&script, here.join(script.file_name().unwrap_or_default())).map_err(io)?;
    }
    make_executable(&here.join("init.sh")).map_err(io)?;
    fs::copy(&scenario.path, here.join("scenario.sh")).map_err(io)?;
    for file in &scenario.brings {
        fs::copy(file, here.join(file.file_name().unwrap_or_default())).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    fs::create_dir_all(here.join("out/steps")).map_err(io)?;
    if matches!(rules, Rules::Ours | Rules::Listen) {
        copy_tree(&install::tree(scenario.layout())?, &here.join("install"))?;
    }
    if let Some(neighbours) = scenario.neighbours() {
        copy_tree(&neighbours, &here.join("rules.d"))?;
    }
    let config = format!(
        "RIG_RULES={}\nRIG_LAYOUT={}\nRIG_DEADLINE={}\nRIG_UDEV_DEBUG={}\nRIG_INIT={}\n",
        rules_label(scenario, rules),
        scenario.layout(),
        scenario.deadline().as_secs(),
        if scenario.debugs_udevd() { "yes" } else { "no" },
        if scenario.under_systemd() { "systemd" } else { "boot.sh" }
    );
    fs::write(here.join("config"), config).map_err(io)?;
    Ok(shared)
}

pub(crate) fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<(), String> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().map_err(|error| format!("cp: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cp -a {} {}: {status}", from.display(), to.display())) }
}

/// A guest's whole process group, killed when this goes out of scope.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        // That nothing is left to kill is the normal case. The kernel has made a session of its own, below `timeout`.
        // No `--` before the group: dash's own kill does not know it.
        const KILL: &str = r#"for group in $(ps -o pid= --ppid "$1") "$1"; do kill -KILL "-$group" 2>/dev/null; done"#;
        let group = self.0.id().to_string();
        let _ = Command::new("/bin/sh").args(["-c", KILL, "kill", &group]).status();
        let _ = self.0.wait();
    }
}

/// Boots with these arguments of the kernel, the console to the log, until the guest switches itself off.
pub(crate) fn boot(arguments: &[String], log_path: &Path, deadline: Duration) -> Result<(), String> {
    let log = File::create(log_path).map_err(|error| format!("{}: {error}", log_path.display()))?;
    let errors = log.try_clone().map_err(|error| format!("{}: {error}", log_path.display()))?;
    let kernel = guest_root::get()?.kernel();
    // Two guards for the case that this process is killed: the guest dies with it, and by itself at its deadline.
    let child = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "timeout", "--signal=KILL", &(deadline.as_secs() + 5).to_string()])
        .arg(kernel)
        .args(arguments)
        .args(["con0=fd:0,fd:1", "con=null", "quiet"])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{}: {error}", kernel.display()))?;
    let mut guest = Guest(child);
    let started = Instant::now();
    loop {
        if guest.0.try_wait().map_err(|error| format!("{}: {error}", kernel.display()))?.is_some() {
            return Ok(());
        }
        if started.elapsed() > deadline {
            return Err(format!("no end within {} s: the guest was killed", deadline.as_secs()));
        }
        sleep(Duration::from_millis(50));
    }
}

pub(crate) fn collect(shared: &Path, log: &str, log_path: &Path) -> Result<Run, String> {
    let out = shared.join("out");
    if log.contains("Kernel panic") {
        return Err("the guest's kernel panicked".to_owned());
    }
    if let Ok(failure) = fs::read_to_string(out.join("failure")) {
        return Err(failure.trim_end().to_owned());
    }
    let end = fs::read_to_string(out.join("end")).map_err(|_| "the scenario died before its end".to_owned())?;
    let counts: Vec<usize> = end.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [steps, assertions] = counts.as_slice() else { return Err(format!("bad end marker `{end}`")) };
    if let Ok(calls) = fs::read_to_string(out.join("dmsetup-calls")) {
        return Err(format!("rules ran dmsetup, which must be out of their reach:\n{calls}"));
    }
    let snapshots = snapshot::read_all(&out.join("steps"))?;
    if snapshots.len() != steps + 1 {
        return Err(format!("{} records of {steps} steps and the end", snapshots.len()));
    }
    if let Some(last) = snapshots.last().filter(|last| last.semaphores > 0) {
        return Err(format!("{} cookies were left at the end", last.semaphores));
    }
    let complaint = |line: &&str| line.contains("by udev but") || line.contains("Falling back to direct");
    Ok(Run {
        steps: snapshots,
        assertions: *assertions,
        measures: measures(&out.join("measures"))?,
        listener: fs::read_to_string(out.join("listen.log")).unwrap_or_default(),
        complaints: log.lines().filter(complaint).map(str::to_owned).collect(),
        log_path: log_path.to_owned(),
    })
}

fn measures(path: &Path) -> Result<Vec<(String, u64)>, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let parse = |line: &str| {
        let (count, kind) = line.split_once('\t')?;
        Some((kind.to_owned(), count.parse().ok()?))
    };
    text.lines().map(|line| parse(line).ok_or_else(|| format!("bad measure `{line}`"))).collect()
}
