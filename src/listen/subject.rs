//! A person's word for a device that may not exist yet.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::devno::Devno;
use crate::dm::listing::Listing;
use crate::error::{Cause, Error, Result};
use crate::info::find::{self, Meaning};
use crate::listen::condition::NO_DEVICE;
use crate::name::{DmName, DmUuid, mangle, unmangle};

/// A word for a device, now or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// As it was given.
    pub word: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A name, UUID or number.
    Identity(String, Meaning),
    /// A path under /dev, which udev makes.
    Path(PathBuf),
}

impl Subject {
    /// `/dev/mapper/NAME` means the name, whether the link is there or not; any other path means whatever it leads to.
    pub fn new(word: &str, meaning: Meaning, dev: &Path) -> Result<Self> {
        let is_path = ["/", "./", "../"].iter().any(|start| word.starts_with(start));
        let kind = if meaning == Meaning::Any && is_path {
            let name = Path::new(word).strip_prefix(dev.join("mapper")).ok().and_then(Path::to_str);
            match name.filter(|name| !name.is_empty() && !name.contains('/')) {
                Some(name) => Kind::Identity(name.to_string(), Meaning::Name),
                None => Kind::Path(word.into()),
            }
        } else {
            if meaning == Meaning::Devno {
                word.parse::<Devno>()?;
            }
            Kind::Identity(word.to_string(), meaning)
        };
        Ok(Self { word: word.to_string(), kind })
    }

    /// What is missing while there is none: behind a path the device may be there, and its link not.
    pub fn absence(&self) -> &'static str {
        match self.kind {
            Kind::Identity(..) => NO_DEVICE,
            Kind::Path(_) => "the path leads to no device-mapper device yet",
        }
    }

    /// The device among all there are; `None` while there is none.
    ///
    /// # Errors
    /// The word fits several devices, or is no device number though it looks like one; the path cannot be looked at.
    pub fn find(&self, devices: &Listing) -> Result<Option<Devno>> {
        match &self.kind {
            Kind::Identity(word, meaning) => match find::find(devices, word, *meaning) {
                Ok(devno) => Ok(Some(devno)),
                Err(error) if *error.cause() == Cause::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            Kind::Path(path) => Ok(block_device(path)?.filter(|devno| devices.iter().any(|device| device.devno == *devno))),
        }
    }

    /// Whether a device with these identities may be meant.
    pub fn fits(&self, devno: Devno, name: Option<&DmName>, uuid: Option<&DmUuid>) -> bool {
        let is = |word: &str, bytes: &[u8]| {
            bytes == word.as_bytes() || bytes == mangle(word.as_bytes()).as_bytes() || bytes == &*unmangle(word.as_bytes())
        };
        match &self.kind {
            Kind::Identity(word, meaning) => {
                let may_be = |kind| *meaning == Meaning::Any || *meaning == kind;
                may_be(Meaning::Devno) && word.parse() == Ok(devno)
                    || may_be(Meaning::Name) && name.is_some_and(|name| is(word, name.as_bytes()))
                    || may_be(Meaning::Uuid) && uuid.is_some_and(|uuid| is(word, uuid.as_bytes()))
            }
            Kind::Path(path) => block_device(path).is_ok_and(|found| found == Some(devno)),
        }
    }
}

/// The number of the block device that a path leads to; `None` where there is no such path. Nothing is opened.
pub fn block_device(path: &Path) -> Result<Option<Devno>> {
    let text = path.as_os_str().as_encoded_bytes();
    match std::fs::metadata(path) {
        Ok(file) if file.file_type().is_block_device() => Ok(Some(Devno::from_rdev(file.rdev()))),
        Ok(_) => Err(Error::usage("find", text, "not a block device")),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io("find", text, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dm::Listed;

    fn subject(word: &str, meaning: Meaning) -> Subject {
        Subject::new(word, meaning, Path::new("/dev")).unwrap()
    }

    fn fits(subject: &Subject, minor: u32, name: &str, uuid: &str) -> bool {
        let name = DmName::new(name).ok();
        subject.fits(Devno::new(253, minor).unwrap(), name.as_ref(), DmUuid::new(uuid).unwrap().as_ref())
    }

    #[test]
    fn a_word_fits_every_device_that_it_may_mean() {
        let any = subject("my disk", Meaning::Any);
        assert!(fits(&any, 0, "my\\x20disk", "") && fits(&any, 0, "my disk", "") && fits(&any, 0, "x", "my disk"));
        assert!(!fits(&any, 0, "my", "disk") && !fits(&any, 0, "", ""));
        assert!(fits(&subject("253:7", Meaning::Any), 7, "x", "") && fits(&subject("253:7", Meaning::Any), 1, "253:7", ""));
        assert!(!fits(&subject("253:7", Meaning::Name), 7, "x", ""));
        assert!(!fits(&subject("x", Meaning::Uuid), 7, "x", "y"));
        assert!(Subject::new("x", Meaning::Devno, Path::new("/dev")).is_err());
    }

    #[test]
    fn a_mapper_path_means_the_name_though_there_is_no_link() {
        let path = subject("/dev/mapper/vg-lv", Meaning::Any);
        assert!(fits(&path, 0, "vg-lv", "") && !fits(&path, 0, "x", "vg-lv"));
        let device = Listed { devno: Devno::new(253, 0).unwrap(), name: DmName::new("vg-lv").unwrap(), event_number: None, uuid: None };
        let devno = device.devno;
        let listing: Listing = [device].into_iter().collect();
        assert_eq!(path.find(&listing).unwrap(), Some(devno));
        assert_eq!(path.find(&Listing::default()).unwrap(), None);
        assert_eq!(subject("/dev/nowhere/at/all", Meaning::Any).find(&listing).unwrap(), None);
        assert!(subject("/dev/null", Meaning::Any).find(&listing).is_err());
    }
}
