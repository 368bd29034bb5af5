//! When to try again what has failed for a reason that passes: soon at first, then less and less often.

use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

/// From a failure to the next attempt.
const FIRST: Duration = Duration::from_millis(50);
/// And at most.
const MOST: Duration = Duration::from_secs(10);

/// The time of the next attempt, if anything has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retry(Option<(Instant, Duration)>);

impl Retry {
    /// Something has failed. An attempt that is to come is not put off.
    pub fn begin(&mut self) {
        self.0.get_or_insert_with(|| (Instant::now() + FIRST, FIRST));
    }

    /// Whether it is time.
    pub fn is_due(self) -> bool {
        self.0.is_some_and(|(next, _)| Instant::now() >= next)
    }

    /// An attempt was made; tells when the next one is, if anything is left.
    pub fn done(&mut self, left: bool) {
        let pause = self.0.map_or(FIRST, |(_, pause)| (pause * 2).min(MOST));
        self.0 = left.then(|| (Instant::now() + pause, pause));
    }

    /// When the next attempt is.
    pub fn next(self) -> Option<Instant> {
        self.0.map(|(next, _)| next)
    }
}

/// How long poll(2) may sleep until the first of several things is to be done.
pub fn timeout(times: impl IntoIterator<Item = Option<Instant>>) -> PollTimeout {
    let left = times.into_iter().flatten().min().map(|next| next.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
    left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_and_end_with_success() {
        let mut retry = Retry::default();
        assert!(!retry.is_due() && timeout([retry.next(), None]) == PollTimeout::NONE);
        retry.begin();
        let next = retry.next();
        retry.begin();
        assert_eq!(retry.next(), next, "another failure puts nothing off");
        retry.done(true);
        assert_eq!(retry.0.map(|(_, pause)| pause), Some(FIRST * 2));
        (0..100).for_each(|_| retry.done(true));
        assert_eq!(retry.0.map(|(_, pause)| pause), Some(MOST));
        assert_ne!(timeout([None, retry.next()]), PollTimeout::NONE);
        retry.done(false);
        assert_eq!(retry, Retry::default());
        retry.0 = Some((Instant::now(), FIRST));
        assert!(retry.is_due());
    }
}
