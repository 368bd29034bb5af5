//! Boots, in the rig: each case of `tests/boot/cases` from an image of each generator of `tests/boot/images`, once with
//! the stock set-up and once with ours. `make test-boot` runs it; `tests/README.md` tells how to write a case.

#[allow(dead_code, reason = "shared with tests/rig.rs, which uses the rest")]
#[path = "rig"]
mod rig {
    pub(crate) mod allowed;
    pub(crate) mod boots;
    pub(crate) mod guest;
    pub(crate) mod guest_root;
    pub(crate) mod initramfs;
    pub(crate) mod install;
    pub(crate) mod parity;
    pub(crate) mod scenario;
    pub(crate) mod snapshot;
    pub(crate) mod stanzas;
}

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use rig::allowed::Allowed;
use rig::guest::Rules;
use rig::scenario::{self, Scenario};
use rig::{boots, initramfs, install};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let trials = match trials() {
        Ok(trials) => trials,
        Err(error) => {
            eprintln!("boot: {error}");
            return ExitCode::FAILURE;
        }
    };
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Err(error) = boots::print_costs() {
        eprintln!("boot: {error}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn trials() -> Result<Vec<Trial>, String> {
    install::sweep()?;
    let directory = scenario::root().join("tests/boot");
    let generators = scenario::discover_in(&directory.join("images"), "image")?;
    let cases = scenario::discover_in(&directory.join("cases"), "case")?;
    let failing = scenario::discover_in(&directory.join("failing"), "failing")?;
    let allowed = Arc::new(Allowed::load("allowed.txt")?);
    let mut trials = Vec::new();
    // First, so that they are built side by side.
    for generator in &generators {
        for rules in [Rules::Stock, Rules::Ours] {
            let (name, one) = (format!("{}::image_{rules:?}", generator.name).to_lowercase(), generator.clone());
            trials.push(trial(name, generator.missing(), move || initramfs::image(&one, rules).map(|_| ())));
        }
    }
    for generator in &generators {
        for case in cases.iter().filter(|case| case.key(&generator.name).is_some()) {
            let name = format!("{}::{}", generator.name, case.name);
            let missing = generator.missing().or_else(|| case.missing());
            let (case, generator, allowed): (Scenario, Scenario, _) = (case.clone(), generator.clone(), Arc::clone(&allowed));
            trials.push(trial(name, missing, move || boots::case(&case, &generator, &allowed)));
        }
    }
    for generator in &generators {
        for test in failing.iter().filter(|test| test.key(&format!("{}-at", generator.name)).is_some()) {
            let wanted = test.key("disks").ok_or_else(|| format!("{}: no `disks`", test.name))?;
            let case = cases.iter().find(|case| case.name == wanted).ok_or_else(|| format!("{}: no case `{wanted}`", test.name))?;
            let name = format!("{}::failing_{}", generator.name, test.name);
            let missing = generator.missing().or_else(|| case.missing());
            let (test, case, generator): (Scenario, Scenario, Scenario) = (test.clone(), case.clone(), generator.clone());
            trials.push(trial(name, missing, move || boots::down(&test, &case, &generator)));
        }
    }
    Ok(trials)
}

/// As in `tests/rig.rs`: what cannot run is shown as ignored with the reason, never as passed.
fn trial(name: String, missing: Option<String>, judge: impl FnOnce() -> Result<(), String> + Send + 'static) -> Trial {
    let kind = missing.as_ref().map_or_else(String::new, |reason| format!("skipped: {reason}"));
    let ignored = missing.is_some() && std::env::var_os("RIG_REQUIRE_ALL").is_none();
    Trial::test(name, move || match missing {
        Some(reason) => Err(Failed::from(format!("cannot run: {reason}"))),
        None => judge().map_err(Failed::from),
    })
    .with_kind(kind)
    .with_ignored_flag(ignored)
}
