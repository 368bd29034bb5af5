//! Boots a case from an image into its real root, under the stock rules and under ours, and compares what the two find.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::allowed::Allowed;
use super::guest::{self, Rules, Run};
use super::initramfs;
use super::install;
use super::parity;
use super::scenario::{Scenario, root};

/// What one boot cost until the first process of the real root.
#[derive(Clone, Debug)]
struct Cost {
    seconds: f64,
    processes: u64,
    image: u64,
}

/// By case and generator: stock and ours.
static COSTS: Mutex<BTreeMap<String, (Cost, Cost)>> = Mutex::new(BTreeMap::new());

/// One case with one generator: its disks under both rule sets.
pub(crate) fn case(case: &Scenario, generator: &Scenario, allowed: &Allowed) -> Result<(), String> {
    let (stock, stock_cost) = boot(case, generator, Rules::Stock)?;
    let (ours, ours_cost) = boot(case, generator, Rules::Ours)?;
    let mut costs = COSTS.lock().unwrap_or_else(PoisonError::into_inner);
    costs.insert(format!("{} {}", case.name, generator.name), (stock_cost, ours_cost));
    drop(costs);
    if ours.complaints.len() > stock.complaints.len() {
        return Err(format!("tools complain under our rules:\n  {}", ours.complaints.join("\n  ")));
    }
    let mut differences = parity::differences(&stock.steps, &ours.steps).map_err(|error| format!("{}: {error}", case.name))?;
    differences.retain(|difference| !allowed.covers(&format!("boot::{}", case.name), difference));
    if differences.is_empty() {
        return Ok(());
    }
    let path = ours.log_path.with_extension("diff");
    let report = parity::report(&differences, ["stock", "ours"]);
    fs::write(&path, &report).map_err(|error| format!("{}: {error}", path.display()))?;
    Err(format!("{}: {} facts differ ({}):\n{report}", case.name, differences.len(), path.display()))
}

fn boot(case: &Scenario, generator: &Scenario, rules: Rules) -> Result<(Run, Cost), String> {
    let disks = initramfs::disks(case)?;
    let image = initramfs::image(generator, rules)?;
    let after = Scenario::read("boot", &root().join("tests/boot/root.sh"))?;
    let shared = guest::prepare(&after, rules)?;
    let here = shared.path();
    let log_path = log_path(case, generator, rules)?;
    let complete = initramfs::image_with_key(&image, &disks.join("key"), here)?;
    let mut arguments = vec!["mem=768M".to_owned(), format!("initrd={}", complete.display())];
    arguments.extend(initramfs::attach(&disks, here)?);
    arguments.extend([format!("rig={}", here.display()), format!("uml_dir={}", here.display())]);
    arguments.extend(case.key(&generator.name).unwrap_or_default().split_whitespace().map(str::to_owned));
    let ended = guest::boot(&arguments, &log_path, case.deadline() + after.deadline() + guest::GRACE);
    let log = String::from_utf8_lossy(&fs::read(&log_path).unwrap_or_default()).into_owned();
    let result = ended.and_then(|()| guest::collect(here, &log, &log_path)).and_then(|run| {
        let cost = cost(here, case, &image)?;
        expect_quiet(&log, rules)?;
        Ok((run, cost))
    });
    let kept = log_path.with_extension("out");
    let _ = fs::remove_dir_all(&kept);
    guest::copy_tree(&here.join("out"), &kept)?;
    result.map_err(|error| guest::with_log(&format!("{} under {rules:?}: {error}", case.name), &log, &log_path))
}

fn log_path(case: &Scenario, generator: &Scenario, rules: Rules) -> Result<std::path::PathBuf, String> {
    let logs = install::rig_directory()?.join("logs");
    fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    Ok(logs.join(format!("boot-{}-{}-{rules:?}.log", case.name, generator.name).to_lowercase()))
}

/// What the first process of the real root noted. It also tells where the root was mounted from.
fn cost(here: &Path, case: &Scenario, image: &Path) -> Result<Cost, String> {
    let text = fs::read_to_string(here.join("out/boot")).map_err(|_| "the real root did not come up".to_owned())?;
    let find = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let expected = case.key("root").map(|name| format!("/dev/mapper/{name}"));
    if find("root") != expected.as_deref() {
        return Err(format!("the root is mounted from {:?}, not from {expected:?}", find("root")));
    }
    let seconds = find("uptime").and_then(|text| text.parse().ok()).ok_or("no uptime")?;
    let processes = find("processes").and_then(|text| text.parse().ok()).ok_or("no count of processes")?;
    let image = fs::metadata(image).map_err(|error| format!("{}: {error}", image.display()))?.len();
    Ok(Cost { seconds, processes, image })
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
    let path = install::rig_directory()?.join("boots.txt");
    fs::write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{text}");
    Ok(())
}
