//! The netlink socket that events come from.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, UnixCredentials, bind, getsockname,
    recvmsg, setsockopt, socket, sockopt,
};

use super::{Source, Uevent, monitor};
use crate::error::{Error, Result};

/// Multicast group of the kernel's events (linux/netlink.h gives none a name; libudev's `UDEV_MONITOR_KERNEL`).
const GROUP_KERNEL: u32 = 1;
/// Multicast group of the events that udevd has processed (`UDEV_MONITOR_UDEV`).
const GROUP_UDEV: u32 = 2;
/// Bytes of events that may wait in the kernel, unless the caller says otherwise. As much as udevd itself asks for.
pub const QUEUE: usize = 128 << 20;
/// Larger datagrams are cut and dropped: the kernel's events are below 4 KiB, udevd's hold a device's record.
pub const DATAGRAM_MAX: usize = 64 << 10;

/// What came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received<'a> {
    /// An event of a sender that is believed.
    Event(Source, Uevent<'a>),
    /// A datagram of anybody else, or one that makes no sense: dropped.
    Dropped,
    /// Some events are lost, for the kernel had more than the queue holds (ENOBUFS), or may be.
    Lost(Errno),
    /// Nothing is there at the moment.
    Empty,
}

/// Failures in a row that the socket is given up after, and how long after each: five seconds in which nothing can be received.
const FAILURES_MAX: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// What a loss is told as.
pub fn loss(errno: Errno) -> String {
    match errno {
        Errno::ENOBUFS => "events were lost, more came than the kernel keeps".to_string(),
        other => format!("events may be lost, receiving them failed ({})", other.desc()),
    }
}

/// A subscription to events; non-blocking, for poll(2).
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// Failures since something was received.
    failures: u32,
    /// Room for the credentials of one sender.
    control: Vec<u8>,
}

impl Socket {
    /// Subscribes to the kernel's events, to those of udevd, or to both; `queue` bytes of them may wait in the kernel.
    pub fn open(kernel: bool, udev: bool, queue: usize) -> Result<Self> {
        let failed = |errno| Error::os("listen", "uevents", errno);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkKObjectUEvent).map_err(failed)?;
        // The forced size is root's; for others the system's limit holds.
        if setsockopt(&fd, sockopt::RcvBufForce, &queue).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &queue).map_err(failed)?;
        }
        let subscription = Self::with_credentials(fd)?;
        let groups = if kernel { GROUP_KERNEL } else { 0 } | if udev { GROUP_UDEV } else { 0 };
        bind(subscription.fd.as_raw_fd(), &NetlinkAddr::new(0, groups)).map_err(failed)?;
        Ok(subscription)
    }

    /// Takes over a subscription to udevd's events that another process has made; the size of its queue is that one's.
    pub fn adopt(fd: OwnedFd) -> Result<Self> {
        let wrong =
            |cause| Error::malformed("listen", "uevents", cause).advise("the unit of the socket has ListenNetlink=kobject-uevent 2");
        let address = getsockname::<NetlinkAddr>(fd.as_raw_fd()).map_err(|_| wrong("the socket that was passed is none of netlink"))?;
        if address.groups() != GROUP_UDEV {
            return Err(wrong("the socket that was passed has not subscribed to the events of udevd, or not to them alone"));
        }
        Self::with_credentials(fd)
    }

    fn with_credentials(fd: OwnedFd) -> Result<Self> {
        setsockopt(&fd, sockopt::PassCred, &true).map_err(|errno| Error::os("listen", "uevents", errno))?;
        Ok(Self { fd, failures: 0, control: cmsg_space!(UnixCredentials) })
    }

    /// A failure passes mostly, and what waits in the kernel goes on waiting; but whatever it was, an event may have gone
    /// with it.
    fn failed<'a>(&mut self, errno: Errno) -> Result<Received<'a>> {
        self.failures += 1;
        if self.failures > FAILURES_MAX || matches!(errno, Errno::EBADF | Errno::ENOTSOCK | Errno::EFAULT | Errno::EINVAL) {
            return Err(Error::os("receive", "uevents", errno));
        }
        thread::sleep(PAUSE);
        Ok(Received::Lost(errno))
    }

    /// Takes one datagram into the buffer, without waiting; after a failure, it waits a moment.
    pub fn receive<'a>(&mut self, buffer: &'a mut [u8]) -> Result<Received<'a>> {
        let (length, trusted) = {
            let mut slices = [IoSliceMut::new(buffer)];
            let message = match recvmsg::<NetlinkAddr>(self.fd.as_raw_fd(), &mut slices, Some(&mut self.control), MsgFlags::MSG_DONTWAIT) {
                Ok(message) => message,
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Received::Empty),
                Err(Errno::ENOBUFS) => return Ok(Received::Lost(Errno::ENOBUFS)),
                Err(errno) => return self.failed(errno),
            };
            self.failures = 0;
            let uid = message.cmsgs().ok().and_then(|mut messages| {
                messages.find_map(|message| match message {
                    ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.uid()),
                    _ => None,
                })
            });
            let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
            (message.bytes, message.address.filter(|_| !cut).and_then(|address| trusted(&address, uid)))
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        let event = match trusted {
            Some(Source::Kernel) => Uevent::from_kernel(datagram),
            Some(Source::Udev) => monitor::event(datagram),
            None => None,
        };
        Ok(trusted.zip(event).map_or(Received::Dropped, |(source, event)| Received::Event(source, event)))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whom a datagram may be believed to be from: group 1 only from the kernel itself (port 0, which no process can
/// have), group 2 only from root.
fn trusted(sender: &NetlinkAddr, uid: Option<u32>) -> Option<Source> {
    match (sender.groups(), sender.pid(), uid) {
        (GROUP_KERNEL, 0, _) => Some(Source::Kernel),
        (GROUP_UDEV, port, Some(0)) if port != 0 => Some(Source::Udev),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uevent::monitor;
    use nix::sys::socket::sendto;

    #[test]
    fn only_the_kernel_and_root_are_believed() {
        let from = |port, groups, uid| trusted(&NetlinkAddr::new(port, groups), uid);
        assert_eq!(from(0, GROUP_KERNEL, Some(0)), Some(Source::Kernel));
        assert_eq!(from(812, GROUP_UDEV, Some(0)), Some(Source::Udev));
        assert_eq!(from(812, GROUP_KERNEL, Some(0)), None, "a process that plays the kernel");
        assert_eq!(from(812, GROUP_UDEV, Some(1000)), None);
        assert_eq!(from(812, GROUP_UDEV, None), None);
        assert_eq!(from(812, 0, Some(0)), None, "sent to us alone");
    }

    /// Sends to the port of a subscription of this process; root may send to groups as well, in a namespace of its own.
    #[test]
    fn a_foreign_datagram_is_dropped_and_an_empty_queue_is_empty() {
        let mut socket = Socket::open(false, false, QUEUE).unwrap();
        let port = nix::sys::socket::getsockname::<NetlinkAddr>(socket.fd.as_raw_fd()).unwrap().pid();
        let sender = socket_for_sending();
        let message = monitor::message(b"ACTION=change\0");
        let mut buffer = vec![0; DATAGRAM_MAX];
        assert_eq!(socket.receive(&mut buffer).unwrap(), Received::Empty);
        sendto(sender.as_raw_fd(), &message, &NetlinkAddr::new(port, 0), MsgFlags::empty()).unwrap();
        assert_eq!(socket.receive(&mut buffer).unwrap(), Received::Dropped);
        assert_eq!(socket.receive(&mut buffer).unwrap(), Received::Empty);
    }

    fn socket_for_sending() -> OwnedFd {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkKObjectUEvent).unwrap();
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).unwrap();
        fd
    }
}
