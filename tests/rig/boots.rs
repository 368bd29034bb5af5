//! Boots a case from an image into its real root, under the stock rules and under ours, and compares what the two find.
//! Or shows that a boot which cannot succeed ends in time, saying why.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use super::allowed::Allowed;
use super::guest::{self, Rules, Run};
use super::initramfs;
use super::parity;
use super::scenario::{Scenario, root};
use super::{guest_root, install};

/// Where the image has the key of all volumes, for the kernel command lines of the generators.
const KEY: &str = "etc/boot.key";

/// What one boot cost until the first process of the real root.
#[derive(Clone, Debug)]
struct Cost {
    seconds: f64,
    processes: u64,
    image: u64,
}

/// By case and generator: stock and ours.
static COSTS: Mutex<BTreeMap<String, (Cost, Cost)>> = Mutex::new(BTreeMap::new());

/// One boot that has ended, somehow.
struct Ended {
    shared: TempDir,
    log: String,
    log_path: PathBuf,
    in_time: Result<(), String>,
    image: PathBuf,
}

/// One case with one generator: its disks under both rule sets.
pub(crate) fn case(case: &Scenario, generator: &Scenario, allowed: &Allowed) -> Result<(), String> {
    let (stock, stock_cost) = up(case, generator, Rules::Stock)?;
    let (ours, ours_cost) = up(case, generator, Rules::Ours)?;
    let mut costs = COSTS.lock().unwrap_or_else(PoisonError::into_inner);
    costs.insert(format!("{} {}", case.name, generator.name), (stock_cost, ours_cost));
    drop(costs);
    if ours.complaints.len() > stock.complaints.len() {
        return Err(format!("tools complain under our rules:\n  {}", ours.complaints.join("\n  ")));
    }
    let differences = parity::differences(&stock.steps, &ours.steps).map_err(|error| format!("{}: {error}", case.name))?;
    let differences = allowed.others(&format!("boot::{}", case.name), differences);
    if differences.is_empty() {
        return Ok(());
    }
    let path = ours.log_path.with_extension("diff");
    let report = parity::report(&differences, ["stock", "ours"]);
    fs::write(&path, &report).map_err(|error| format!("{}: {error}", path.display()))?;
    Err(format!("{}: {} facts differ ({}):\n{report}", case.name, differences.len(), path.display()))
}

/// A boot that must come up, and what it found and cost.
fn up(case: &Scenario, generator: &Scenario, rules: Rules) -> Result<(Run, Cost), String> {
    let after = Scenario::read("boot", &root().join("tests/boot/root.sh"))?;
    let ended = boot(case, case, generator, rules, case.deadline() + after.deadline())?;
    let result = ended.in_time.clone().and_then(|()| guest::collect(ended.shared.path(), &ended.log, &ended.log_path));
    let result = result.and_then(|run| {
        expect_quiet(&ended.log, rules)?;
        Ok((run, cost(case, &ended)?))
    });
    result.map_err(|error| guest::with_log(&format!("{} under {rules:?}: {error}", case.name), &ended.log, &ended.log_path))
}

/// A boot that cannot come up: under ours it ends in time, with a message that names the cause.
pub(crate) fn down(test: &Scenario, case: &Scenario, generator: &Scenario) -> Result<(), String> {
    let says = test.key("says").ok_or_else(|| format!("{}: no `says`", test.name))?;
    let ended = boot(test, case, generator, Rules::Ours, test.deadline())?;
    let judged = ended.in_time.clone().and_then(|()| {
        if ended.shared.path().join("out/boot").exists() {
            return Err("the real root came up".to_owned());
        }
        match ended.log.lines().any(|line| line.contains(says)) {
            true => Ok(()),
            false => Err(format!("nobody said `{says}`")),
        }
    });
    judged.map_err(|error| guest::with_log(&format!("{}: {error}", test.name), &ended.log, &ended.log_path))
}

/// Boots `test`, with the disks of `case`, until the guest switches itself off or the time is over.
fn boot(test: &Scenario, case: &Scenario, generator: &Scenario, rules: Rules, deadline: Duration) -> Result<Ended, String> {
    let disks = initramfs::disks(case)?;
    let image = initramfs::image(generator, rules)?;
    let shared = guest::prepare(&Scenario::read("boot", &root().join("tests/boot/root.sh"))?, rules)?;
    let here = shared.path();
    let mut added = vec![(KEY.to_owned(), disks.join("key"))];
    if let Some(at) = test.key(&format!("{}-at", generator.name)) {
        added.push((at.to_owned(), test.path.clone()));
    }
    let complete = initramfs::add(&image, &added, here)?;
    let absent = test.key("absent").and_then(|number| number.parse().ok());
    let mut arguments = vec!["mem=768M".to_owned(), format!("initrd={}", complete.display())];
    arguments.extend(initramfs::attach(&disks, absent, here)?);
    arguments.extend([format!("rig={}", here.display()), format!("uml_dir={}", here.display())]);
    arguments.push(format!("rig_root={}", guest_root::get()?.tree().display()));
    let failing = test.key(&generator.name).filter(|_| test.path != case.path);
    let own = [generator.key("always"), case.key(&generator.name), failing];
    arguments.extend(own.into_iter().flatten().flat_map(str::split_whitespace).map(str::to_owned));

    let logs = install::results_directory()?.join("logs");
    fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    let log_path = logs.join(format!("boot-{}-{}-{rules:?}.log", test.name, generator.name).to_lowercase());
    let in_time = guest::boot(&arguments, &log_path, deadline + guest::GRACE);
    let log = String::from_utf8_lossy(&fs::read(&log_path).unwrap_or_default()).into_owned();
    let kept = log_path.with_extension("out");
    let _ = fs::remove_dir_all(&kept);
    guest::copy_tree(&here.join("out"), &kept)?;
    Ok(Ended { shared, log, log_path, in_time, image })
}

/// What the first process of the real root noted. It also tells where the root was mounted from.
fn cost(case: &Scenario, ended: &Ended) -> Result<Cost, String> {
    let text = fs::read_to_string(ended.shared.path().join("out/boot")).map_err(|_| "the real root did not come up".to_owned())?;
    let find = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let expected = case.key("root").map(|name| format!("/dev/mapper/{name}"));
    if find("root") != expected.as_deref() {
        return Err(format!("the root is mounted from {:?}, not from {expected:?}", find("root")));
    }
    let seconds = find("uptime").and_then(|text| text.parse().ok()).ok_or("no uptime")?;
    let processes = find("processes").and_then(|text| text.parse().ok()).ok_or("no count of processes")?;
    Ok(Cost { seconds, processes, image: size(&ended.image)? })
}

fn size(path: &Path) -> Result<u64, String> {
    Ok(fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?.len())
}

/// With ours nobody may look for a dmsetup that is not there.
fn expect_quiet(log: &str, rules: Rules) -> Result<(), String> {
    match log.lines().find(|line| line.contains("dmsetup") && rules == Rules::Ours) {
        Some(line) => Err(format!("somebody missed dmsetup: {line}")),
        None => Ok(()),
    }
}

/// Prints what the boots cost, and keeps it in `target/rig/boots.txt`.
pub(crate) fn print_costs() -> Result<(), String> {
    let costs = COSTS.lock().unwrap_or_else(PoisonError::into_inner);
    if costs.is_empty() {
        return Ok(());
    }
    let mut text = format!(
        "{:<36} {:>12} {:>17} {:>19}\n{:<36} {:>6} {:>5} {:>8} {:>8} {:>9} {:>9}\n",
        "until the root's first process", "image, MB", "seconds", "processes", "", "stock", "ours", "stock", "ours", "stock", "ours"
    );
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    for (name, (stock, ours)) in costs.iter() {
        text.push_str(&format!(
            "{name:<36} {:>6.1} {:>5.1} {:>8.1} {:>8.1} {:>9} {:>9}\n",
            megabytes(stock.image),
            megabytes(ours.image),
            stock.seconds,
            ours.seconds,
            stock.processes,
            ours.processes
        ));
    }
    let path = install::results_directory()?.join("boots.txt");
    fs::write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{text}");
    Ok(())
}
