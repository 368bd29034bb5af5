//! How long to wait, as people write it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A time limit: `500ms`, `30s`, `2min`, `0` (do not wait) or `infinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(Option<Duration>);

impl Timeout {
    /// As long as udevd itself gives an event by default (udevd(8), `--event-timeout`): past it nothing will come.
    pub const DEFAULT: Timeout = Timeout(Some(Duration::from_secs(180)));

    /// For what is held up by somebody who has a device open for a moment.
    pub const BRIEF: Timeout = Timeout(Some(Duration::from_secs(5)));

    /// For one look at one device's content.
    pub const PROBE: Timeout = Timeout(Some(Duration::from_secs(5)));

    /// How long a device may well be suspended by a tool at work.
    pub const SUSPENDED: Timeout = Timeout(Some(Duration::from_secs(2)));

    /// The moment it ends, from now; `None` for never.
    pub fn deadline(self) -> Option<Instant> {
        // A moment past the clock's range is never.
        self.0.and_then(|duration| Instant::now().checked_add(duration))
    }

    /// The time itself; `None` for never.
    pub fn duration(self) -> Option<Duration> {
        self.0
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => write!(f, "{}", humantime::format_duration(duration)),
            None => f.write_str("infinity"),
        }
    }
}

impl FromStr for Timeout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "infinity" => Ok(Timeout(None)),
            "0" => Ok(Timeout(Some(Duration::ZERO))),
            _ => humantime::parse_duration(text)
                .map(|duration| Timeout(Some(duration)))
                .map_err(|_| Error::usage("time", text, "not a duration such as 500ms, 30s, 2min, 0 or infinity")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, duration) in [("500ms", 500), ("30s", 30_000), ("2min", 120_000), ("1h 5m", 3_900_000), ("0", 0), ("0s", 0)] {
            assert_eq!(text.parse::<Timeout>().unwrap().duration(), Some(Duration::from_millis(duration)), "{text}");
        }
        assert_eq!("infinity".parse::<Timeout>().unwrap().deadline(), None);
        for text in ["", "30", "-1s", "soon", "1x", "99999999999999999999s"] {
            assert!(text.parse::<Timeout>().is_err(), "{text}");
        }
    }
}
