//! The folders that everything is found in: others in tests.

use std::path::PathBuf;

/// Where the system shows itself.
#[derive(Debug, Clone)]
pub struct Roots {
    /// devtmpfs.
    pub dev: PathBuf,
    /// sysfs.
    pub sys: PathBuf,
    /// procfs.
    pub proc: PathBuf,
    /// udev's runtime directory.
    pub run_udev: PathBuf,
    /// dmhelper's own.
    pub run_dmhelper: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            dev: "/dev".into(),
            sys: "/sys".into(),
            proc: "/proc".into(),
            run_udev: "/run/udev".into(),
            run_dmhelper: "/run/dmhelper".into(),
        }
    }
}
