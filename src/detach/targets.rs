//! What the targets of the kernel lose when a device of theirs is removed: one table, for the order of removals, for what
//! must stay, and for dmhelper-detach(8). Pure but for [`Ties::of`].
//!
//! The facts are those of experiments, the scenarios `detach_snapshots` and `detach_targets`; those of ebs, vdo and zoned are
//! of drivers/md: what `postsuspend` and `dtr` write down.

use crate::devno::Devno;
use crate::dm::{Control, Target};
use crate::error::Result;
use crate::survey::Survey;

/// What a removal costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: what the target keeps is on its disks when it is gone.
    Nothing,
    /// Its content, unless every device that writes to the same base is removed before it.
    Unless(&'static Writers),
    /// What is only in memory, if the table has this word at this place, or in any case.
    Memory(&'static str, Option<(usize, &'static str)>),
}

/// Devices whose writes a target must see.
#[derive(Debug, PartialEq, Eq)]
pub struct Writers {
    /// Their targets. These name the base first in their tables, as does the target that must see the writes.
    pub kinds: &'static [&'static str],
    /// What they are to it.
    pub role: &'static str,
    /// Why it stays as long as they do.
    pub why: &'static str,
}

/// A target and what becomes of what it holds.
#[derive(Debug)]
pub struct Row {
    /// As the kernel calls it.
    pub kind: &'static str,
    /// What a removal costs.
    pub loss: Loss,
    /// The same for the manual page, which is compared with this.
    pub words: &'static str,
}

const ORIGIN: Writers = Writers {
    kinds: &["snapshot-origin", "snapshot-merge"],
    role: "its origin",
    why: "if this snapshot were removed, the next write to its origin would destroy it",
};

const fn row(kind: &'static str, loss: Loss, words: &'static str) -> Row {
    Row { kind, loss, words }
}

/// The targets of the kernel. A target may have several rows: all of them hold. One that is not here is removed like one
/// that loses nothing: the kernel lets every target write down what it has to, before it is gone.
pub const TARGETS: &[Row] = &[
    row("snapshot", Loss::Unless(&ORIGIN), "after its snapshot-origin or snapshot-merge; stays while that stays"),
    row("snapshot", Loss::Memory("its changes", Some((2, "N"))), "if transient (N): its changes are only in memory"),
    row("snapshot-origin", Loss::Nothing, "before its snapshots; they stay complete without it"),
    row("snapshot-merge", Loss::Nothing, "before other snapshots of the origin; the merge goes on when it is active again"),
    row("dust", Loss::Memory("its list of bad blocks", None), "its list of bad blocks is only in memory"),
    row("switch", Loss::Memory("its map of regions to paths", None), "its map of regions to paths is only in memory"),
    row("cache", Loss::Nothing, "blocks that are not written back stay on the cache device, and are marked there"),
    row("writecache", Loss::Nothing, "blocks that are not written back stay on the cache device"),
    row("clone", Loss::Nothing, "hydration goes on when it is active again; until its end the copy needs the source"),
    row("crypt", Loss::Nothing, "the key is gone from memory: what was encrypted with a random key cannot be read again"),
    row("delay", Loss::Nothing, "delayed writes keep it open"),
    row("era", Loss::Nothing, "eras are on the metadata device; writes past the target were never counted"),
    row("integrity", Loss::Nothing, "journal and bitmap are written out"),
    row("mirror", Loss::Nothing, "with a core log all is copied again when it is active again; held writes keep it open"),
    row("multipath", Loss::Nothing, "queued writes keep it open"),
    row("raid", Loss::Nothing, "state, resynchronisation and bitmap are on the metadata devices"),
    row("thin", Loss::Nothing, "committed to the pool"),
    row("thin-pool", Loss::Nothing, "the transaction is committed"),
    row("verity", Loss::Nothing, "read-only"),
    row("log-writes", Loss::Nothing, "the log is ended"),
    row("linear", Loss::Nothing, "no state"),
    row("striped", Loss::Nothing, "no state"),
    row("unstriped", Loss::Nothing, "no state"),
    row("flakey", Loss::Nothing, "no state"),
    row("error", Loss::Nothing, "no state"),
    row("zero", Loss::Nothing, "no state"),
    row("ebs", Loss::Nothing, "no state"),
    row("vdo", Loss::Nothing, "its state is saved"),
    row("zoned", Loss::Nothing, "its metadata is written out"),
];

/// What binds one device.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Ties {
    /// Devices that must be gone before it, and what they are to it.
    pub writers: Vec<(Devno, &'static Writers)>,
    /// What they write to is unknown, so that it is unknown who they are.
    pub unknown: Option<&'static Writers>,
    /// What of it is only in memory.
    pub memory: Option<&'static str>,
}

impl Ties {
    /// Looks for them, now, by the ranges of the device's live table.
    ///
    /// # Errors
    /// A question that the kernel does not answer: whether something would be lost is not known then.
    pub fn of(survey: &Survey<'_>, control: &Control, devno: Devno, targets: &[Target]) -> Result<Self> {
        let mut ties = Self::default();
        if targets.iter().all(|target| rows(target).all(|row| row.loss == Loss::Nothing)) {
            return Ok(ties);
        }
        // Asked for none but those above: a table of others may hold a key.
        for target in &control.table(devno)?.1 {
            for row in rows(target) {
                match (row.loss, base(target)) {
                    (Loss::Nothing, _) => {}
                    (Loss::Memory(what, word), _) if is_in_memory(target, word) => ties.memory = Some(what),
                    (Loss::Memory(..), _) => {}
                    (Loss::Unless(writers), Some(base)) if survey.sysfs(base).kernel_name().is_some() => {
                        // An error here must not pass for none: its content is at stake.
                        for holder in survey.sysfs(base).all_dependants()?.into_iter().filter(|holder| *holder != devno) {
                            if writes(control, holder, writers, base)? {
                                ties.writers.push((holder, writers));
                            }
                        }
                    }
                    (Loss::Unless(writers), _) => ties.unknown = Some(writers),
                }
            }
        }
        Ok(ties)
    }

    /// Whether it must never be left to the kernel to remove it later: who writes by then, nobody knows.
    pub fn only_now(targets: &[Target]) -> bool {
        targets.iter().flat_map(rows).any(|row| matches!(row.loss, Loss::Unless(_)))
    }
}

fn rows(target: &Target) -> impl Iterator<Item = &'static Row> {
    TARGETS.iter().filter(|row| row.kind.as_bytes() == target.kind)
}

fn words(target: &Target) -> impl Iterator<Item = &str> {
    str::from_utf8(&target.status).unwrap_or_default().split_ascii_whitespace()
}

/// The device that a target's table names first.
fn base(target: &Target) -> Option<Devno> {
    words(target).next()?.parse().ok()
}

fn is_in_memory(target: &Target, word: Option<(usize, &str)>) -> bool {
    // A place that is not there is in doubt.
    word.is_none_or(|(at, word)| words(target).nth(at).is_none_or(|found| found == word))
}

/// Whether a device is one of these writers to that base.
fn writes(control: &Control, devno: Devno, writers: &Writers, base: Devno) -> Result<bool> {
    let is_one = |target: &Target| writers.kinds.iter().any(|kind| kind.as_bytes() == target.kind);
    let gone = |error: &crate::error::Error| *error.cause() == crate::error::Cause::NotFound;
    match control.status(devno) {
        Ok((_, targets)) if !targets.iter().any(is_one) => return Ok(false),
        Err(error) if gone(&error) => return Ok(false), // Or no device of device-mapper's at all.
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    match control.table(devno) {
        Ok((_, table)) => Ok(table.iter().any(|target| is_one(target) && self::base(target).is_none_or(|its| its == base))),
        Err(error) if gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: &str, line: &str) -> Target {
        Target { start: 0, length: 8, kind: kind.into(), status: line.into() }
    }

    #[test]
    fn only_a_snapshot_depends_on_who_else_writes() {
        assert!(Ties::only_now(&[target("linear", "7:0 0"), target("snapshot", "16/32 16")]));
        for kind in ["snapshot-origin", "snapshot-merge", "linear", "unheard-of", ""] {
            assert!(!Ties::only_now(&[target(kind, "7:0")]), "{kind}");
        }
    }

    #[test]
    fn the_base_is_what_the_table_names_first() {
        assert_eq!(base(&target("snapshot", "254:2 254:3 P 8")), Devno::new(254, 2));
        for line in ["", "x 254:3 P 8", "\u{e9}"] {
            assert_eq!(base(&target("snapshot", line)), None, "{line}");
        }
    }

    #[test]
    fn a_snapshot_is_in_memory_if_it_says_so_or_nothing() {
        let is_in_memory = |line| is_in_memory(&target("snapshot", line), Some((2, "N")));
        assert!(is_in_memory("254:2 254:3 N 8") && is_in_memory("254:2"));
        assert!(!is_in_memory("254:2 254:3 P 8") && !is_in_memory("254:2 254:3 PO 8 2 N N"));
    }
}
