//! Device numbers: the identity of a device that is constant while it lives.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Highest major number of the kernel (12 bits, `MINORBITS` in linux/kdev_t.h).
const MAJOR_MAX: u32 = (1 << 12) - 1;
/// Highest minor number of the kernel (20 bits).
const MINOR_MAX: u32 = (1 << 20) - 1;

/// A block device number, written `MAJOR:MINOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Devno {
    major: u32,
    minor: u32,
}

impl Devno {
    /// From its two parts; `None` past the kernel's 12 and 20 bits.
    pub fn new(major: u32, minor: u32) -> Option<Self> {
        (major <= MAJOR_MAX && minor <= MINOR_MAX).then_some(Self { major, minor })
    }

    /// The major number, 0 to 4095.
    pub fn major(self) -> u32 {
        self.major
    }

    /// The minor number, 0 to 1048575.
    pub fn minor(self) -> u32 {
        self.minor
    }

    /// The encoding of the device-mapper ioctl's `dev` fields (`huge_encode_dev` in linux/kdev_t.h).
    pub fn to_kernel(self) -> u64 {
        let (major, minor) = (u64::from(self.major), u64::from(self.minor));
        (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
    }

    /// The inverse of [`Devno::to_kernel`]; bits past the kernel's 32 are ignored.
    pub fn from_kernel(dev: u64) -> Self {
        let dev = dev as u32;
        Self { major: (dev & 0xfff00) >> 8, minor: (dev & 0xff) | ((dev >> 12) & 0xfff00) }
    }

    /// From stat(2)'s `st_rdev`.
    pub fn from_rdev(rdev: u64) -> Self {
        Self { major: nix::sys::stat::major(rdev) as u32, minor: nix::sys::stat::minor(rdev) as u32 }
    }
}

impl fmt::Display for Devno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl FromStr for Devno {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let decimal = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten();
        text.split_once(':')
            .and_then(|(major, minor)| Devno::new(decimal(major)?, decimal(minor)?))
            .ok_or_else(|| Error::usage("device number", text, "not MAJOR:MINOR (at most 4095:1048575)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_number_survives_both_encodings() {
        for (major, minor) in [(0, 0), (253, 0), (254, 255), (253, 256), (4095, 1_048_575), (8, 70_000)] {
            let devno = Devno::new(major, minor).unwrap();
            assert_eq!(Devno::from_kernel(devno.to_kernel()), devno);
            assert_eq!(devno.to_string().parse::<Devno>().unwrap(), devno);
            assert_eq!(Devno::from_rdev(nix::libc::makedev(major, minor)), devno);
        }
        assert_eq!(Devno::new(253, 256).unwrap().to_kernel(), 0x0010_fd00);
    }

    #[test]
    fn what_is_not_a_device_number_is_refused_with_its_value() {
        for text in ["", ":", "253", "253:", ":0", "253:0:1", "-1:0", "+253:0", "4096:0", "253:1048576", "253:0 ", "a:b", "99999999999:0"] {
            let error = text.parse::<Devno>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("device number {text}:")), "{error}");
        }
    }
}
