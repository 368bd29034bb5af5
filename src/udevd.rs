//! Is there a udevd that will process events, and is it stopped?
//!
//! This releases cookies, replaces sockets and ends boots, so that "no" needs proof: that no socket is bound where udevd's
//! is, and that no process of its is there either. Nothing connects to it, for systemd would start a udevd for that.
//!
//! Where its socket is: up to systemd 261 `RUN/control` is a SEQPACKET socket; from 262 it is a link to `RUN/io.systemd.Udev`, a
//! stream socket, which earlier ones may have beside the other. Either may be held by systemd, which starts udevd with the next
//! event, or, the first, by `dmhelper listen`. The sockets themselves tell whether somebody holds them, whatever the
//! network, mount or process namespace; who that is, /proc tells of those that it shows.

pub(crate) mod socket;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::process::Process;
use socket::{Bound, Listening, bound, is_udevds, listening};

/// What can be found out about udevd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Udevd {
    /// It takes events.
    Running,
    /// systemd listens for it, and starts it with the next event.
    OnDemand,
    /// `dmhelper listen --claim-udev` is in its place, and takes device-mapper's events.
    StandIn,
    /// Its process is stopped (SIGSTOP, a debugger): it will take events when it goes on.
    Stopped,
    /// This is not known: there may be one, and whoever would do harm then leaves it alone.
    Unknown(Doubt),
    /// It has ended; a worker of it goes on with the event that it has in hand, and nobody takes another.
    Ending,
    /// There is none, provably: nobody takes events.
    Absent,
}

/// Why it is not known whether there is a udevd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Its socket may not be looked at.
    Socket(Errno),
    /// Somebody holds its socket, and it is not known who that is.
    Holder,
    /// This process has its name and its directory, and no socket that is known.
    Process(u32),
    /// This process is one that has another directory, but completes cookies of the same IPC namespace: we may be in a chroot.
    Elsewhere(u32),
    /// Not all processes can be seen.
    Processes,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(errno) => write!(f, "its control socket cannot be examined ({})", errno.desc()),
            Self::Holder => f.write_str("an unknown process holds its control socket"),
            Self::Process(pid) => write!(f, "process {pid} has its name, but no control socket"),
            Self::Elsewhere(pid) => write!(f, "process {pid} has another /run/udev and completes the same cookies"),
            Self::Processes => f.write_str("not all processes can be seen from here"),
        }
    }
}

impl Udevd {
    /// Finds out whether the events of the devices in `RUN` (`/run/udev`) will be processed.
    pub fn find(run: &Path, proc: &Path) -> Self {
        Look::take(run, proc).udevd
    }

    /// Whether provably nobody will process the next event. Reads of no process where somebody holds the control
    /// socket, be it a worker that has it from its dead udevd.
    pub fn is_absent_from(run: &Path, proc: &Path) -> bool {
        bound(&run.join("control")) != Bound::Somebody && Self::find(run, proc).is_absent()
    }

    /// Whether provably nobody will process the next event. Everything else, doubt among it, is a udevd.
    pub fn is_absent(self) -> bool {
        matches!(self, Self::Absent | Self::Ending)
    }
}

/// What one look at all processes tells of udevd.
#[derive(Debug)]
pub struct Look {
    /// As [`Udevd::find`] has it.
    pub udevd: Udevd,
    /// Whether it has events left to process: it keeps the file `RUN/queue` while it has, and a worker that has outlived
    /// its udevd has one.
    pub busy: bool,
    /// The main processes of the udevd whose directory this is, and workers that have outlived theirs: they go on with what
    /// they have in hand. One with another directory is none of our business, unless it has our cookies ([`Doubt::Elsewhere`]).
    pub processes: Vec<Process>,
    /// Who holds the control socket in udevd's place.
    pub holder: Option<Process>,
}

impl Look {
    /// Reads of every process: of thousands where there are thousands of devices, for many a device has a kernel thread.
    pub fn take(run: &Path, proc: &Path) -> Self {
        // Before the processes: whoever holds it is there when they are read.
        let bound = [bound(&run.join("control")), bound(&run.join("io.systemd.Udev"))];
        let Ok(candidates) = Candidates::find(run, proc) else {
            return Self { udevd: Udevd::Unknown(Doubt::Processes), busy: has_queue(run), processes: Vec::new(), holder: None };
        };
        let udevd = candidates.state(bound);
        let Candidates { listening, unclear, orphans, holder, .. } = candidates;
        let processes: Vec<_> = [listening, unclear, orphans].concat();
        Self { udevd, busy: has_queue(run) || processes.len() > 1, processes, holder }
    }
}

/// Whether there is the file that udevd keeps while it has events left.
pub(crate) fn has_queue(run: &Path) -> bool {
    run.join("queue").exists()
}

/// What the main one is named.
const NAMES: [&[u8]; 3] = [b"systemd-udevd", b"udevd", b"eudevd"];
/// And, in systemd 251 and later, its workers.
pub(crate) const WORKER: &[u8] = b"(udev-worker)";

/// The processes that it depends on, all of root's and with the same directory.
struct Candidates {
    /// Named as udevd, no other one's child, and listening on a socket of its.
    listening: Vec<Process>,
    /// The same, but not known to listen: it may not be looked at, or has not got so far, or is no udevd.
    unclear: Vec<Process>,
    /// Workers that have outlived their udevd, with an event in hand. From systemd 262 on one may wait for its answer for
    /// ever: to watch the device it asks its udevd.
    orphans: Vec<Process>,
    /// Whether a worker that has outlived its udevd holds that one's socket (systemd 262), on which nobody answers any more.
    is_inherited: bool,
    /// Who holds its socket in its place: systemd, `dmhelper listen`.
    holder: Option<Process>,
    /// One that has another directory and the same cookies.
    elsewhere: Option<u32>,
    /// Whether somebody listens under such a name whom none of these is.
    is_listed: bool,
    sees_all: bool,
    /// Whether one that is hidden completes our cookies, if there is one: the host's, for a container.
    has_hosts_cookies: bool,
}

impl Candidates {
    fn find(run: &Path, proc: &Path) -> io::Result<Self> {
        let is_udevd = |process: &Process| NAMES.contains(&process.name.as_slice()) || process.name == WORKER;
        let is_other = |process: &Process| process.pid == 1 || matches!(process.name.as_slice(), b"systemd" | b"dmhelper");
        let mut roots = Vec::new();
        for process in Process::all(proc)? {
            if (is_udevd(&process) || is_other(&process)) && !process.has_ended() && process.is_roots(proc)? {
                roots.push(process);
            }
        }
        let (udevds, others): (Vec<_>, Vec<_>) = roots.into_iter().partition(is_udevd);
        let heads = udevds.iter().filter(|process| udevds.iter().all(|other| other.pid != process.parent));

        let mut sockets = Sockets::read(run, proc);
        let (mut listening, mut unclear, mut orphans, mut is_inherited) = (Vec::new(), Vec::new(), Vec::new(), false);
        let mut elsewhere = None;
        let mut is_elsewhere = |process: &Process| {
            let sees_other = process.sees_other(proc, run);
            if sees_other && !process.has_other_cookies(proc) {
                elsewhere.get_or_insert(process.pid);
            }
            sees_other
        };
        for process in heads.cloned() {
            // Before anything is decided: what a container's udevd listens on is explained by it.
            let listens = sockets.listens(&process);
            match listens {
                Listens::Elsewhere => {}
                _ if is_elsewhere(&process) => {}
                _ if process.name == WORKER => {
                    is_inherited |= listens == Listens::Here;
                    // One that waits for its udevd's answer, which would be this signal, waits for ever.
                    if !process.blocks(proc, Signal::SIGUSR1 as i32) {
                        orphans.push(process);
                    }
                }
                Listens::Here => listening.push(process),
                Listens::Unclear => unclear.push(process),
            }
        }
        // systemd has hundreds of descriptors: it matters only where no udevd has the socket from it.
        let mut holds = |process: &Process| sockets.listens(process) == Listens::Here && !is_elsewhere(process);
        let holder = others.into_iter().find(|process| listening.is_empty() && holds(process));
        let is_listed = sockets.is_any_left();
        Ok(Self {
            listening,
            unclear,
            orphans,
            holder,
            is_inherited,
            elsewhere,
            is_listed,
            sees_all: sees_all(proc),
            has_hosts_cookies: has_hosts_cookies(proc),
        })
    }

    fn state(&self, bound: [Bound; 2]) -> Udevd {
        let state = |processes: &[Process]| if processes.iter().all(Process::is_stopped) { Udevd::Stopped } else { Udevd::Running };
        let hidden = bound.iter().find_map(|bound| if let Bound::Unknown(errno) = bound { Some(*errno) } else { None });
        let is_bound = bound.contains(&Bound::Somebody);
        let may_be_bound = is_bound || hidden.is_some();
        match (self.unclear.first(), &self.holder, hidden) {
            // Its socket may be gone from the directory: it takes events all the same.
            _ if !self.listening.is_empty() => state(&self.listening),
            (Some(_), ..) if may_be_bound => state(&self.unclear),
            (Some(process), ..) => Udevd::Unknown(Doubt::Process(process.pid)),
            (None, Some(holder), _) if may_be_bound => match holder.name.as_slice() {
                b"dmhelper" => Udevd::StandIn,
                _ => Udevd::OnDemand,
            },
            _ if is_bound && (self.is_listed || !self.is_inherited) => Udevd::Unknown(Doubt::Holder),
            (.., Some(_)) if self.is_listed => Udevd::Unknown(Doubt::Holder),
            (.., Some(errno)) => Udevd::Unknown(Doubt::Socket(errno)),
            // It may be there, without its socket, for those who see all processes.
            _ if !self.sees_all && (self.is_listed || self.has_hosts_cookies) => Udevd::Unknown(Doubt::Processes),
            _ => match self.elsewhere {
                Some(pid) => Udevd::Unknown(Doubt::Elsewhere(pid)),
                None if self.orphans.is_empty() => Udevd::Absent,
                None => Udevd::Ending,
            },
        }
    }
}

/// Whether none is hidden: by a PID namespace (the first one has a number of its own, PROC_PID_INIT_INO), or for users by
/// procfs's option hidepid, which hides the first process as well.
fn sees_all(proc: &Path) -> bool {
    !is_below(proc) && matches!(Process::read(proc, 1), Ok(Some(_)))
}

fn is_below(proc: &Path) -> bool {
    fs::read_link(proc.join("self/ns/pid")).is_ok_and(|namespace| namespace != Path::new("pid:[4026531836]"))
}

/// Whether this is a container that has the first IPC namespace (PROC_IPC_INIT_INO): `podman run --ipc=host`.
fn has_hosts_cookies(proc: &Path) -> bool {
    is_below(proc) && fs::read_link(proc.join("self/ns/ipc")).is_ok_and(|namespace| namespace == Path::new("ipc:[4026531839]"))
}

/// Whether a process listens on a socket of the udevd that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listens {
    Here,
    /// On that of another directory: it is another's.
    Elsewhere,
    /// Its descriptors may not be read, or it has none that listens.
    Unclear,
}

/// The sockets that somebody listens on.
struct Sockets<'a> {
    run: &'a Path,
    proc: &'a Path,
    /// Those of this network namespace.
    here: Vec<Listening>,
    /// Where `control` leads.
    control: Option<PathBuf>,
    /// The numbers of those that some process is known to have.
    explained: BTreeSet<u64>,
}

impl<'a> Sockets<'a> {
    fn read(run: &'a Path, proc: &'a Path) -> Self {
        let control = fs::canonicalize(run.join("control")).ok();
        Self { run, proc, here: Self::table(&proc.join("net/unix")), control, explained: BTreeSet::new() }
    }

    fn table(path: &Path) -> Vec<Listening> {
        listening(&fs::read(path).unwrap_or_default()).collect()
    }

    fn is_udevds(&self, socket: &Listening) -> bool {
        let leads_there = self.control.as_ref().is_some_and(|control| control.as_os_str().as_bytes() == socket.path);
        leads_there || is_udevds(&socket.path, self.run)
    }

    fn listens(&mut self, process: &Process) -> Listens {
        let Ok(inodes) = process.sockets(self.proc) else { return self.guess(process) };
        let mut held: Vec<_> = self.here.iter().filter(|socket| inodes.contains(&socket.inode)).cloned().collect();
        if held.is_empty() && !inodes.is_empty() {
            // Perhaps in another network namespace.
            let there = Self::table(&self.proc.join(format!("{}/net/unix", process.pid)));
            held = there.into_iter().filter(|socket| inodes.contains(&socket.inode)).collect();
        }
        self.explained.extend(held.iter().map(|socket| socket.inode));
        match held.iter().any(|socket| self.is_udevds(socket)) {
            true => Listens::Here,
            false if held.is_empty() => Listens::Unclear,
            false => Listens::Elsewhere,
        }
    }

    /// The same for those who may not see what it has: by the names alone. A claim's is bound under its process's number.
    fn guess(&mut self, process: &Process) -> Listens {
        if process.name == b"dmhelper" {
            let claim = self.run.join(format!("control.{}", process.pid));
            let claimed = self.here.iter().find(|socket| socket.path == claim.as_os_str().as_bytes());
            self.explained.extend(claimed.map(|socket| socket.inode));
            return if claimed.is_some() { Listens::Here } else { Listens::Unclear };
        }
        let there = Self::table(&self.proc.join(format!("{}/net/unix", process.pid)));
        let is_any = there.iter().chain(&self.here).any(|socket| self.is_udevds(socket));
        let names = [&b"/udev/control"[..], b"/udev/io.systemd.Udev"];
        let is_elsewhere = there.iter().any(|socket| names.iter().any(|name| socket.path.ends_with(name)));
        if !is_any && is_elsewhere { Listens::Elsewhere } else { Listens::Unclear }
    }

    /// Whether there is one that no process explains.
    fn is_any_left(&self) -> bool {
        self.here.iter().any(|socket| self.is_udevds(socket) && !self.explained.contains(&socket.inode))
    }
}

#[cfg(test)]
mod tests;
