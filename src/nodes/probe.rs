//! What is on a device, as a blkid program tells it: util-linux's or busybox's, run with a deadline.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::deadline::Timeout;
use crate::error::{Error, Result};
use crate::udevdb::Record;

/// A program that is asked, and how long it may take.
#[derive(Debug, Clone)]
pub struct Prober {
    /// The program's path.
    pub program: PathBuf,
    /// Its time, after which it is killed.
    pub timeout: Timeout,
}

impl Prober {
    /// Asks about one node: udev's keys (`ID_FS_UUID_ENC`, …) and their values. Nothing found is no failure.
    pub fn probe(&self, node: &Path) -> Result<Record> {
        let name = self.program.as_os_str().as_encoded_bytes();
        let failed = |error: std::io::Error| Error::spawn("run", name, &error);
        let mut command = Command::new(&self.program);
        if !self.is_busybox() {
            command.args(["-o", "udev", "-p"]);
        }
        let mut child = command.arg(node).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
        let deadline = self.timeout.deadline();
        let mut text = Vec::new();
        // It is not to share our protection from being killed for want of memory.
        let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.id()), "0");
        let read = read_until(&mut child, deadline, &mut text);
        let status = end(&mut child, if matches!(read, Ok(true)) { deadline } else { Some(Instant::now()) }).map_err(failed)?;
        match (read, status) {
            // blkid(8): 2 means that nothing was found.
            (Ok(true), Some(status)) if matches!(status.code(), Some(0 | 2)) => Ok(parse(&text)),
            (Ok(true), Some(status)) => {
                Err(Error::malformed("probe", node.as_os_str().as_encoded_bytes(), format!("{}: {status}", self.program.display())))
            }
            (Ok(_), _) => Err(Error::timed_out("probe", node.as_os_str().as_encoded_bytes(), format!("no answer after {}", self.timeout))),
            (Err(error), _) => Err(failed(error)),
        }
    }

    /// busybox's applet knows no options.
    fn is_busybox(&self) -> bool {
        let target = std::fs::canonicalize(&self.program).unwrap_or_else(|_| self.program.clone());
        target.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"busybox"))
    }
}

/// Its status, once it has ended by itself until the deadline, if there is one, or, killed, a moment later. `None` for one that does not
/// even die: it sleeps in the kernel on a device that does not answer, and nobody is to wait for that.
fn end(child: &mut std::process::Child, deadline: Option<Instant>) -> std::io::Result<Option<std::process::ExitStatus>> {
    const MOMENT: Duration = Duration::from_millis(500);
    const PAUSE: Duration = Duration::from_millis(2);
    let mut killed = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status).filter(|_| !killed));
        }
        let over = deadline.and_then(|deadline| Instant::now().checked_duration_since(deadline));
        if over.is_some_and(|over| over >= MOMENT) {
            return Ok(None);
        }
        if over.is_some() && !killed {
            let _ = child.kill();
            killed = true;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Reads all output; `false` when the deadline comes first.
fn read_until(child: &mut std::process::Child, deadline: Option<Instant>, text: &mut Vec<u8>) -> std::io::Result<bool> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;

    let Some(mut output) = child.stdout.take() else { return Ok(true) };
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        match poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return Ok(false),
            Ok(0) => continue,
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        match output.read(&mut buffer)? {
            0 => return Ok(true),
            n => text.extend_from_slice(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// Either form of output: util-linux's `ID_FS_UUID=…` lines, or busybox's one line `/dev/x: LABEL="…" UUID="…" TYPE="…"`.
pub fn parse(text: &[u8]) -> Record {
    let mut found = Record::default();
    let lines = text.split(|&b| b == b'\n').filter(|line| line.starts_with(b"ID_"));
    lines.filter_map(pair).for_each(|(key, value)| found.push_property(key, value));
    if found != Record::default() {
        return found;
    }
    // One device, one line; a name with a line break in it is nobody's.
    let line = text.split(|&b| b == b'\n').next().unwrap_or_default();
    for word in quoted(line) {
        let Some((key, value)) = pair(&word) else { continue };
        let encoded = crate::name::mangle(value);
        match key {
            b"LABEL" => found.push_property(b"ID_FS_LABEL_ENC", encoded.as_bytes()),
            b"UUID" => found.push_property(b"ID_FS_UUID_ENC", encoded.as_bytes()),
            b"TYPE" => {
                found.push_property(b"ID_FS_USAGE", usage(value));
                found.push_property(b"ID_FS_TYPE", value);
            }
            _ => {}
        }
    }
    found
}

fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == b'=')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// `KEY="VALUE"` words as `KEY=VALUE`; a value may hold spaces.
fn quoted(text: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(text);
    let mut words = Vec::new();
    let mut rest = text.as_ref();
    while let Some((before, after)) = rest.split_once("=\"") {
        let key = before.rsplit(' ').next().unwrap_or_default();
        let Some((value, tail)) = after.split_once('"') else { break };
        words.push(format!("{key}={value}").into_bytes());
        rest = tail;
    }
    words
}

/// busybox names the type only; these are the types that are no file systems (libblkid's `usage`).
fn usage(kind: &[u8]) -> &'static [u8] {
    match kind {
        b"crypto_LUKS" | b"BitLocker" => b"crypto",
        b"swap" => b"other",
        b"LVM2_member" | b"linux_raid_member" | b"zfs_member" | b"bcache" => b"raid",
        _ => b"filesystem",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(String, String)> {
        let text_of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        parse(text.as_bytes()).properties().map(|(key, value)| (text_of(key), text_of(value))).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn both_programs_are_understood() {
        assert_eq!(
            of("ID_FS_LABEL=my_home\nID_FS_LABEL_ENC=my\\x20home\nID_FS_USAGE=filesystem\nother\n"),
            pairs(&[("ID_FS_LABEL", "my_home"), ("ID_FS_LABEL_ENC", "my\\x20home"), ("ID_FS_USAGE", "filesystem")])
        );
        assert_eq!(
            of("/dev/dm-0: LABEL=\"my home\" UUID=\"1-2\" TYPE=\"ext4\"\n"),
            pairs(&[("ID_FS_LABEL_ENC", "my\\x20home"), ("ID_FS_UUID_ENC", "1-2"), ("ID_FS_USAGE", "filesystem"), ("ID_FS_TYPE", "ext4")])
        );
        assert_eq!(of("/dev/dm-0: UUID=\"1-2\" TYPE=\"LVM2_member\"\n")[1], ("ID_FS_USAGE".to_string(), "raid".to_string()));
        assert!(of("").is_empty() && of("/dev/dm-0: UUID=\"1-").is_empty());
    }

    /// An executable script. Written by a process of its own: a file that this one still had open for writing when
    /// another test forks could not be run ("text file busy").
    fn script(directory: &Path, text: &str) -> PathBuf {
        let path = directory.join("blkid");
        let made =
            Command::new("sh").args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\" && chmod 755 \"$0\""]).arg(&path).arg(text).status();
        assert!(made.unwrap().success());
        path
    }

    #[test]
    fn a_prober_that_closes_its_output_and_hangs_or_fails_is_no_answer() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["exec >&-; exec sleep 60", "echo ID_FS_TYPE=ext4; exit 4"] {
            let started = Instant::now();
            let prober = Prober { program: script(directory.path(), text), timeout: "300ms".parse().unwrap() };
            assert!(prober.probe(Path::new("/dev/null")).is_err(), "{text}");
            assert!(started.elapsed() < Duration::from_secs(20), "{text}");
        }
    }

    #[test]
    fn a_prober_that_hangs_is_killed_at_its_deadline() {
        let directory = tempfile::tempdir().unwrap();
        let prober = Prober { program: script(directory.path(), "exec sleep 60"), timeout: "100ms".parse().unwrap() };
        let error = prober.probe(Path::new("/dev/null")).unwrap_err();
        assert!(matches!(error.cause(), crate::error::Cause::TimedOut(_)), "{error}");
    }

    #[test]
    fn what_a_prober_prints_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        for timeout in ["20s", "10000000000000000000s", "infinity"] {
            let prober = Prober { program: script(directory.path(), "echo ID_FS_TYPE=ext4"), timeout: timeout.parse().unwrap() };
            assert_eq!(prober.probe(Path::new("/dev/null")).unwrap(), parse(b"ID_FS_TYPE=ext4\n"), "{timeout}");
        }
    }
}
