//! Who has bound a path, and which sockets processes listen on: asked of the kernel, so that no listener learns of it.

use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// What is known of a socket's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Nothing is there, or what a process that has ended has left.
    Nobody,
    /// A socket of some process is bound there.
    Somebody,
    /// This cannot be found out.
    Unknown(Errno),
}

/// Whether a process has bound the path, or what a link there leads to. A datagram socket can never be connected to a socket
/// that listens: the kernel finds by the file's inode the socket that is bound there, in whatever network namespace, and
/// answers EPROTOTYPE; no listener is woken, so that systemd starts nothing. A file that no socket is bound to, of whatever kind,
/// gives ECONNREFUSED.
pub(crate) fn bound(path: &Path) -> Bound {
    let asked = UnixAddr::new(path).and_then(|address| {
        let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
        connect(socket.as_raw_fd(), &address)
    });
    match asked {
        Ok(()) | Err(Errno::EPROTOTYPE) => Bound::Somebody,
        Err(Errno::ECONNREFUSED | Errno::ENOENT | Errno::ENOTDIR) => Bound::Nobody,
        Err(errno) => Bound::Unknown(errno),
    }
}

/// A socket that somebody listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listening {
    /// Its number, which `/proc/PID/fd` shows.
    pub(super) inode: u64,
    /// The path that was bound, which may be gone, or lie in another mount namespace.
    pub(super) path: Vec<u8>,
}

/// The listening sockets with absolute paths of /proc/net/unix (unix(7): `Num RefCount Protocol Flags Type St Inode Path`;
/// `__SO_ACCEPTCON` is 0x10000). The table is of one network namespace.
pub(super) fn listening(table: &[u8]) -> impl Iterator<Item = Listening> {
    table.split(|&b| b == b'\n').filter_map(|line| {
        let mut rest = line;
        let mut word = || {
            let (word, tail) = rest.trim_ascii_start().split_at_checked(rest.trim_ascii_start().iter().position(|&b| b == b' ')?)?;
            rest = tail;
            Some(word)
        };
        let flags = (word()?, word()?, word()?, word()?).3;
        let inode = (word()?, word()?, word()?).2;
        // A path may hold blanks of its own.
        let path = rest.strip_prefix(b" ").filter(|path| flags == b"00010000" && path.starts_with(b"/"))?;
        Some(Listening { inode: str::from_utf8(inode).ok()?.parse().ok()?, path: path.to_vec() })
    })
}

/// Whether that path is of udevd's sockets in its directory: `control` or `io.systemd.Udev`, or what a claim has bound beside
/// it and linked there.
pub(super) fn is_udevds(path: &[u8], run: &Path) -> bool {
    let name = path.strip_prefix(run.as_os_str().as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
    name.is_some_and(|name| !name.is_empty() && !name.contains(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, bind, listen};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    use std::time::{Duration, Instant};

    /// A child of another test has a copy of every descriptor until its program runs.
    fn nobody_soon(path: &Path) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while bound(path) != Bound::Nobody && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        bound(path) == Bound::Nobody
    }

    #[test]
    fn who_has_bound_a_path_is_found_out_without_a_connection() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(bound(&at("none")), Bound::Nobody);
        fs::write(at("file"), "").unwrap();
        assert_eq!(bound(&at("file")), Bound::Nobody);
        assert_eq!(bound(&at("file/below")), Bound::Nobody);
        symlink(at("none"), at("dangling")).unwrap();
        assert_eq!(bound(&at("dangling")), Bound::Nobody);
        symlink(at("loop"), at("loop")).unwrap();
        assert_eq!(bound(&at("loop")), Bound::Unknown(Errno::ELOOP));
        assert_eq!(bound(&at(&"x".repeat(200))), Bound::Unknown(Errno::ENAMETOOLONG));

        let stream = UnixListener::bind(at("stream")).unwrap();
        stream.set_nonblocking(true).unwrap();
        symlink(at("stream"), at("link")).unwrap();
        for name in ["stream", "link"] {
            assert_eq!(bound(&at(name)), Bound::Somebody);
        }
        assert!(stream.accept().is_err(), "the listener has learnt of it");
        let packets = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(packets.as_raw_fd(), &UnixAddr::new(&at("packets")).unwrap()).unwrap();
        assert_eq!(bound(&at("packets")), Bound::Somebody, "it is about to listen");
        listen(&packets, Backlog::new(1).unwrap()).unwrap();
        assert_eq!(bound(&at("packets")), Bound::Somebody);
        let _datagrams = UnixDatagram::bind(at("datagrams")).unwrap();
        assert_eq!(bound(&at("datagrams")), Bound::Somebody);

        // A connection that outlives its listener has the listener's name, and is none.
        let (_caller, _accepted) = (UnixStream::connect(at("stream")).unwrap(), stream.accept().unwrap());
        drop((stream, packets));
        assert!(nobody_soon(&at("stream")) && nobody_soon(&at("packets")));
        assert!(at("stream").exists());
    }

    #[test]
    fn the_kernels_table_tells_listeners_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let _listener = UnixListener::bind(at("io.systemd.Udev")).unwrap();
        let _blanks = UnixListener::bind(at("a  b")).unwrap();
        let _speaker = UnixDatagram::bind(at("speaker")).unwrap();
        let mut paths: Vec<_> = listening(&fs::read("/proc/net/unix").unwrap())
            .filter(|socket| is_udevds(&socket.path, folder.path()))
            .map(|socket| String::from_utf8(socket.path).unwrap())
            .collect();
        paths.sort();
        assert_eq!(paths, [at("a  b"), at("io.systemd.Udev")].map(|path| path.display().to_string()));
    }

    #[test]
    fn a_line_gives_number_and_path() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            00000000d9750171: 00000003 00000000 00000000 0001 03 53205\n\
            00000000b4b0cacf: 00000002 00000000 00010000 0005 01   812 /run/udev/control\n\
            00000000b4b0cad0: 00000002 00000000 00010000 0001 01 53206 @/run/udev/control\n\
            00000000b4b0cad1: 00000002 00000000 00000000 0002 01 53207 /run/udev/other\n\
            00000000b4b0cad2: 00000002 00000000 00010000 0001 01 53208\n00010000\n";
        let found: Vec<_> = listening(table.as_bytes()).collect();
        assert_eq!(found, [Listening { inode: 812, path: b"/run/udev/control".to_vec() }]);
    }

    #[test]
    fn udevds_sockets_lie_in_its_directory() {
        let is_udevds = |path: &str| is_udevds(path.as_bytes(), Path::new("/run/udev"));
        assert!(is_udevds("/run/udev/control") && is_udevds("/run/udev/io.systemd.Udev") && is_udevds("/run/udev/control.812"));
        assert!(!is_udevds("/run/udev") && !is_udevds("/run/udev/") && !is_udevds("/run/udev/a/b") && !is_udevds("/run/udevs/a"));
    }
}
