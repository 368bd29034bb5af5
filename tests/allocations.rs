//! What `dmhelper listen` asks of the allocator while it handles an event: nothing, but for a new device's record, for
//! a link that goes, and for a message. Real replies of the kernel, real directories, a real semaphore behind every
//! cookie; only the kernel's nodes are files.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::fs;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::rc::Rc;

use dmhelper::cookie::sem::Set;
use dmhelper::cookie::{Cookie, Flags, Key};
use dmhelper::devno::Devno;
use dmhelper::dm::abi::{DM_SUSPEND_FLAG, dm_ioctl};
use dmhelper::dm::reply::Reply;
use dmhelper::error::Error;
use dmhelper::listen::engine::{Engine, Places};
use dmhelper::listen::place::Place;
use dmhelper::listen::standalone::process;
use dmhelper::nodes::apply::Node;
use dmhelper::udevdb::Record;
use dmhelper::uevent::Uevent;
use dmhelper::uevent::socket::{DATAGRAM_MAX, QUEUE, Received, Socket};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, getsockname, sendto};

thread_local! {
    /// What this thread has asked for: the test harness has threads of its own.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count() {
        // A thread that ends has no counter any more.
        let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promise is the same.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often memory was asked for meanwhile.
fn count<T>(action: impl FnOnce() -> T) -> (u64, T) {
    let before = ASKED.get();
    let result = action();
    (ASKED.get() - before, result)
}

/// The kernel's reply about `vg-my--data`, a volume of LVM.
const VOLUME: &[u8] = include_bytes!("fixtures/info/replies/status-vg-my--data");
/// Major number of the devices.
const MAJOR: u32 = 254;
/// Links of a volume: its name, its place in the group, by name, by UUID, by instance.
const LINKS: usize = 5;
/// Of them those that a new name changes.
const NAMED: u64 = 3;
/// For each link that goes: to read where it leads.
const TO_READ: u64 = 2;

/// An engine over directories of its own, and the kernel's reply about the device that is asked for next.
struct Rig {
    directory: tempfile::TempDir,
    engine: Engine,
    reply: Rc<RefCell<Vec<u8>>>,
    semaphore: Semaphore,
}

/// The semaphore behind the cookies of all events, removed when the test ends, whichever way.
struct Semaphore(Key, Set);

impl Drop for Semaphore {
    fn drop(&mut self) {
        let _ = self.1.remove();
    }
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let places = Places { dev: directory.path().join("dev"), run_udev: directory.path().join("run"), prober: None };
        fs::create_dir(&places.dev).unwrap();
        let reply = Rc::new(RefCell::new(VOLUME.to_vec()));
        let asked = Rc::clone(&reply);
        let query = move |devno: Devno| {
            let device = Reply::new(&asked.borrow())?.device()?;
            if device.devno == devno { Ok(device) } else { Err(Error::not_found("query", devno.to_string())) }
        };
        // Tests of several processes may run at once: a key is free when its set can be created.
        let create = |base| {
            let key = Cookie::new(base).key()?;
            Some(Semaphore(key, Set::create(key).ok()?))
        };
        Self { engine: Engine::new(places, Box::new(query)), directory, reply, semaphore: (1..=0xffff).find_map(create).unwrap() }
    }

    /// The end of one run and the start of the next.
    fn restart(&mut self, minor: u32) {
        let next = Rig::new();
        let places = |rig: &Rig| ["dev", "run"].map(|name| rig.directory.path().join(name));
        for (old, new) in places(self).iter().zip(places(&next)) {
            let _ = fs::remove_dir(&new);
            fs::rename(old, new).unwrap();
        }
        *next.reply.borrow_mut() = self.reply.take();
        *self = next;
        let node = Node::from(&format!("dm-{minor}")).unwrap();
        self.engine.remember(Devno::new(MAJOR, minor).unwrap(), Some(node)).unwrap();
    }

    /// From now on the kernel knows one device.
    fn set(&self, minor: u32, name: &str, suspended: bool) {
        let mut reply = VOLUME.to_vec();
        let mut put = |at: usize, bytes: &[u8]| reply[at..at + bytes.len()].copy_from_slice(bytes);
        put(offset_of!(dm_ioctl, dev), &Devno::new(MAJOR, minor).unwrap().to_kernel().to_ne_bytes());
        put(offset_of!(dm_ioctl, name), &[name.as_bytes(), b"\0"].concat());
        let at = offset_of!(dm_ioctl, flags);
        let flags = u32::from_ne_bytes(VOLUME[at..at + 4].try_into().unwrap()) & !DM_SUSPEND_FLAG;
        put(at, &(flags | if suspended { DM_SUSPEND_FLAG } else { 0 }).to_ne_bytes());
        *self.reply.borrow_mut() = reply;
        fs::write(self.directory.path().join(format!("dev/dm-{minor}")), "").unwrap();
    }

    /// How often memory was asked for while an event was handled and its cookie was completed.
    fn event(&mut self, minor: u32, action: &str, more: &str) -> u64 {
        let text = format!(
            "{action}@/devices/virtual/block/dm-{minor}\0ACTION={action}\0DEVPATH=/devices/virtual/block/dm-{minor}\0SUBSYSTEM=block\0\
             {more}MAJOR={MAJOR}\0MINOR={minor}\0DEVNAME=dm-{minor}\0DEVTYPE=disk\0DISKSEQ=14\0SEQNUM=1204\0"
        );
        let event = Uevent::from_kernel(text.as_bytes()).unwrap();
        let waiting = event.cookie().is_some();
        if waiting {
            self.semaphore.1.add().unwrap();
        }
        let (asked, completed) = count(|| process(&mut self.engine, event));
        assert_eq!(completed, waiting);
        assert_eq!(self.semaphore.1.value(), Ok(1), "the tool waits for nothing more");
        asked
    }

    /// An event that a tool has caused and waits for.
    fn waited_for(&mut self, minor: u32, action: &str) -> u64 {
        let cookie = self.semaphore.0.cookie().with_flags(Flags::PRIMARY_SOURCE);
        self.event(minor, action, &format!("DM_COOKIE={}\0", cookie.value()))
    }

    /// All links; and what is recorded of a device.
    fn links(&self) -> usize {
        links_below(&self.directory.path().join("dev"))
    }

    fn record(&self, minor: u32) -> Option<Record> {
        Record::read(&self.directory.path().join("run"), Devno::new(MAJOR, minor).unwrap()).unwrap()
    }

    fn property(&self, minor: u32, key: &str) -> Option<String> {
        Some(String::from_utf8(self.record(minor)?.property(key)?.to_vec()).unwrap())
    }
}

fn links_below(directory: &Path) -> usize {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            if path.is_symlink() {
                1
            } else if path.is_dir() {
                links_below(&path)
            } else {
                0
            }
        })
        .sum()
}

#[test]
fn the_counter_counts() {
    assert_eq!(count(|| std::hint::black_box(vec![1_u8])).0, 1);
    let mut vector = vec![1_u8];
    assert_eq!(count(|| vector.reserve(1000)).0, 1);
    assert_eq!(count(|| vector.clear()).0, 0);
}

#[test]
fn only_a_new_device_and_a_link_that_goes_take_memory() {
    let mut rig = Rig::new();
    for life in 0..3 {
        rig.set(0, "vg-my--data", false);
        let asked = rig.event(0, "add", "");
        // The very first one also takes the table's first leaf, and makes the directory of the records.
        assert!(if life == 0 { asked <= 4 } else { asked == 1 }, "life {life}: {asked}");
        assert!(rig.record(0).is_some() && rig.links() == 0);

        assert_eq!(rig.waited_for(0, "change"), 0, "activation");
        assert_eq!((rig.links(), rig.property(0, "DM_ACTIVATION").as_deref()), (LINKS, Some("1")));
        assert_eq!(rig.waited_for(0, "change"), 0, "a reload: nothing has changed");
        assert_eq!(rig.links(), LINKS);
        assert_eq!(rig.event(0, "change", "SYNTH_UUID=0\0"), 0, "a change without a tool");
        assert_eq!((rig.links(), rig.property(0, "DM_ACTIVATION")), (LINKS, None));

        rig.set(0, "vg-my--data", true);
        assert_eq!(rig.event(0, "change", "SYNTH_UUID=0\0"), 0, "a change while it is suspended");
        assert_eq!(rig.property(0, "DM_SUSPENDED").as_deref(), Some("1"));
        rig.set(0, "vg-other", false);
        assert!(rig.waited_for(0, "change") <= NAMED * TO_READ, "a rename");
        assert!(rig.links() == LINKS && rig.directory.path().join("dev/vg/other").is_symlink());
        assert!(rig.event(0, "change", "DISK_RO=1\0") <= LINKS as u64 * TO_READ, "read-only: out of use");
        assert_eq!(rig.links(), 0);
        assert_eq!(rig.waited_for(0, "change"), 0, "back in use");
        assert_eq!(rig.links(), LINKS);

        fs::remove_file(rig.directory.path().join("dev/dm-0")).unwrap();
        assert!(rig.waited_for(0, "remove") <= LINKS as u64 * TO_READ);
        assert_eq!((rig.links(), rig.record(0)), (0, None));
    }
}

#[test]
fn many_devices_take_a_record_each_and_a_table() {
    const DEVICES: u32 = 300;
    let mut rig = Rig::new();
    let mut asked = 0;
    for minor in 0..DEVICES {
        rig.set(minor, &format!("vg-many{minor}"), false);
        asked += rig.event(minor, "add", "");
        assert_eq!(rig.waited_for(minor, "change"), 0, "activation of {minor}");
    }
    assert!((u64::from(DEVICES)..u64::from(DEVICES) * 3 / 2).contains(&asked), "{asked}");
    for minor in 0..DEVICES {
        rig.set(minor, &format!("vg-many{minor}"), false);
        assert_eq!(rig.waited_for(minor, "change"), 0, "a reload of {minor}");
        assert!(rig.waited_for(minor, "remove") <= LINKS as u64 * TO_READ, "the end of {minor}");
    }
    assert_eq!((rig.links(), rig.engine.devices()), (0, 0));
}

#[test]
fn a_device_that_is_taken_over_takes_no_more_than_one_that_was_seen_from_the_start() {
    let mut rig = Rig::new();
    rig.set(0, "vg-my--data", false);
    rig.waited_for(0, "change");
    rig.event(0, "change", "SYNTH_UUID=0\0"); // its record is shorter now
    rig.restart(0);
    assert_eq!(rig.engine.devices(), 1);
    assert_eq!(rig.waited_for(0, "change"), 0);
    assert_eq!((rig.links(), rig.property(0, "DM_ACTIVATION").as_deref()), (LINKS, Some("1")));
}

#[test]
fn what_is_gone_or_not_known_takes_no_more_than_a_message() {
    let mut rig = Rig::new();
    rig.set(0, "vg-my--data", false);
    assert_eq!(rig.waited_for(1, "remove"), 0);
    assert!((1..=4).contains(&rig.waited_for(1, "change")), "gone before we asked");
}

/// To the port of a subscription of this process, which anybody may do: it is received, and dropped.
#[test]
fn a_datagram_takes_no_memory() {
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut socket = Socket::open(false, false, QUEUE).unwrap();
    let port = getsockname::<NetlinkAddr>(socket.as_fd().as_raw_fd()).unwrap().pid();
    let mut receive = || count(|| socket.receive(&mut buffer).map(|received| received == Received::Dropped));
    assert_eq!(receive(), (0, Ok(false)), "nothing is there");
    let protocol = SockProtocol::NetlinkKObjectUEvent;
    let sender = nix::sys::socket::socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).unwrap();
    sendto(sender.as_raw_fd(), &[b'x'; 4096], &NetlinkAddr::new(port, 0), MsgFlags::empty()).unwrap();
    assert_eq!(receive(), (0, Ok(true)));
}

/// Asked before every completion.
#[test]
fn to_see_that_no_udevd_has_come_takes_no_memory() {
    let run = tempfile::tempdir().unwrap();
    let mut place = Place::free(run.path(), Path::new("/proc")).unwrap();
    place.watch();
    assert_eq!(count(|| place.is_taken()), (0, false));
    place.claim().unwrap();
    assert_eq!(count(|| place.is_taken()), (0, false));
}
