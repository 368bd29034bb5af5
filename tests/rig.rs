//! The rig: scenarios run on a real kernel (User-Mode Linux) with a real udevd, under the stock rules and under ours.
//!
//! Every `*.sh` under `tests/scenarios/` is one test; `tests/README.md` tells how to write one.

mod rig {
    pub(crate) mod allowed;
    pub(crate) mod boot;
    pub(crate) mod guest;
    pub(crate) mod guest_root;
    pub(crate) mod install;
    pub(crate) mod judge;
    pub(crate) mod parity;
    pub(crate) mod scenario;
    pub(crate) mod self_test;
    pub(crate) mod show;
    pub(crate) mod snapshot;
}

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use rig::allowed::Allowed;
use rig::guest::Rules;
use rig::judge;
use rig::scenario::{self, Scenario};

fn main() -> ExitCode {
    // The same machinery shows the product to people (`make demo`).
    if let [show, name] = std::env::args().skip(1).collect::<Vec<_>>().as_slice()
        && show == "--show"
    {
        return rig::show::run(name);
    }
    let mut arguments = Arguments::from_args();
    // A guest is one processor's worth of work with idle spells; more than two only stretch each other's deadlines.
    arguments.test_threads.get_or_insert(2);
    let everything = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list && !arguments.ignored;

    let Loaded { parity, ours, allowed, allowed_listen, boot } = match load() {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("rig: {error}");
            return ExitCode::FAILURE;
        }
    };
    let complete = everything && judge::candidate() == Rules::Ours && parity.iter().all(|scenario| scenario.missing().is_none());
    let listen: Vec<Scenario> = parity.iter().filter_map(Scenario::for_listen).collect();
    let complete = complete && listen.iter().all(|scenario| scenario.missing().is_none());
    let mut trials = rig::self_test::trials(&parity);
    trials.push(trial(boot, rig::boot::busybox_initramfs));
    for scenario in parity {
        let allowed = Arc::clone(&allowed);
        trials.push(trial(scenario, move |scenario| judge::parity(scenario, &allowed)));
    }
    for scenario in ours {
        trials.push(trial(scenario, judge::ours));
    }
    // Last: by then the boots with udevd, which these are compared with, have been made.
    for scenario in listen {
        let allowed = Arc::clone(&allowed_listen);
        trials.push(trial(scenario, move |scenario| judge::listen(scenario, &allowed)));
    }

    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Err(error) = judge::print_measures() {
        eprintln!("rig: {error}");
    }
    if conclusion.has_failed() {
        return conclusion.exit_code();
    }
    // An entry that allows nothing any more hides the next real difference.
    if complete {
        for (file, allowed) in [(ALLOWED, allowed), (ALLOWED_LISTEN, allowed_listen)] {
            let unused = allowed.unused();
            if !unused.is_empty() {
                eprintln!("rig: tests/parity/{file} has entries that matched nothing:\n{}", unused.join("\n"));
                return ExitCode::FAILURE;
            }
        }
    }
    conclusion.exit_code()
}

const ALLOWED: &str = "allowed.txt";
const ALLOWED_LISTEN: &str = "allowed-listen.txt";

struct Loaded {
    parity: Vec<Scenario>,
    ours: Vec<Scenario>,
    allowed: Arc<Allowed>,
    allowed_listen: Arc<Allowed>,
    boot: Scenario,
}

fn load() -> Result<Loaded, String> {
    rig::install::sweep()?;
    Ok(Loaded {
        parity: scenario::discover("parity")?,
        ours: scenario::discover("ours")?,
        allowed: Arc::new(Allowed::load(ALLOWED)?),
        allowed_listen: Arc::new(Allowed::load(ALLOWED_LISTEN)?),
        boot: rig::boot::disk()?,
    })
}

/// One scenario as one test; one that lacks a package is shown as ignored with the reason, never as passed.
fn trial<F>(scenario: Scenario, judge: F) -> Trial
where
    F: FnOnce(&Scenario) -> Result<(), String> + Send + 'static,
{
    let missing = scenario.missing();
    let kind = missing.as_ref().map_or_else(String::new, |reason| format!("skipped: {reason}"));
    let required = std::env::var_os("RIG_REQUIRE_ALL").is_some();
    let ignored = missing.is_some() && !required;
    Trial::test(scenario.test_name(), move || match missing {
        Some(reason) => Err(Failed::from(format!("cannot run: {reason}"))),
        None => judge(&scenario).map_err(Failed::from),
    })
    .with_kind(kind)
    .with_ignored_flag(ignored)
}
