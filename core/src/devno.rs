//! Device numbers: the identity of a device that is constant while it lives.

use core::fmt;
use core::str::FromStr;

use crate::fault::{Fault, Result};

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
        // The C library's encoding (gnu_dev_major in sys/sysmacros.h), on every architecture.
        Self { major: ((rdev >> 8) & 0xfff | (rdev >> 32) & 0xffff_f000) as u32, minor: (rdev & 0xff | (rdev >> 12) & 0xffff_ff00) as u32 }
    }
}

impl fmt::Display for Devno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl FromStr for Devno {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self> {
        let decimal = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten();
        text.split_once(':')
            .and_then(|(major, minor)| Devno::new(decimal(major)?, decimal(minor)?))
            .ok_or_else(|| Fault::usage("device number", text, "not MAJOR:MINOR (at most 4095:1048575)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn a_device_number_survives_both_encodings() {
        for (major, minor) in [(0, 0), (253, 0), (254, 255), (253, 256), (4095, 1_048_575), (8, 70_000)] {
            let devno = Devno::new(major, minor).unwrap();
            assert_eq!(Devno::from_kernel(devno.to_kernel()), devno);
            assert_eq!(devno.to_string().parse::<Devno>().unwrap(), devno);
        }
        assert_eq!(Devno::new(253, 256).unwrap().to_kernel(), 0x0010_fd00);
    }

    #[test]
    fn stats_encoding_is_read_as_the_c_library_writes_it() {
        // What glibc's makedev(3) makes of them.
        for (rdev, major, minor) in [(0xfd00, 253, 0), (0x1110fd70, 253, 70_000), (0xffffffff, 4095, 1_048_575), (0x801, 8, 1)] {
            let devno = Devno::from_rdev(rdev);
            assert_eq!((devno.major(), devno.minor()), (major, minor), "{rdev:#x}");
        }
    }

    #[test]
    fn what_is_not_a_device_number_is_refused_with_its_value() {
        for text in ["", ":", "253", "253:", ":0", "253:0:1", "-1:0", "+253:0", "4096:0", "253:1048576", "253:0 ", "a:b", "99999999999:0"] {
            let error = text.parse::<Devno>().unwrap_err();
            let shown = if text.is_empty() { "\"\"" } else { text };
            assert!(error.to_string().starts_with(&format!("device number {shown}:")), "{error}");
        }
    }
}
