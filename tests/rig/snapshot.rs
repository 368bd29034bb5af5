//! What one step left: parses the guest's record and takes out what differs from run to run by nature.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What is compared: a kind of fact (`property`, `symlink`, …) and its name.
pub(crate) type Fact = (&'static str, String);

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) step: String,
    /// Per device, by its DM name: minors are the kernel's business.
    pub(crate) devices: BTreeMap<String, BTreeMap<Fact, String>>,
    pub(crate) semaphores: usize,
}

/// Facts that belong to no existing device, such as a dangling link; and systemd's units, which may stand for none.
pub(crate) const NO_DEVICE: &str = "(no device)";

struct RawDevice {
    kernel_name: String,
    id: String,
    name: String,
    uuid: String,
    suspended: String,
    record: String,
}

/// Reads `001`, `002`, … and `999`, the end, in this order.
pub(crate) fn read_all(directory: &Path) -> Result<Vec<Snapshot>, String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            parse(&bytes).map_err(|error| format!("{}: {error}", path.display()))
        })
        .collect()
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Snapshot, String> {
    // Names may hold bytes that are no UTF-8; escaped, they stay comparable and printable.
    let mut fields = bytes.split(|byte| *byte == 0).map(|field| field.utf8_chunks().map(chunk_text).collect::<String>());
    let mut next = |what: &str| fields.next().ok_or_else(|| format!("truncated before {what}"));
    let mut snapshot = Snapshot::default();
    let mut devices = Vec::new();
    let mut links = Vec::new();
    let mut units = Vec::new();
    let mut marks: Vec<(Fact, String)> = Vec::new();
    loop {
        match next("a keyword")?.as_str() {
            "step" => snapshot.step = next("step")?,
            "device" => devices.push(RawDevice {
                kernel_name: next("kernel name")?,
                id: format!("b{}", next("number")?),
                name: next("name")?,
                uuid: next("uuid")?,
                suspended: next("suspended")?,
                record: next("record")?,
            }),
            "link" => links.push((next("link")?, next("target")?)),
            "node" => marks.push((("node", next("node")?), String::new())),
            "watch" => marks.push((("watch", String::new()), next("watch")?)),
            "tag" => {
                let path = next("tag")?;
                let (tag, id) = path.split_once('/').ok_or("a tag without a device")?;
                marks.push((("tag index", tag.to_owned()), id.to_owned()));
            }
            "unit" => units.push((next("unit")?, next("state")?)),
            "semaphore" => {
                next("key")?;
                snapshot.semaphores += 1;
            }
            "" => break,
            other => return Err(format!("unknown keyword `{other}`")),
        }
    }
    let tokens = lvm_tokens(&devices);
    let stable = |text: &str| stabilise(text, &tokens);
    for device in &devices {
        let facts = snapshot.devices.entry(device.name.clone()).or_default();
        facts.insert(("state", "suspended".to_owned()), device.suspended.clone());
        facts.insert(("state", "uuid".to_owned()), stable(&device.uuid));
        for (fact, value) in record_facts(&device.record) {
            // The same key twice would be one fact: keep both visible.
            let key = (fact.0, stable(&fact.1));
            let value = stable(&value);
            facts.entry(key).and_modify(|old| *old = format!("{old} AND {value}")).or_insert(value);
        }
    }
    for (path, target) in links {
        let Some(kernel_name) = dm_node(&path, &target) else { continue };
        let owner = devices.iter().find(|device| device.kernel_name == kernel_name);
        let name = owner.map_or(NO_DEVICE, |device| device.name.as_str());
        let shown = if owner.is_some() { target.replace(kernel_name.as_str(), "<node>") } else { target };
        snapshot.devices.entry(name.to_owned()).or_default().insert(("symlink", stable(&path)), shown);
    }
    for (unit, state) in units {
        snapshot.devices.entry(NO_DEVICE.to_owned()).or_default().insert(("unit", stable(&unit)), state);
    }
    for ((kind, fact), id) in marks {
        if kind == "node" {
            let facts = snapshot.devices.entry(NO_DEVICE.to_owned()).or_default();
            facts.insert((kind, stable(&fact)), "block node".to_owned());
        } else if let Some(device) = devices.iter().find(|device| device.id == id) {
            let facts = snapshot.devices.entry(device.name.clone()).or_default();
            facts.insert((kind, fact), "yes".to_owned());
        }
    }
    Ok(snapshot)
}

fn chunk_text(chunk: std::str::Utf8Chunk<'_>) -> String {
    let invalid: String = chunk.invalid().iter().map(|byte| format!("<{byte:02x}>")).collect();
    format!("{}{invalid}", chunk.valid())
}

/// The lines of a udev database record; times and watch handles are left out, they differ by nature.
fn record_facts(record: &str) -> Vec<(Fact, String)> {
    let mut facts = Vec::new();
    if record.is_empty() {
        return facts;
    }
    facts.push((("record", String::new()), "present".to_owned()));
    for line in record.lines() {
        let fact = match line.split_once(':') {
            Some(("E", property)) => match property.split_once('=') {
                Some((key, value)) => (("property", key.to_owned()), value.to_owned()),
                None => (("stray line", line.to_owned()), String::new()),
            },
            Some(("S", link)) => (("link", link.to_owned()), "yes".to_owned()),
            Some(("L", priority)) => (("link priority", String::new()), priority.to_owned()),
            Some(("G", tag)) => (("tag", tag.to_owned()), "yes".to_owned()),
            Some(("Q", tag)) => (("current tag", tag.to_owned()), "yes".to_owned()),
            Some(("I" | "W" | "V" | "N", _)) => continue,
            _ => (("stray line", line.to_owned()), String::new()),
        };
        facts.push(fact);
    }
    facts
}

/// LVM's random identifiers, each with a name for it that is the same in every run.
fn lvm_tokens(devices: &[RawDevice]) -> Vec<(String, String)> {
    let mut volumes: Vec<(&str, &str)> =
        devices.iter().filter_map(|device| Some((device.name.as_str(), device.uuid.strip_prefix("LVM-")?.get(..64)?))).collect();
    volumes.sort_unstable();
    let mut tokens: Vec<(String, String)> = Vec::new();
    for (name, ids) in volumes {
        let (group, volume) = ids.split_at(32);
        for (id, what) in [(group, "group"), (volume, "volume")] {
            if !tokens.iter().any(|(known, _)| known == id) {
                tokens.push((id.to_owned(), format!("<{what} of {name}>")));
            }
        }
    }
    tokens
}

fn stabilise(text: &str, tokens: &[(String, String)]) -> String {
    let mut stable = tokens.iter().fold(text.to_owned(), |text, (id, token)| text.replace(id, token));
    if let Some((before, _)) = stable.split_once("disk/by-diskseq/") {
        // Which number is right is asserted by a scenario of its own; here it only counts that there is one.
        stable = format!("{before}disk/by-diskseq/<sequence>");
    }
    if stable.starts_with("/dev/block/") {
        // Of two volume groups that are activated side by side, either may come first.
        stable = "/dev/block/<number>".to_owned();
    }
    stable
}

/// `dm-N` if the link leads to a DM node, looked at as text: the node may be gone.
fn dm_node(path: &str, target: &str) -> Option<String> {
    let mut resolved = PathBuf::new();
    for component in Path::new(path).parent()?.join(target).components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    let name = resolved.strip_prefix("/dev").ok()?.to_str()?;
    let number = name.strip_prefix("dm-")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.to_owned())
}
