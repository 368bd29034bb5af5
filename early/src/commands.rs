//! The two commands, where all goes well. `None` stands for everything else: the whole program will see to it.

use arrayvec::ArrayVec;
use dmhelper_core::cookie::Cookie;
use dmhelper_core::decision::{Decision, Event};
use dmhelper_core::devno::Devno;
use dmhelper_core::dm::Device;
use dmhelper_core::dm::reply::Reply;
use dmhelper_core::dm::request;
use dmhelper_core::env::{EventLines, Properties};
use dmhelper_core::event;

use crate::process::Process;
use crate::system;

/// Does the command. What it did cannot be done again; what it did not do has left no trace.
pub(crate) fn run(process: &Process) -> Option<()> {
    let words: ArrayVec<&[u8], 4> = process.arguments().take(4).collect();
    match words.get(1..)? {
        [b"udev", device] => udev(process, str::from_utf8(device).ok()?.parse().ok()?),
        [b"cookie", b"complete", cookie] if process.arguments().count() == 4 => complete(str::from_utf8(cookie).ok()?.parse().ok()?),
        _ => None,
    }
}

/// Subtracts 1 from the cookie's semaphore.
fn complete(cookie: Cookie) -> Option<()> {
    match cookie.key() {
        Some(key) => system::complete(key),
        None => Some(()), // Nobody waits.
    }
}

/// Prints the properties of an event that a tool has caused: with its cookie alone, whatever is recorded.
fn udev(process: &Process, devno: Devno) -> Option<()> {
    // Who asks by hand may have closed the pipe: the whole program does not die of that.
    process.variable("DEVPATH").and(process.variable("SUBSYSTEM"))?;
    let event = Event::from_env(|name| process.variable(name)).ok()?;
    if !event.is_genuine() {
        return None;
    }
    let device = query(devno)?;
    let mut properties = Properties::new(EventLines::new());
    event::add_properties(&Decision::of(&event), Some(&device), &mut properties);
    system::print(properties.whole()?.as_bytes())
}

/// Name, UUID and state in one ioctl.
fn query(devno: Devno) -> Option<Device> {
    let mut request = request::status(devno);
    system::ask_status(&mut request)?;
    Reply::new(&request).ok()?.device().ok()
}
