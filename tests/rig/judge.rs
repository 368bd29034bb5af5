//! Passes or fails a scenario.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use super::allowed::Allowed;
use super::guest::{self, Rules, Run};
use super::install;
use super::parity::{self, Difference};
use super::scenario::Scenario;

/// By kind, under the stock rules and under ours.
static MEASURES: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::new(BTreeMap::new());

/// Under our rules only: the scenario's own assertions decide.
pub(crate) fn ours(scenario: &Scenario) -> Result<(), String> {
    alone(scenario, Rules::Ours)
}

/// The same under the stock rules, for the rig's tests of itself.
pub(crate) fn stock_alone(scenario: &Scenario) -> Result<(), String> {
    alone(scenario, Rules::Stock)
}

fn alone(scenario: &Scenario, rules: Rules) -> Result<(), String> {
    let run = guest::run(scenario, rules)?;
    if run.assertions == 0 {
        return Err(format!("{} asserted nothing", scenario.test_name()));
    }
    Ok(())
}

/// Under the stock rules, then under ours; then the two are compared.
pub(crate) fn parity(scenario: &Scenario, allowed: &Allowed) -> Result<(), String> {
    let stock = guest::run(scenario, Rules::Stock)?;
    let ours = match candidate() {
        Rules::Ours => guest::ours_once(scenario)?,
        other => Arc::new(guest::run(scenario, other)?),
    };
    if stock.steps.len() < 2 {
        return Err(format!("{} took no step", scenario.test_name()));
    }
    compare_measures(&stock, &ours)?;
    if ours.complaints.len() > stock.complaints.len() {
        return Err(format!("tools complain under our rules:\n  {}", ours.complaints.join("\n  ")));
    }
    let differences = parity::differences(&stock.steps, &ours.steps);
    none_but_allowed(scenario, differences, allowed, ["stock", "ours"], &stock)
}

/// Under our rules with udevd, then with `dmhelper listen` and no udevd at all: what there is without udevd must be the
/// same after every step.
pub(crate) fn listen(scenario: &Scenario, allowed: &Allowed) -> Result<(), String> {
    let udevd = guest::ours_once(scenario)?;
    let listen = guest::run(scenario, Rules::Listen)?;
    expect_clean_listener(&listen.listener).map_err(|error| format!("{}: {error}\n{}", scenario.test_name(), listen.listener))?;
    if !listen.complaints.is_empty() {
        return Err(format!("tools complain without udevd:\n  {}", listen.complaints.join("\n  ")));
    }
    let differences = parity::differences_without_udevd(&udevd.steps, &listen.steps);
    none_but_allowed(scenario, differences, allowed, ["udevd", "listen"], &listen)
}

/// Its last words count what it did. Anything else it says is a complaint.
pub(crate) fn expect_clean_listener(said: &str) -> Result<(), String> {
    let lines: Vec<&str> = said.lines().collect();
    let [last] = lines.as_slice() else { return Err(format!("`dmhelper listen` said {} lines, not one", lines.len())) };
    let count = |what: &str| {
        let (before, _) = last.split_once(what)?;
        before.rsplit(' ').next()?.parse::<u64>().ok()
    };
    match (count(" cookies completed"), count(" datagrams dropped"), count(" times overrun")) {
        (Some(1..), Some(0), Some(0)) => Ok(()),
        (Some(0), ..) => Err("`dmhelper listen` completed no cookie: nobody synchronised with it".to_owned()),
        _ => Err("`dmhelper listen` lost something, or does not say what it did".to_owned()),
    }
}

fn none_but_allowed(
    scenario: &Scenario,
    differences: Result<Vec<Difference>, String>,
    allowed: &Allowed,
    sides: [&str; 2],
    run: &Run,
) -> Result<(), String> {
    let differences = differences.map_err(|error| format!("{}: {error}", scenario.test_name()))?;
    let differences = allowed.others(&scenario.name, differences);
    if differences.is_empty() {
        return Ok(());
    }
    let report = parity::report(&differences, sides);
    let path = run.log_path.with_extension("diff");
    fs::write(&path, &report).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines: Vec<&str> = report.lines().take(60).collect();
    Err(format!(
        "{}: {} facts differ (all of them: {}; logs beside it)\n{}",
        scenario.test_name(),
        differences.len(),
        path.display(),
        lines.join("\n")
    ))
}

/// `RIG_CANDIDATE=stock` compares the stock rules with themselves: what differs then is a scenario's own unsteadiness.
pub(crate) fn candidate() -> Rules {
    match std::env::var("RIG_CANDIDATE").as_deref() {
        Ok("stock") => Rules::Stock,
        _ => Rules::Ours,
    }
}

fn compare_measures(stock: &Run, ours: &Run) -> Result<(), String> {
    let kinds = |run: &Run| run.measures.iter().map(|(kind, _)| kind.clone()).collect::<Vec<_>>();
    if kinds(stock) != kinds(ours) {
        return Err(format!("measured different things: {:?} and {:?}", kinds(stock), kinds(ours)));
    }
    let mut more = Vec::new();
    let mut table = MEASURES.lock().unwrap_or_else(PoisonError::into_inner);
    for ((kind, under_stock), (_, under_ours)) in stock.measures.iter().zip(&ours.measures) {
        if under_ours > under_stock {
            more.push(format!("{kind}: stock {under_stock}, ours {under_ours}"));
        }
        table.insert(kind.clone(), (*under_stock, *under_ours));
    }
    if more.is_empty() { Ok(()) } else { Err(format!("more under our rules than under stock:\n  {}", more.join("\n  "))) }
}

/// Prints what was measured, and keeps it in `target/rig/processes.txt`.
pub(crate) fn print_measures() -> Result<(), String> {
    let table = MEASURES.lock().unwrap_or_else(PoisonError::into_inner);
    if table.is_empty() {
        return Ok(());
    }
    let mut text = format!("{:<70} {:>6} {:>6}\n", "processes started by udevd for one event", "stock", "ours");
    for (kind, (stock, ours)) in table.iter() {
        text.push_str(&format!("{kind:<70} {stock:>6} {ours:>6}\n"));
    }
    let path = install::results_directory()?.join("processes.txt");
    fs::write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{text}");
    Ok(())
}
