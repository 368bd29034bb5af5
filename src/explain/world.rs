//! What is looked at once, whatever is asked: all devices, udevd, the rule files.

use super::device::rule_finding;
use super::facts::Facts;
use super::reason::Reason;
use super::{Finding, Places, Report, Service, called, links, reason};
use crate::devno::Devno;
use crate::dm;
use crate::error::{Error, Result};
use crate::rulefiles::{Fault, Job, RuleFiles};
use crate::survey::Survey;
use crate::udevd::Udevd;

/// Asks udev to look at every block device again.
pub(crate) const TRIGGER_ALL: &str = "udevadm trigger --settle --subsystem-match=block";

/// The same as at boot: it may know nothing of them, and a change would have them recorded as never activated.
pub(crate) const COLDPLUG: &str = "udevadm trigger --settle --action=add --subsystem-match=block";

/// Everything around the one thing that is asked about.
pub(crate) struct World<'a> {
    pub(crate) places: &'a Places,
    pub(crate) survey: Survey<'a>,
    pub(crate) service: Service,
    pub(crate) rules: RuleFiles,
}

/// Why nothing can be said of any device.
pub(crate) enum Fatal {
    NoDeviceMapper(Box<Report>),
    Error(Error),
}

impl Fatal {
    /// What is wrong, if that is all that can be told.
    pub(crate) fn finding(self) -> Result<Finding> {
        match self {
            Fatal::NoDeviceMapper(_) => Ok(Finding::new(&reason::NO_DEVICE_MAPPER)),
            Fatal::Error(error) => Err(error),
        }
    }
}

impl<'a> World<'a> {
    /// Opens the sources, lists all devices and looks for udevd and the rules.
    pub(crate) fn open(places: &'a Places) -> std::result::Result<Self, Fatal> {
        let service = Service::find(&places.roots);
        let rules = RuleFiles::find(&places.root);
        let survey = Survey::open(&places.roots);
        // Who may not open the control node is not told that there is nothing behind it.
        let answers = survey.as_ref().is_ok_and(|survey| survey.sources().is_privileged());
        if !answers && dm::require_driver(&places.roots.dev, &places.roots.proc).is_err() {
            let findings = vec![Finding::new(&reason::NO_DEVICE_MAPPER)];
            return Err(Fatal::NoDeviceMapper(Box::new(Report { exists: false, findings, ..Report::new(service, rules) })));
        }
        let survey = survey.map_err(Fatal::Error)?;
        Ok(Self { places, survey, service, rules })
    }

    /// An empty report.
    pub(super) fn report(&self) -> Report {
        Report::new(self.service, self.rules.clone())
    }

    /// A device by name and number, or another block device by the kernel's name.
    pub(crate) fn name(&self, devno: Devno) -> String {
        self.survey.relate(devno).name.map_or_else(|| devno.to_string(), |name| called(&name, devno))
    }

    /// What is wrong with the rule files; `about` gives a reason's other words. Who stands in for udevd reads none, and
    /// where there is no udevd none need be there.
    pub(crate) fn rule_faults(&self, about: impl Fn(&'static Reason) -> Finding) -> Vec<Finding> {
        let counts = |fault: &&Fault<'_>| match self.service.udevd {
            Udevd::StandIn => false,
            udevd => !udevd.is_absent() || !matches!(fault, Fault::None | Fault::Missing(_)),
        };
        self.rules.faults().iter().filter(counts).map(|fault| rule_finding(&self.rules, fault, &about)).collect()
    }

    /// Why nobody does a job of the rules, of whatever device.
    pub(super) fn faults_of(&self, job: Job) -> Vec<Finding> {
        let about = |reason| Finding::new(reason).with("device", "device-mapper devices").with("trigger", COLDPLUG);
        let reads_rules = !self.service.udevd.is_absent() && !self.service.is_stand_in();
        let faults = self.rules.faults();
        faults.iter().filter(|fault| reads_rules && fault.stops(job)).map(|fault| rule_finding(&self.rules, fault, &about)).collect()
    }

    /// Where there is no udevd, tools make nodes themselves: a device that has its own is usable.
    pub(crate) fn serves_alone(&self, facts: &Facts) -> bool {
        let links = facts.replay().expected.into_iter().filter(|link| link.starts_with("mapper/"));
        let at_hand = |link: String| links::look(&self.places.roots, &link).leads_to() == Some(facts.info.device.devno);
        self.service.udevd.is_absent() && links.into_iter().any(at_hand)
    }
}
