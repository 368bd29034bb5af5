//! A device's record in the udev database, `/run/udev/data/bMAJOR:MINOR`: what udevd decided when it last processed an
//! event of the device.
//!
//! The format is systemd's own (sd-device, `device_update_db` and `handle_db_line`), kept stable for running systems:
//! one `X:value` a line.

use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cookie::Flags;
use crate::devno::Devno;
use crate::error::{Error, Result};
use crate::path::Scratch;

/// The kinds of lines that this program knows, in the order in which they are kept:
/// `S:` the links that lead to the device, relative to /dev; `L:` their priority; `I:` when udevd first finished with the
/// device; `E:` properties; `G:` tags.
const KINDS: [u8; 5] = *b"SLIEG";

/// What udevd knows of one device: the well-formed lines of the record's own text, its links first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record(Vec<u8>);

impl Record {
    /// Reads the record of a block device under udev's runtime directory (`/run/udev`). `None`: udevd has not
    /// processed the device.
    pub fn read(run_udev: &Path, devno: Devno) -> Result<Option<Self>> {
        let path = run_udev.join(format!("data/b{devno}"));
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(Self::parse(&bytes))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(Error::io("read", path.as_os_str().as_bytes(), &error)),
        }
    }

    /// Takes from the bytes what is well formed and skips every other line: newer versions of udev write kinds of
    /// lines that this program need not know.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut record = Record::default();
        for kind in KINDS {
            let lines = values(bytes, kind).filter(|value| is_well_formed(kind, value));
            lines.for_each(|value| record.0.extend([&[kind, b':'], value, b"\n"].concat()));
        }
        record
    }

    /// An empty one with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Record(Vec::with_capacity(bytes))
    }

    /// The links, relative to /dev.
    pub fn links(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&b| b == b'\n').map_while(|line| line.strip_prefix(b"S:"))
    }

    /// Of two devices that claim a link, the one with the higher priority gets it.
    pub fn link_priority(&self) -> i32 {
        values(&self.0, b'L').filter_map(number).last().unwrap_or_default()
    }

    /// When udevd first finished with the device, in microseconds since boot.
    pub fn initialized_usec(&self) -> Option<u64> {
        values(&self.0, b'I').filter_map(number).last()
    }

    /// The properties, in the order of the record.
    pub fn properties(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        values(&self.0, b'E').filter_map(property)
    }

    /// The tags.
    pub fn tags(&self) -> impl Iterator<Item = &[u8]> {
        values(&self.0, b'G')
    }

    /// A property's value; the last one counts, as in udev.
    pub fn property(&self, key: &str) -> Option<&[u8]> {
        self.properties().filter(|(found, _)| *found == key.as_bytes()).last().map(|(_, value)| value)
    }

    /// The flags of the device's last event that a tool caused.
    pub fn flags(&self) -> Flags {
        Flags::from_properties(|name| self.property(name) == Some(b"1"))
    }

    /// Becomes empty, and keeps its memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Becomes equal to the other, in its own memory if that is enough.
    pub fn copy_from(&mut self, other: &Self) {
        self.0.clone_from(&other.0);
    }

    /// Adds a link, unless it is there. Links come before everything else.
    pub fn push_link(&mut self, link: fmt::Arguments<'_>) {
        let start = self.0.len();
        self.push(b'S', |out| write!(out, "{link}"));
        let (before, added) = self.0.split_at(start);
        if before.split_inclusive(|&b| b == b'\n').any(|line| line == added) {
            self.0.truncate(start);
        }
    }

    /// Sets the links' priority.
    pub fn push_link_priority(&mut self, priority: i32) {
        if priority != 0 {
            self.push_number(b'L', priority);
        }
    }

    /// Sets when the device was first finished with, in microseconds since boot.
    pub fn push_initialized_usec(&mut self, usec: u64) {
        self.push_number(b'I', usec);
    }

    /// Adds a property.
    pub fn push_property(&mut self, key: &[u8], value: &[u8]) {
        self.push(b'E', |out| [key, b"=", value].iter().try_for_each(|part| out.write_all(part)));
    }

    /// Adds a tag.
    pub fn push_tag(&mut self, tag: &[u8]) {
        self.push(b'G', |out| out.write_all(tag));
    }

    fn push_number(&mut self, kind: u8, number: impl Display) {
        self.push(kind, |out| write!(out, "{number}"));
    }

    fn push(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        let start = self.0.len();
        self.0.extend([kind, b':']);
        let written = write(&mut self.0);
        // Whatever a label holds, it must not become a second line.
        let is_line = !self.0.iter().skip(start).any(|b| matches!(b, b'\n' | b'\r' | 0));
        if written.is_ok() && is_line { self.0.push(b'\n') } else { self.0.truncate(start) }
    }
}

/// The records of all devices, for who keeps them in udevd's place.
#[derive(Debug, Clone)]
pub struct Database {
    directory: PathBuf,
    path: Scratch,
    temporary: Scratch,
}

impl Database {
    /// Under udev's runtime directory (`/run/udev`).
    pub fn new(run_udev: &Path) -> Self {
        Self { directory: run_udev.join("data"), path: Scratch::default(), temporary: Scratch::default() }
    }

    /// Whether there is a record of the device.
    pub fn holds(&mut self, devno: Devno) -> bool {
        self.path.below(&self.directory, format_args!("b{devno}")).symlink_metadata().is_ok()
    }

    /// Writes a record in udev's own format, as one that outlives the change from the initramfs to the real root (the
    /// sticky bit, udev's `db_persist`). Replaced by rename: no reader sees half of it. When that fails there is none
    /// afterwards: rules take a device without a record for one that was activated where nobody looked, but believe an old
    /// record that says that it is not active.
    pub fn write(&mut self, devno: Devno, record: &Record) -> Result<()> {
        let path = self.path.below(&self.directory, format_args!("b{devno}"));
        let temporary = self.temporary.below(&self.directory, format_args!(".#b{devno}"));
        let created = match File::create(temporary) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.directory).and_then(|()| File::create(temporary))
            }
            other => other,
        };
        let written = created.and_then(|mut file| {
            file.write_all(&record.0)?;
            file.write_all(b"V:1\n")?;
            file.set_permissions(fs::Permissions::from_mode(0o1644))?;
            fs::rename(temporary, path)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(temporary);
            let _ = fs::remove_file(path);
            Error::io("write", path.as_os_str().as_bytes(), &error)
        })
    }

    /// Removes a device's record; there may be none.
    pub fn remove(&mut self, devno: Devno) -> Result<()> {
        let path = self.path.below(&self.directory, format_args!("b{devno}"));
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path.as_os_str().as_bytes(), &error)),
            _ => Ok(()),
        }
    }
}

/// What stands behind `KIND:` in the lines of that kind.
fn values(text: &[u8], kind: u8) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n').filter_map(move |line| line.strip_prefix(&[kind, b':']))
}

fn is_well_formed(kind: u8, value: &[u8]) -> bool {
    match kind {
        b'L' => number::<i32>(value).is_some(),
        b'I' => number::<u64>(value).is_some(),
        b'E' => property(value).is_some(),
        _ => !value.is_empty(),
    }
}

/// `KEY=VALUE`.
fn property(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|&b| b == b'=').filter(|&at| at > 0)?;
    Some((line.get(..at)?, line.get(at + 1..)?))
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
