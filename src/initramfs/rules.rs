//! The udev rules of an image: one whole set of ours, no other beside it, and every program that they call.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::tree::{Program, Tree};
use super::{Fault, Kind, enumerate, find_program};
use crate::rulefiles::{DIRECTORIES, LAYOUTS, is_ours, programs::called};

/// Where a program without a path is, for udevd.
const HELPERS: [&str; 3] = ["usr/lib/udev", "lib/udev", "usr/local/lib/udev"];

/// A rule file that counts.
struct File {
    /// As the image calls it.
    path: Vec<u8>,
    text: Vec<u8>,
}

impl File {
    fn is_ours(&self) -> bool {
        is_ours(&self.text)
    }

    fn concerns_device_mapper(&self) -> bool {
        [&b"DM_"[..], b"dm-[", b"dm-*"].iter().any(|word| contains(&self.text, word))
    }
}

/// Faults of the rules.
pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    let files = files(tree);
    let mut faults = set(&files);
    faults.extend(programs(tree, &files));
    faults
}

/// Every file that udevd would read, by its name.
fn files(tree: &Tree) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    let mut masked: Vec<String> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    for directory in DIRECTORIES {
        // Where /lib is a link to /usr/lib it is one directory.
        let Some(here) = tree.resolve(directory).filter(|here| !seen.contains(here)) else { continue };
        seen.push(here);
        for name in tree.list(directory) {
            let Some(name) = name.to_str().filter(|name| name.ends_with(".rules")).map(str::to_string) else { continue };
            if files.contains_key(&name) || masked.contains(&name) {
                continue;
            }
            let path = format!("{directory}/{name}");
            match tree.read(&path) {
                Some(text) if !text.is_empty() => drop(files.insert(name, File { path: path.into_bytes(), text })),
                // An empty file or a link to /dev/null takes the others of this name out of force.
                _ => masked.push(name),
            }
        }
    }
    files
}

/// Whether it is one whole set.
fn set(files: &BTreeMap<String, File>) -> Vec<Fault> {
    let is_ours = |name: &str| files.get(name).is_some_and(File::is_ours);
    let count = |layout: &[&str; 4]| layout.iter().filter(|name| is_ours(name)).count();
    let Some(layout) = LAYOUTS.iter().rev().max_by_key(|layout| count(layout)).filter(|layout| count(layout) > 0) else {
        let why = "the image has udevd, but no rule file of dmhelper".to_string();
        // The names of the rules that are there instead tell which this system uses.
        let there = |layout: &[&str; 4]| layout.iter().filter(|name| files.contains_key(**name)).count();
        let [upstream, debian] = LAYOUTS.map(|layout| (there(&layout), enumerate(&layout)));
        let fix = match upstream.0.cmp(&debian.0) {
            Ordering::Greater => format!("add {}", upstream.1),
            Ordering::Less => format!("add {}", debian.1),
            Ordering::Equal => format!("add {} on Debian and its children, {} elsewhere", debian.1, upstream.1),
        };
        let mut faults = vec![Fault { kind: Kind::Missing, object: b"rules".to_vec(), why, fix }];
        faults.extend(foreign(files, &[]));
        return faults;
    };
    let ours: Vec<&str> = layout.iter().copied().filter(|name| is_ours(name)).collect();
    let missing = layout.iter().filter(|name| !files.contains_key(**name)).map(|name| Fault {
        kind: Kind::Missing,
        object: name.as_bytes().to_vec(),
        why: format!("{} without it {} not a whole set", enumerate(&ours), if ours.len() == 1 { "is" } else { "are" }),
        fix: "add it, from the same dmhelper".to_string(),
    });
    let mut faults: Vec<Fault> = missing.collect();
    faults.extend(foreign(files, layout));
    faults
}

/// Rule files of device-mapper that are not of our layout, or not of ours.
fn foreign(files: &BTreeMap<String, File>, layout: &[&str]) -> Vec<Fault> {
    let mut names: Vec<&str> = LAYOUTS.iter().flatten().copied().collect();
    names.sort_unstable();
    names.dedup();
    let fault = |name: &str| {
        let file = files.get(name)?;
        let path = file.path.clone();
        match (layout.contains(&name), file.is_ours()) {
            (true, true) => None,
            (true, false) => Some(Fault {
                kind: Kind::Wrong,
                object: path,
                why: "it is not the file of that name of dmhelper's, which the others need".to_string(),
                fix: "put dmhelper's there".to_string(),
            }),
            // Nothing to double: the set itself is what is missing.
            (false, _) if layout.is_empty() => None,
            (false, _) => Some(Fault {
                kind: Kind::Doubled,
                object: path,
                why: format!("a second set of device-mapper rules, beside {}", layout.first()?),
                fix: "leave it out of the image".to_string(),
            }),
        }
    };
    names.into_iter().filter_map(fault).collect()
}

/// Programs that rules for device-mapper devices call and that are not there, each once.
fn programs(tree: &Tree, files: &BTreeMap<String, File>) -> Vec<Fault> {
    let mut callers: BTreeMap<Vec<u8>, Vec<&str>> = BTreeMap::new();
    for (name, file) in files.iter().filter(|(_, file)| file.concerns_device_mapper()) {
        for program in called(&file.text) {
            let callers = callers.entry(program).or_default();
            if callers.last() != Some(&name.as_str()) {
                callers.push(name);
            }
        }
    }
    let fault = |(program, callers): (Vec<u8>, Vec<&str>)| {
        let state = present(tree, &program);
        if state == Program::Present {
            return None;
        }
        let run = if callers.len() == 1 { "runs" } else { "run" };
        let files = enumerate(&callers);
        let lacks = if state == Program::Missing { "" } else { ", but it is no program that can be run" };
        let why = format!("{files} {run} it{lacks}");
        let missing = if state == Program::Missing { Kind::Missing } else { Kind::Wrong };
        let (kind, why, fix) = match program.rsplit(|&byte| byte == b'/').next().unwrap_or_default() {
            b"dmhelper" => (missing, why, "put the program there".to_string()),
            b"dmsetup" => (missing, why, format!("leave {files} out of the image: dmhelper's rules do without")),
            // Whether a neighbour's rule comes into force in an image, its other rules decide.
            _ => (Kind::Note, format!("the image lacks it, and {why}"), format!("put it there, or see that {files} can do without")),
        };
        Some(Fault { kind, object: program, why, fix })
    };
    callers.into_iter().filter_map(fault).collect()
}

fn present(tree: &Tree, program: &[u8]) -> Program {
    let text = String::from_utf8_lossy(program);
    if text.starts_with('/') {
        return tree.program(text.as_ref());
    }
    // What a shell calls from a rule, it finds in its path.
    let found = find_program(tree, &text).is_some() && text == "dmsetup";
    let helper = HELPERS.iter().map(|directory| tree.program(format!("{directory}/{text}"))).find(|found| *found != Program::Missing);
    if found { Program::Present } else { helper.unwrap_or(Program::Missing) }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
