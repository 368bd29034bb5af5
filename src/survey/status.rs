//! What a live table's status lines tell of a device's health, in words. Pure.
//!
//! The lines are the kernel's, Documentation/admin-guide/device-mapper: thin-provisioning, snapshot, dm-raid, cache,
//! verity; of multipath, `multipath_status` in drivers/md/dm-mpath.c.

use crate::devno::Devno;
use crate::dm::Target;

/// What a device's tables tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Fill levels and progress.
    pub words: Vec<String>,
    /// What is broken.
    pub troubles: Vec<String>,
    /// Paths of multipath that have failed.
    pub failed_paths: Vec<Devno>,
    /// A multipath map whose paths have all failed: whoever reads it may wait for ever.
    pub pathless: bool,
}

/// Everything of a live table that is worth telling.
pub fn health(targets: &[Target]) -> Health {
    let mut health = Health::default();
    for target in targets {
        let status = String::from_utf8_lossy(&target.status);
        let fields: Vec<&str> = status.split_ascii_whitespace().collect();
        // A line that is not as documented tells nothing.
        let _ = match target.kind.as_slice() {
            b"thin-pool" => thin_pool(&fields, &mut health),
            b"snapshot" | b"snapshot-merge" => snapshot(&fields, &mut health),
            b"raid" => raid(&fields, &mut health),
            b"cache" => cache(&fields, &mut health),
            b"multipath" => multipath(&fields, &mut health),
            b"thin" | b"era" | b"writecache" if fields.first() == Some(&"Fail") => broken("failed", &mut health),
            b"verity" if fields.first() == Some(&"C") => broken("corrupted", &mut health),
            _ => None,
        };
    }
    health
}

fn broken(word: &str, health: &mut Health) -> Option<()> {
    health.troubles.push(word.to_string());
    Some(())
}

/// `USED/TOTAL` as whole per cent, rounded down, but up when it would be 0.
fn percent(ratio: &str) -> Option<u128> {
    let (used, total) = ratio.split_once('/')?;
    let (used, total): (u128, u128) = (used.parse().ok()?, total.parse().ok()?);
    let percent = used.checked_mul(100)?.checked_div(total)?;
    Some(if used > 0 { percent.max(1) } else { percent })
}

fn thin_pool(fields: &[&str], health: &mut Health) -> Option<()> {
    if let Some(word @ ("Fail" | "Error")) = fields.first().copied() {
        return broken(&word.to_lowercase(), health);
    }
    health.words.push(format!("{} % full", percent(fields.get(2)?)?));
    health.words.push(format!("metadata {} %", percent(fields.get(1)?)?));
    match *fields.get(4)? {
        "out_of_data_space" => broken("out of space", health),
        "ro" => broken("metadata read-only", health),
        _ => fields.contains(&"needs_check").then(|| broken("needs check", health))?,
    }
}

fn snapshot(fields: &[&str], health: &mut Health) -> Option<()> {
    match fields {
        ["Invalid"] => broken("invalid", health),
        ["Overflow"] => broken("overflow", health),
        ["Merge", "failed"] => broken("merge failed", health),
        [ratio, ..] => {
            health.words.push(format!("{} % full", percent(ratio)?));
            Some(())
        }
        [] => None,
    }
}

fn raid(fields: &[&str], health: &mut Health) -> Option<()> {
    let [kind, _, characters, ratio, action, ..] = fields else { return None };
    health.words.push((*kind).to_string());
    match characters.chars().filter(|&character| character == 'D').count() {
        0 => {}
        dead => broken(&format!("{dead} of {} failed", characters.len()), health)?,
    }
    let done = percent(ratio)?;
    if done < 100 && *action != "idle" {
        health.words.push(format!("{action} {done} %"));
    }
    Some(())
}

fn cache(fields: &[&str], health: &mut Health) -> Option<()> {
    if fields.first() == Some(&"Fail") {
        return broken("failed", health);
    }
    health.words.push(format!("{} % full", percent(fields.get(3)?)?));
    Some(())
}

/// `FEATURES… HANDLER… GROUPS NEXT { STATE SELECTOR… PATHS ARGUMENTS { DEVNO A|F FAILURES SELECTOR… } }`, where the
/// first two and the selector's begin with how many words follow.
fn multipath(fields: &[&str], health: &mut Health) -> Option<()> {
    let mut fields = fields.iter();
    let number = |fields: &mut std::slice::Iter<'_, &str>| fields.next()?.parse::<usize>().ok();
    let skip = |fields: &mut std::slice::Iter<'_, &str>, count: usize| count == 0 || fields.nth(count - 1).is_some();
    for _ in 0..2 {
        let count = number(&mut fields)?;
        skip(&mut fields, count).then_some(())?;
    }
    let groups = number(&mut fields)?;
    fields.next()?;
    let (mut all, mut failed) = (0, Vec::new());
    for _ in 0..groups {
        fields.next()?;
        let count = number(&mut fields)?;
        skip(&mut fields, count).then_some(())?;
        let (paths, arguments) = (number(&mut fields)?, number(&mut fields)?);
        for _ in 0..paths {
            let devno: Devno = fields.next()?.parse().ok()?;
            let is_active = *fields.next()? == "A";
            fields.next()?;
            skip(&mut fields, arguments).then_some(())?;
            all += 1;
            if !is_active {
                failed.push(devno);
            }
        }
    }
    health.words.push(if all == 1 { "1 path".to_string() } else { format!("{all} paths") });
    if !failed.is_empty() {
        health.troubles.push(format!("{} failed", failed.len()));
    }
    health.pathless = failed.len() == all;
    health.failed_paths = failed;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, status: &str) -> (Vec<String>, Vec<String>) {
        let target = Target { start: 0, length: 8, kind: kind.into(), status: status.into() };
        let Health { words, troubles, .. } = health(&[target]);
        (words, troubles)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_string()).collect()
    }

    #[test]
    fn pools_and_snapshots_tell_how_full_they_are() {
        let pool = |mode: &str| of("thin-pool", &format!("1 123/4096 50/100 - {mode} discard_passdown queue_if_no_space - 1024"));
        assert_eq!(pool("rw"), (texts(&["50 % full", "metadata 3 %"]), vec![]));
        assert_eq!(pool("out_of_data_space").1, ["out of space"]);
        assert_eq!(of("thin-pool", "Fail"), (vec![], texts(&["fail"])));
        assert_eq!(of("thin", "Fail").1, ["failed"]);
        assert_eq!(of("snapshot", "16/8192 16"), (texts(&["1 % full"]), vec![]));
        assert_eq!(of("snapshot", "Invalid").1, ["invalid"]);
        assert_eq!(of("cache", "8 27/1024 128 64/128 1 2 3").0, ["50 % full"]);
        assert_eq!(of("verity", "C").1, ["corrupted"]);
    }

    #[test]
    fn raid_tells_its_dead_legs_and_its_progress() {
        assert_eq!(of("raid", "raid1 2 AA 2097152/2097152 idle 0 0 -"), (texts(&["raid1"]), vec![]));
        assert_eq!(of("raid", "raid5_ls 3 aDA 1/4 recover 0 0 -"), (texts(&["raid5_ls", "recover 25 %"]), texts(&["1 of 3 failed"])));
    }

    #[test]
    fn multipath_tells_its_failed_paths() {
        let target = Target {
            start: 0,
            length: 8,
            kind: b"multipath".to_vec(),
            status: b"2 0 0 0 2 1 A 0 2 2 8:16 A 0 0 1 8:32 F 3 0 1 E 0 1 0 8:48 A 0 ".to_vec(),
        };
        let found = health(&[target]);
        assert_eq!((found.words, found.troubles), (texts(&["3 paths"]), texts(&["1 failed"])));
        assert_eq!(found.failed_paths, [Devno::new(8, 32).unwrap()]);
    }

    #[test]
    fn a_line_that_is_not_as_documented_tells_nothing() {
        for kind in ["thin-pool", "snapshot", "raid", "cache", "multipath", "linear", "verity", "new"] {
            for status in ["", "x", "1 2 3", "0/0 0/0 0/0 0/0 0/0", "9 9 9 9 9 9 9 9 9", "18446744073709551615 0"] {
                let found = of(kind, status);
                assert!(
                    found.1.is_empty() && found.0.iter().all(|word| kind == "raid" || word.contains("full") || word.is_empty()),
                    "{kind} {status}: {found:?}"
                );
            }
        }
    }
}
