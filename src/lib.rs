//! `dmhelper`: stable names, links and synchronisation for Linux device-mapper devices.
//!
//! Data flows one way; the modules stand in the order of the flow and import only what stands before them, or the
//! foundations [`text`], [`path`], [`terminal`], [`error`], [`log`] and [`stdio`]:
//!
//! ```text
//! uevent | argv → Devno → dm query → Device → Decision → emit      (identity)
//! DEVICE → Devno → dm, sysfs, udev record → Info → emit             (explanation)
//! list of all → dm, sysfs, mounts, udev records → Survey → emit     (inventory)
//! WORD → Info, record, links, rule files → replayed Decision → emit (why)
//! uevent → Device → Decision → plan of links → apply                (standalone mode)
//! uevent → what happened → emit                                     (monitor)
//! image's tree, root → dm → what it needs → faults                (check of an initramfs)
//! DM_COOKIE → Cookie → semaphore                                    (synchronisation)
//! ```
//!
//! - [`devno`], [`name`]: the three identities of a device. Pure.
//! - [`dm`]: queries: the control node's ioctl, and sysfs for those who may not use it.
//! - [`process`]: what everybody may know of a process. [`udevd`]: whether a udevd runs. [`completer`]: whether a resident completer does, its token. [`deadline`]: how long to wait for it.
//! - [`cookie`]: libdevmapper's cookies: the value and its flags (pure), the semaphore behind it, transactions of
//!   several events, who waits for what.
//! - [`udevdb`]: a device's record in the udev database. Pure, but for reading and writing it.
//! - [`info`]: all that is known of one device, gathered once. [`survey`]: all devices, with what is below and above each.
//! - [`translate`]: kernel's names and numbers in a text become names. Pure.
//! - [`uevent`]: events of the kernel and of udevd: parsing (pure), framing (pure), the netlink socket.
//! - [`queue`]: whether udev has processed everything that the kernel has announced.
//! - [`decision`]: what an event means: the decision table. Pure.
//! - [`rulefiles`]: the udev rule files of device-mapper: which stand where, whose they are.
//! - [`emit`]: from values to lines for udev, for people and for programs; all quoting.
//! - [`nodes`]: links and nodes: what a device should have (pure), atomic changes, what blkid says.
//! - [`explain`]: why a device, a link or a cookie is as it is. [`doctor`]: the same for the whole machine, and repairs.
//! - [`listen`]: the event loops: standalone mode, the resident completer, monitor, wait.
//! - [`refresh`]: making udev take a live device for activated.
//! - [`detach`]: removing devices in order, and why some stay.
//! - [`initramfs`]: what an image lacks, or has twice.
//! - [`cli`]: arguments and wiring of the subcommands.
//!
//! What is pure and needs no memory stands in a crate of its own, `dmhelper-core` (core/), without standard library:
//! [`devno`], the types of [`name`] and [`cookie`], [`decision`], a device's reply in [`dm`], [`emit::event`]. The crate
//! `dmhelper-early` (early/) does with it what the rules run for every event, before the C library starts; whatever it
//! cannot do is left to this one (docs/hot-path.md).
//!
//! `unsafe` is confined to [`dm`] (ioctls of the control node), [`cookie::sem`] (System V semaphores), one line for the
//! socket that systemd passes ([`listen::completer::inherited`]) and `dmhelper-early`; the program itself only gives its
//! `main` the name that the C library calls.

pub mod cli;
pub mod completer;
pub mod cookie;
pub mod deadline;
pub mod detach;
pub mod dm;
pub mod doctor;
pub mod emit;
pub mod error;
pub mod explain;
pub mod info;
pub mod initramfs;
pub mod listen;
pub mod log;
pub mod name;
pub mod nodes;
pub mod path;
pub mod process;
pub mod queue;
pub mod refresh;
pub mod retry;
pub mod rulefiles;
pub mod stdio;
pub mod survey;
pub mod terminal;
pub mod text;
pub mod translate;
pub mod udevd;
pub mod udevdb;
pub mod uevent;

pub use dmhelper_core::{decision, devno};
