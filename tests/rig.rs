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
    pub(crate) mod known;
    pub(crate) mod parity;
    pub(crate) mod scenario;
    pub(crate) mod self_test;
    pub(crate) mod show;
    pub(crate) mod snapshot;
    pub(crate) mod stanzas;
}

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use rig::allowed::Allowed;
use rig::guest::Rules;
use rig::judge;
use rig::known::Known;
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
    let Loaded { parity, ours, allowed, allowed_listen, known, boot } = match load() {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("rig: {error}");
            return ExitCode::FAILURE;
        }
    };
    let listen: Vec<Scenario> = parity.iter().filter_map(Scenario::for_listen).collect();
    let names = |scenarios: &[Scenario]| scenarios.iter().map(|scenario| scenario.name.clone()).collect::<Vec<_>>();
    let compared = [(ALLOWED, Arc::clone(&allowed), names(&parity)), (ALLOWED_LISTEN, Arc::clone(&allowed_listen), names(&listen))];

    let particular: Vec<String> =
        parity.iter().chain(&ours).filter(|scenario| scenario.is_for_this_suite()).map(Scenario::test_name).collect();
    let trial = |scenario: Scenario, judge: Judge| trial(scenario, &known, judge);
    let mut trials = rig::self_test::trials(&parity);
    trials.push(trial(boot, Box::new(rig::boot::busybox_initramfs)));
    for scenario in parity {
        let allowed = Arc::clone(&allowed);
        trials.push(trial(scenario, Box::new(move |scenario| judge::parity(scenario, &allowed))));
    }
    for scenario in ours {
        trials.push(trial(scenario, Box::new(judge::ours)));
    }
    // Last: by then the boots with udevd, which these are compared with, have been made.
    for scenario in listen {
        let allowed = Arc::clone(&allowed_listen);
        trials.push(trial(scenario, Box::new(move |scenario| judge::listen(scenario, &allowed))));
    }
    let all: Vec<String> = trials.iter().map(|trial| trial.name().to_owned()).collect();
    if let Err(error) = rig::known::expect_tests(&known, &all) {
        eprintln!("rig: {error}");
        return ExitCode::FAILURE;
    }

    if let Ok(only) = std::env::var("RIG_ONLY") {
        let asked_for = |name: &str| only.split_whitespace().any(|part| name == part || part.ends_with("::") && name.starts_with(part));
        trials.retain(|trial| asked_for(trial.name()) || particular.iter().any(|name| name == trial.name()));
    }

    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Err(error) = judge::print_measures() {
        eprintln!("rig: {error}");
    }
    if conclusion.has_failed() || judge::candidate() != Rules::Ours {
        return conclusion.exit_code();
    }
    // An entry that allows nothing any more hides the next real difference.
    for (file, allowed, all) in compared {
        let unused = allowed.unused(&all);
        if !unused.is_empty() {
            eprintln!("rig: tests/parity/{file} has entries that matched nothing:\n{}", unused.join("\n"));
            return ExitCode::FAILURE;
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
    known: Vec<Known>,
    boot: Scenario,
}

fn load() -> Result<Loaded, String> {
    rig::install::sweep()?;
    Ok(Loaded {
        parity: scenario::discover("parity")?,
        ours: scenario::discover("ours")?,
        allowed: Arc::new(Allowed::load(ALLOWED)?),
        allowed_listen: Arc::new(Allowed::load(ALLOWED_LISTEN)?),
        known: rig::known::load()?,
        boot: rig::boot::disk()?,
    })
}

type Judge = Box<dyn FnOnce(&Scenario) -> Result<(), String> + Send>;

/// One scenario as one test. One that lacks a package is shown as ignored with the reason, never as passed; one that is
/// known to fail here passes only by failing so.
fn trial(scenario: Scenario, known: &[Known], judge: Judge) -> Trial {
    let missing = scenario.missing();
    let known = rig::known::find(known, &scenario.test_name());
    let kind = match (&missing, &known) {
        (Some(reason), _) => format!("skipped: {reason}"),
        (None, Some(_)) => "known failure".to_owned(),
        (None, None) => String::new(),
    };
    let required = std::env::var_os("RIG_REQUIRE_ALL").is_some();
    let ignored = missing.is_some() && !required;
    Trial::test(scenario.test_name(), move || match (missing, known) {
        (Some(reason), _) => Err(Failed::from(format!("cannot run: {reason}"))),
        (None, Some(known)) => known.judge(judge(&scenario)).map_err(Failed::from),
        (None, None) => judge(&scenario).map_err(Failed::from),
    })
    .with_kind(kind)
    .with_ignored_flag(ignored)
}
