//! Completion across IPC namespaces: a tool in a container waits on a semaphore that the host's udevd cannot see.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use super::completions::patiently;
use super::sem::{Completion, Set};
use super::{Cookie, Key};
use crate::error::{Error, Result};
use crate::process::{Process, unless_ended};

/// Completes the cookie in this IPC namespace or, where root has none of it here, in the one other that has it. Leaves this
/// process in a namespace of the others: for programs that end right after. Two others that have it are a collision: neither
/// is touched.
pub fn complete_anywhere(cookie: Cookie, key: Key, proc: &Path) -> Result<Completion> {
    let failed = |errno| Error::os("complete cookie", cookie.to_string(), errno);
    let completion = patiently(&mut || of_root(key)?.map_or(Ok(Completion::Gone), Set::complete)).map_err(failed)?;
    if completion != Completion::Gone {
        return Ok(completion);
    }
    let mut holders = Vec::new();
    for namespace in others(proc)? {
        setns(&namespace, CloneFlags::CLONE_NEWIPC).map_err(failed)?;
        if let Some(set) = of_root(key).map_err(failed)? {
            holders.push((namespace, set));
        }
    }
    match holders.as_slice() {
        [] => Ok(Completion::Gone),
        [(namespace, set)] => {
            setns(namespace, CloneFlags::CLONE_NEWIPC).map_err(failed)?;
            patiently(&mut || set.complete()).map_err(failed)
        }
        many => Err(Error::malformed(
            "complete cookie",
            cookie.to_string(),
            format!("{} IPC namespaces have it: none was touched, the tools must be told apart by hand", many.len()),
        )),
    }
}

/// The set of that key in the namespace that we are in now. Anybody can make a set of any key, and a namespace for it; a
/// tool that changes devices is root.
fn of_root(key: Key) -> std::result::Result<Option<Set>, Errno> {
    match Set::open(key).and_then(|set| Ok((set, set.creator()?))) {
        Ok((set, 0)) => Ok(Some(set)),
        Ok(_) | Err(Errno::ENOENT | Errno::EIDRM | Errno::EINVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Every IPC namespace that some process lives in, but our own.
///
/// # Errors
/// One that could not be looked at: it may be the one.
fn others(proc: &Path) -> Result<Vec<File>> {
    let failed = |error: io::Error| Error::io("look for", "IPC namespaces", &error);
    let own = fs::metadata(proc.join("self/ns/ipc")).map_err(failed)?.ino();
    let mut namespaces = BTreeMap::new();
    for pid in Process::numbers(proc).map_err(failed)? {
        let path = proc.join(pid.to_string()).join("ns/ipc");
        // Looked at by number first: there are thousands of processes and a handful of namespaces.
        let Some(inode) = unless_ended(fs::metadata(&path)).map_err(failed)?.map(|namespace| namespace.ino()) else { continue };
        if inode != own
            && !namespaces.contains_key(&inode)
            && let Some(file) = unless_ended(File::open(&path)).map_err(failed)?
        {
            namespaces.insert(inode, file);
        }
    }
    Ok(namespaces.into_values().collect())
}
