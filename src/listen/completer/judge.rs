//! Whose is this event's cookie? Pure.
//!
//! An event has one completion. While the completer's token stands, the rules leave it to the completer, and say so by
//! a mark with the event's own number; else they run a process. A mark is all the proof that is needed. An event whose
//! worker failed is sent on as it came from the kernel, without anything that the rules have set: see `Judge::failed`.

use std::collections::BTreeMap;

use crate::cookie::Cookie;
use crate::devno::Devno;
use crate::uevent::Uevent;

/// What the rules mark an event with: its own SEQNUM. An older one has been kept by the database, and means nothing.
const MARK: &str = "DMHELPER_COMPLETE_SEQNUM";
/// What udevd adds to an event whose worker failed or was killed (systemd 251 and later).
const FAILED: &str = "UDEV_WORKER_FAILED";

/// What to do about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is not ours, or was completed before.
    Leave,
    /// The rules left it to us.
    Complete(Cookie),
    /// Its worker failed, after the rules had left it to us or before they came to it.
    CompleteFailed(Cookie),
    /// Perhaps a process completes it, perhaps nobody does.
    Doubtful,
    /// The rules do not see the token, or are not ours: a process completes it, and will others.
    Foreign,
}

/// Remembers what a verdict needs.
#[derive(Debug, Default)]
pub struct Judge {
    /// Events past this number came from the kernel while the token stood; `None` when it does not stand.
    since: Option<u64>,
    /// Whether the rules leave such events to us: seen of one, and of none that they do not.
    obeyed: Option<bool>,
    /// The last event of each device that was completed. udevd has one event of a device in hand at a time, and tells
    /// it a second time when the worker dies after it has told it.
    last: BTreeMap<Devno, u64>,
}

impl Judge {
    /// The token stands since the kernel's last event had this number.
    pub fn begin(&mut self, seqnum: u64) {
        self.since = Some(seqnum);
    }

    /// The token stands no more.
    pub fn end(&mut self) {
        self.since = None;
    }

    /// Judges an event that udevd sent on.
    pub fn event(&mut self, event: Uevent<'_>) -> Verdict {
        let Some(cookie) = event.cookie().filter(|cookie| event.is_device_mapper() && cookie.key().is_some()) else {
            return Verdict::Leave;
        };
        let (Some(devno), Some(seqnum)) = (event.devno(), event.number("SEQNUM")) else { return Verdict::Doubtful };
        if self.last.get(&devno) == Some(&seqnum) {
            return Verdict::Leave;
        }
        let token_stood = self.since.is_some_and(|since| seqnum > since);
        let verdict = match (event.number(MARK) == Some(seqnum), event.get(FAILED).is_some()) {
            (true, _) => {
                if token_stood && self.obeyed.is_none() {
                    self.obeyed = Some(true);
                }
                Verdict::Complete(cookie)
            }
            (false, true) => self.failed(token_stood, cookie),
            (false, false) if token_stood && self.obeyed != Some(false) => {
                self.obeyed = Some(false);
                Verdict::Foreign
            }
            (false, false) => Verdict::Leave,
        };
        if matches!(verdict, Verdict::Complete(_) | Verdict::CompleteFailed(_)) {
            self.last.insert(devno, seqnum);
        }
        verdict
    }

    /// The worker may have died before the rules, after them, or after a process had done its work. That there was no
    /// process is certain only if the token has stood since before the kernel sent the event, and if the rules are
    /// known to heed it.
    fn failed(&self, token_stood: bool, cookie: Cookie) -> Verdict {
        if token_stood && self.obeyed == Some(true) { Verdict::CompleteFailed(cookie) } else { Verdict::Doubtful }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event of dm-MINOR, and what the judge says.
    fn judge(judge: &mut Judge, minor: u32, seqnum: u64, more: &[&str]) -> Verdict {
        let mut text = format!(
            "ACTION=change\0DEVPATH=/devices/virtual/block/dm-{minor}\0SUBSYSTEM=block\0DM_COOKIE=6313005\0MAJOR=254\0MINOR={minor}\0\
             SEQNUM={seqnum}\0"
        );
        more.iter().for_each(|property| text += &format!("{property}\0"));
        judge.event(Uevent::from_properties(text.as_bytes()).unwrap())
    }

    fn cookie() -> Cookie {
        Cookie::new(6_313_005)
    }

    fn marked(number: u64) -> String {
        format!("{MARK}={number}")
    }

    #[test]
    fn what_the_rules_leave_to_us_is_completed_once() {
        let mut own = Judge::default();
        assert_eq!(judge(&mut own, 0, 7, &[&marked(7)]), Verdict::Complete(cookie()), "of a completer before this one");
        assert_eq!(judge(&mut own, 0, 7, &["UDEV_WORKER_FAILED=1"]), Verdict::Leave, "its worker died after it had told it");
        assert_eq!(judge(&mut own, 1, 8, &[&marked(8)]), Verdict::Complete(cookie()));
        assert_eq!(judge(&mut own, 0, 9, &[&marked(7)]), Verdict::Leave, "a mark out of the database");
    }

    #[test]
    fn an_event_of_a_killed_worker_is_completed_only_if_no_process_can_have_done_it() {
        let failed = ["UDEV_WORKER_FAILED=1", "UDEV_WORKER_SIGNAL=9"];
        let mut own = Judge::default();
        assert_eq!(judge(&mut own, 0, 5, &failed), Verdict::Doubtful, "no token stands");
        own.begin(10);
        assert_eq!(judge(&mut own, 0, 10, &failed), Verdict::Doubtful, "the event is older than the token");
        assert_eq!(judge(&mut own, 0, 11, &failed), Verdict::Doubtful, "do the rules heed the token?");
        assert_eq!(judge(&mut own, 0, 12, &[&marked(12)]), Verdict::Complete(cookie()));
        assert_eq!(judge(&mut own, 0, 13, &failed), Verdict::CompleteFailed(cookie()));
        assert_eq!(judge(&mut own, 0, 13, &failed), Verdict::Leave, "once");
        own.end();
        assert_eq!(judge(&mut own, 0, 14, &failed), Verdict::Doubtful);
        assert_eq!(judge(&mut own, 0, 15, &[&marked(15)]), Verdict::Complete(cookie()), "its rules had run before");
    }

    #[test]
    fn rules_that_do_not_heed_the_token_are_noticed() {
        let mut own = Judge::default();
        own.begin(10);
        assert_eq!(judge(&mut own, 0, 10, &[]), Verdict::Leave, "older than the token");
        assert_eq!(judge(&mut own, 0, 11, &[&marked(11)]), Verdict::Complete(cookie()));
        assert_eq!(judge(&mut own, 0, 12, &[]), Verdict::Foreign);
        assert_eq!(judge(&mut own, 0, 13, &[]), Verdict::Leave, "told once");
        assert_eq!(judge(&mut own, 0, 14, &[&marked(14)]), Verdict::Complete(cookie()));
        assert_eq!(judge(&mut own, 0, 15, &["UDEV_WORKER_FAILED=1"]), Verdict::Doubtful, "nothing is certain any more");
    }

    #[test]
    fn an_event_that_nobody_waits_for_is_left_alone() {
        let mut own = Judge::default();
        own.begin(1);
        let mut of = |text: &str| own.event(Uevent::from_properties(text.as_bytes()).unwrap());
        let path = "DEVPATH=/devices/virtual/block/dm-0\0SUBSYSTEM=block\0MAJOR=254\0MINOR=0\0SEQNUM=7\0DMHELPER_COMPLETE_SEQNUM=7\0";
        assert_eq!(of(path), Verdict::Leave);
        assert_eq!(of(&format!("{path}DM_COOKIE=65536\0")), Verdict::Leave, "flags alone");
        assert_eq!(of(&format!("{}DM_COOKIE=7\0", path.replace("dm-0", "sda"))), Verdict::Leave);
        assert_eq!(of(&format!("{path}DM_COOKIE=x\0")), Verdict::Leave);
        assert_eq!(of(&format!("{}DM_COOKIE=7\0", path.replace("MINOR=0\0", ""))), Verdict::Doubtful);
    }
}
