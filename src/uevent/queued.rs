//! Events that wait in the sockets of processes: the kernel's table of netlink sockets. Pure.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A socket that events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The groups that it has subscribed to: 1 the kernel, 2 udevd.
    pub groups: u32,
    /// Whether events wait in it.
    pub waiting: bool,
    /// Its number.
    pub inode: u64,
}

/// The sockets for events of /proc/net/netlink (netlink(7): `sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode`; 15 is
/// NETLINK_KOBJECT_UEVENT).
pub fn rows(table: &[u8]) -> impl Iterator<Item = Row> {
    table.split(|&b| b == b'\n').filter_map(|line| {
        let mut fields = str::from_utf8(line).ok()?.split_ascii_whitespace().skip(1);
        (fields.next()? == "15").then_some(())?;
        let groups = u32::from_str_radix(fields.nth(1)?, 16).ok()?;
        let waiting = fields.next()? != "0";
        Some(Row { groups, waiting, inode: fields.nth(4)?.parse().ok()? })
    })
}

/// The number of the socket that a link in `/proc/PID/fd` leads to.
pub fn inode(target: &Path) -> Option<u64> {
    let digits = target.as_os_str().as_bytes().strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_for_events_are_told_from_others() {
        let table = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
            0000000000000000 15  812        00000001 768      0        0     2        0        7001\n\
            0000000000000000 0   812        00000001 99       0        0     2        0        7003\n\
            0000000000000000 15  900        00000003 0        0        0     2        0        7002\n15 x\n\n";
        let row = |groups, waiting, inode| Row { groups, waiting, inode };
        assert_eq!(rows(table.as_bytes()).collect::<Vec<_>>(), [row(1, true, 7001), row(3, false, 7002)]);
        assert_eq!(inode(Path::new("socket:[7001]")), Some(7001));
        assert_eq!(inode(Path::new("pipe:[7001]")), None);
    }
}
