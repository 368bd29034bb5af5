//! From a word to what it is about, and the whole explanation of it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path};

use super::facts::Facts;
use super::links::{self, Claims, Found, Link};
use super::world::{Fatal, World};
use super::{Finding, Places, Report, absent, cookie, holders, reason};
use crate::cookie::Cookie;
use crate::devno::Devno;
use crate::dm::sysfs::Sysfs;
use crate::error::{Cause, Error, Result};
use crate::info::find;
use crate::info::find::Meaning;
use crate::rulefiles::Job;
use crate::text::printable;
use crate::udevdb::Record;

/// What a word may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Device(Devno),
    /// A path relative to /dev.
    Link(String),
    Cookie(Cookie),
    /// A block device of another kind.
    Foreign(Devno),
    /// Nothing that is known.
    Name(String),
}

/// The forms of a root= or fstab word, and the directories of links that they mean.
const TAGS: [(&str, &str); 4] =
    [("UUID=", "disk/by-uuid"), ("LABEL=", "disk/by-label"), ("PARTUUID=", "disk/by-partuuid"), ("PARTLABEL=", "disk/by-partlabel")];

/// Explains whatever the word means.
///
/// # Errors
/// A word that fits several devices, a path outside of /dev, or a control node that fails.
pub fn explain(places: &Places, word: &str) -> Result<Report> {
    let world = match World::open(places) {
        Ok(world) => world,
        // A cookie may be there all the same: the semaphore is no device's.
        Err(Fatal::NoDeviceMapper(report)) => {
            let report = match as_cookie(word) {
                Some(cookie) => cookie::explain_alone(&places.roots, cookie, *report).map_err(|error| error.during("explain"))?,
                None => *report,
            };
            return Ok(Report { asked: word.to_string(), ..report });
        }
        Err(Fatal::Error(error)) => return Err(error.during("explain")),
    };
    resolve(&world, word)
}

/// Explains a word in a world that has been looked at.
pub(super) fn resolve(world: &World<'_>, word: &str) -> Result<Report> {
    let explained = world.subject(word).and_then(|subject| world.explain(word, &subject));
    explained.map_err(|error| error.during("explain"))
}

/// A number of a few digits is rather a name of something that is not there than a cookie.
fn as_cookie(word: &str) -> Option<Cookie> {
    word.parse().ok().filter(|_| word.starts_with("0x") || word.len() >= 4)
}

impl World<'_> {
    fn subject(&self, word: &str) -> Result<Subject> {
        let roots = &self.places.roots;
        if word.is_empty() {
            return Err(Error::usage("explain", word, "names nothing"));
        }
        if let Some(link) = TAGS.iter().find_map(|(tag, folder)| Some((word.strip_prefix(tag)?, folder))) {
            let (value, folder) = link;
            let value = crate::name::mangle(value.trim_matches('"').as_bytes()).into_owned();
            return Ok(Subject::Link(format!("{folder}/{value}")));
        }
        let inside = Path::new(word).strip_prefix(&roots.dev).or_else(|_| Path::new(word).strip_prefix("/dev"));
        if let Some(path) = inside.ok().and_then(Path::to_str).filter(|path| !path.is_empty()) {
            return match Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
                true => Ok(self.path(path)),
                false => Err(Error::usage("explain", word, "leads out of /dev")),
            };
        }
        if word.starts_with('/') {
            return match fs::metadata(word) {
                Ok(file) if file.file_type().is_block_device() => Ok(self.numbered(Devno::from_rdev(file.rdev()))),
                _ => Err(Error::usage("explain", word, "no path under /dev")),
            };
        }
        match find::find(self.survey.devices(), word, Meaning::Any) {
            Ok(devno) => return Ok(Subject::Device(devno)),
            Err(error) if *error.cause() != Cause::NotFound => return Err(error),
            Err(_) => {}
        }
        if let Ok(devno) = word.parse::<Devno>() {
            return Ok(self.numbered(devno));
        }
        if word.contains('/') {
            return Ok(self.path(word));
        }
        if let Some(devno) = self.survey.number_of_kernel_name(word.replace('/', "!").as_bytes()) {
            return Ok(self.numbered(devno));
        }
        match as_cookie(word) {
            Some(cookie) => Ok(Subject::Cookie(cookie)),
            _ if links::look(roots, word) != Found::Missing => Ok(self.path(word)),
            _ => Ok(Subject::Name(word.to_string())),
        }
    }

    fn numbered(&self, devno: Devno) -> Subject {
        let sysfs = Sysfs::new(&self.places.roots.sys, devno);
        // One may be younger than the list.
        let ours = self.survey.listed(devno).is_some() || sysfs.is_device_mapper();
        match sysfs.kernel_name() {
            _ if ours => Subject::Device(devno),
            Some(_) => Subject::Foreign(devno),
            None => Subject::Name(devno.to_string()),
        }
    }

    /// A path under /dev. The kernel's own node of a device is the device.
    fn path(&self, path: &str) -> Subject {
        match links::look(&self.places.roots, path) {
            Found::Node(devno) if !path.contains('/') => self.numbered(devno),
            _ => Subject::Link(path.trim_end_matches('/').to_string()),
        }
    }

    fn explain(&self, word: &str, subject: &Subject) -> Result<Report> {
        let report = match subject {
            Subject::Device(devno) => self.device(*devno, None)?,
            Subject::Link(path) => self.link(path)?,
            Subject::Cookie(cookie) => cookie::explain(self, *cookie)?,
            Subject::Foreign(devno) => self.foreign(*devno, word),
            Subject::Name(name) => absent::explain(self, name),
        };
        Ok(Report { asked: word.to_string(), ..report })
    }

    fn facts(&self, devno: Devno) -> Result<Facts> {
        Ok(Facts { info: self.survey.sources().gather(devno)?, service: self.service, rules: self.rules.clone() })
    }

    /// Everything about a device; of one link, if that is what was asked about.
    fn device(&self, devno: Devno, asked: Option<&str>) -> Result<Report> {
        let facts = self.facts(devno)?;
        let replay = facts.replay();
        let links = self.links(&facts, &replay.expected, asked);
        let name = |devno| self.name(devno);
        let of = |link: &Link| facts.of_link(link, replay.possible.contains(&link.path));
        let holders = holders::of(&self.survey, &facts.info, &name);
        let suspended = || facts.info.device.suspended.then(|| facts.finding(&reason::SUSPENDED));
        let mut findings: Vec<Finding> = Vec::new();
        if let Some(link) = links.iter().find(|link| Some(link.path.as_str()) == asked) {
            // Whoever uses a right link to it waits all the same.
            findings.extend([of(link)].into_iter().chain(suspended()));
        } else {
            findings.extend(facts.general().filter(|_| !self.serves_alone(&facts)).into_iter().chain(suspended()));
            if facts.general().is_none() {
                findings.extend(links.iter().filter(|link| link.expected && !link.leads_to(devno)).map(of));
            }
            findings.extend(facts.left_alone().filter(|_| !facts.info.device.suspended));
            if findings.is_empty() {
                findings.push(facts.finding(&reason::READY).with("detail", self.ready(&facts, &links)));
            }
            if !holders.is_empty() {
                let who: Vec<String> = holders.iter().map(Finding::answer).collect();
                findings.push(Finding::new(&reason::IN_USE).with("detail", who.join("; ")));
            }
            let deferred = facts.info.device.details.is_some_and(|details| details.deferred_remove);
            findings.extend(deferred.then(|| facts.finding(&reason::DEFERRED)));
            findings.extend([Job::Identity, Job::Volume, Job::Disk].into_iter().filter_map(|job| self.held_back(&facts, job)));
            findings.extend(facts.unread());
        }
        for finding in findings.iter_mut().filter(|finding| *finding.reason == reason::SUSPENDED) {
            *finding = self.with_resume(finding.clone(), devno);
        }
        let mut seen = Vec::new();
        findings.retain(|finding| {
            let new = !seen.contains(&finding.reason.id);
            seen.push(finding.reason.id);
            new
        });
        for finding in self.rule_faults(|reason| facts.finding(reason)).into_iter().chain(cookie::stuck(self)) {
            if !findings.iter().any(|told| told.answer() == finding.answer()) {
                findings.push(finding);
            }
        }
        let unknown = (!self.survey.sources().is_privileged()).then_some("its openers, its tables and waiting cookies");
        Ok(Report { findings, decision: replay.words, links, holders, unknown, device: Some(facts.info), ..self.report() })
    }

    /// Flags that hold links back are worth a word even where all is well.
    fn held_back(&self, facts: &Facts, job: Job) -> Option<Finding> {
        let lvm = facts.info.device.uuid.as_ref().is_some_and(|uuid| uuid.is_lvm());
        facts.general().is_none().then(|| facts.withheld(job)).flatten().filter(|_| job != Job::Volume || lvm)
    }

    fn ready(&self, facts: &Facts, links: &[Link]) -> String {
        let count = links.iter().filter(|link| link.leads_to(facts.info.device.devno)).count();
        let words = match count {
            0 => "no link is due".to_string(),
            1 => "its link leads to it".to_string(),
            n => format!("its {n} links lead to it"),
        };
        match facts.info.udev {
            Some(_) => format!("udev has processed it, and {words}"),
            None => "its node is there, made without udev, which is not running".to_string(),
        }
    }

    /// All links that a device should have, has, or claims.
    fn links(&self, facts: &Facts, expected: &[String], asked: Option<&str>) -> Vec<Link> {
        let roots = &self.places.roots;
        let devno = facts.info.device.devno;
        let claims = Claims::find(roots, self.survey.devices().devnos());
        let recorded: Vec<String> = facts.info.udev.iter().flat_map(links::recorded).collect();
        let mut paths = [expected, &recorded, &asked.map(str::to_string).into_iter().collect::<Vec<_>>()].concat();
        if let Some(node) = Sysfs::new(&roots.sys, devno).kernel_name().and_then(|name| String::from_utf8(name).ok()) {
            paths.extend(links::leading_to(&roots.dev, &node));
        }
        paths.sort();
        paths.dedup();
        let name = |devno| self.name(devno);
        let link = |path: String| {
            let found = links::look(roots, &path);
            let other = found.leads_to().filter(|other| *other != devno);
            Link {
                expected: expected.contains(&path),
                recorded: recorded.contains(&path),
                elsewhere: other.map(name),
                claims: claims.of(roots, &path, &name),
                found,
                path,
            }
        };
        paths.into_iter().map(link).collect()
    }

    fn link(&self, path: &str) -> Result<Report> {
        let found = links::look(&self.places.roots, path);
        let target = if let Found::NoNode(devno) = found { Some(devno) } else { found.leads_to() };
        let candidates = self.candidates(path);
        // Of several the one that it leads to; else the one that it should lead to.
        let ours = |devno: &Devno| self.survey.listed(*devno).is_some();
        let device = target.filter(|devno| candidates.contains(devno)).or(candidates.first().copied()).or(target.filter(ours));
        match (device, target) {
            (Some(devno), _) => self.device(devno, Some(path)),
            (None, Some(devno)) => Ok(self.foreign(devno, &format!("/dev/{path}"))),
            (None, None) => Ok(absent::explain_link(self, path, &found)),
        }
    }

    /// The devices that should have the link, or would but for a flag.
    fn candidates(&self, path: &str) -> Vec<Devno> {
        let named = path.strip_prefix("mapper/").and_then(|name| find::find(self.survey.devices(), name, Meaning::Name).ok());
        if let Some(devno) = named {
            return vec![devno];
        }
        let claims = |devno: &Devno| {
            let recorded = Record::read(&self.places.roots.run_udev, *devno).ok().flatten();
            recorded.is_some_and(|record| links::recorded(&record).any(|link| link == path))
                || self.facts(*devno).is_ok_and(|facts| facts.replay().possible.iter().any(|link| link == path))
        };
        self.survey.devices().devnos().filter(claims).collect()
    }

    fn foreign(&self, devno: Devno, asked: &str) -> Report {
        let users = Sysfs::new(&self.places.roots.sys, devno).dependants();
        let facts = if users.is_empty() { Vec::new() } else { users.into_iter().map(|user| self.name(user)).collect() };
        let finding = Finding::new(&reason::NOT_DEVICE_MAPPER).with("link", printable(asked.as_bytes())).with("other", self.name(devno));
        Report { findings: vec![finding], facts: vec![("Used by", facts)], ..self.report() }
    }
}
