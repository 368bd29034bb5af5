//! A system in a folder of its own, for tests.

use std::cell::{OnceCell, RefCell};
use std::fs;
use std::os::unix::fs::symlink;

use super::find::Meaning;
use super::{Info, Roots, Sources};
use crate::dm::listing::Listing;
use crate::dm::sysfs;
use crate::survey::Survey;

/// A system as an ordinary user sees it: a sysfs tree and udev records in a folder of its own.
pub(crate) struct System {
    _folder: tempfile::TempDir,
    pub(crate) roots: Roots,
}

impl System {
    /// LUKS (254:10) on an LVM volume (254:0) on loop0 (7:0); a partition (254:18) of the LUKS device.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let roots = Roots { dev: at("dev"), sys: at("sys"), proc: at("proc"), run_udev: at("udev"), run_dmhelper: at("dmhelper") };
        let system = Self { roots, _folder: folder };
        system.device("loop0", "7:0", "409600", &[], &["dm-0"]);
        system.device("dm-0", "254:0", "49152", &["loop0"], &["dm-10"]);
        system.dm("dm-0", "vg-my--data", "LVM-7vPI6fXEkxBUKCKodQ9MPY82MtD93q6izTRk2Fvgk2zKKKGmj2gWOY162bK3IR6h", "0");
        system.device("dm-10", "254:10", "16384", &["dm-0"], &["dm-18"]);
        system.dm("dm-10", "secret", "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-secret", "1");
        system.device("dm-18", "254:18", "0", &["dm-10"], &[]);
        system.dm("dm-18", "secret1", "part1-CRYPT-LUKS2-0123456789abcdef0123456789abcdef-secret", "0");
        fs::create_dir_all(system.roots.run_udev.join("data")).unwrap();
        fs::write(system.roots.run_udev.join("data/b254:10"), include_bytes!("../../tests/fixtures/info/udev-crypt")).unwrap();
        system
    }

    pub(crate) fn device(&self, kernel: &str, devno: &str, size: &str, slaves: &[&str], holders: &[&str]) {
        let sys = &self.roots.sys;
        let home = sys.join("devices").join(kernel);
        for folder in [home.clone(), sys.join("dev/block"), sys.join("class/block"), home.join("slaves"), home.join("holders")] {
            fs::create_dir_all(folder).unwrap();
        }
        for (file, value) in [("dev", devno), ("size", size), ("ro", "0")] {
            fs::write(home.join(file), format!("{value}\n")).unwrap();
        }
        symlink(format!("../../devices/{kernel}"), sys.join("dev/block").join(devno)).unwrap();
        symlink(format!("../../devices/{kernel}"), sys.join("class/block").join(kernel)).unwrap();
        for (folder, others) in [("slaves", slaves), ("holders", holders)] {
            for other in others {
                symlink(format!("../../{other}"), home.join(folder).join(other)).unwrap();
            }
        }
    }

    pub(crate) fn dm(&self, kernel: &str, name: &str, uuid: &str, suspended: &str) {
        let home = self.roots.sys.join("devices").join(kernel).join("dm");
        fs::create_dir_all(&home).unwrap();
        for (file, value) in [("name", name), ("uuid", uuid), ("suspended", suspended)] {
            fs::write(home.join(file), format!("{value}\n")).unwrap();
        }
    }

    /// One more device that uses another.
    pub(crate) fn holder(&self, kernel: &str, holder: &str) {
        symlink(format!("../../{holder}"), self.roots.sys.join("devices").join(kernel).join("holders").join(holder)).unwrap();
    }

    /// A partition lies in its disk's folder.
    pub(crate) fn partition(&self, disk: &str, kernel: &str, devno: &str) {
        let sys = &self.roots.sys;
        let home = sys.join("devices").join(disk).join(kernel);
        fs::create_dir_all(home.join("holders")).unwrap();
        for (file, value) in [("dev", devno), ("size", "8"), ("ro", "0"), ("partition", "1")] {
            fs::write(home.join(file), format!("{value}\n")).unwrap();
        }
        symlink(format!("../../devices/{disk}/{kernel}"), sys.join("dev/block").join(devno)).unwrap();
        symlink(format!("../../devices/{disk}/{kernel}"), sys.join("class/block").join(kernel)).unwrap();
    }

    pub(crate) fn survey(&self) -> Survey<'_> {
        Survey::new(&self.roots, self.sources())
    }

    pub(crate) fn sources(&self) -> Sources<'_> {
        let mut devices: Listing = sysfs::list(&self.roots.sys);
        devices.sort();
        Sources { roots: &self.roots, control: None, devices, places: OnceCell::new(), others: RefCell::default(), udevd: true.into() }
    }

    pub(crate) fn gather(&self, word: &str) -> Info {
        let sources = self.sources();
        sources.gather(sources.find(word, Meaning::Any).unwrap()).unwrap()
    }
}
