//! Who uses a block device beside other devices: mounted file systems and swap, as procfs tells them. Pure.

/// A mounted file system: a line of /proc/PID/mountinfo, proc_pid_mountinfo(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number in the mount namespace, and that of the mount that it lies on.
    pub id: u64,
    /// See `id`.
    pub parent: u64,
    /// The number that the file system shows for itself; major 0 is no device, as with btrfs.
    pub major_minor: (u32, u32),
    /// Which of the file system's directories is mounted there: `/` but for subvolumes and bind mounts.
    pub root: Vec<u8>,
    /// Where it is mounted.
    pub at: Vec<u8>,
    /// `ext4`, `xfs`, …
    pub kind: Vec<u8>,
    /// What was mounted, as mount(8) was told.
    pub source: Vec<u8>,
    /// Whether it is mounted read-only there.
    pub read_only: bool,
}

/// The mounts of a mountinfo file; lines that are none are skipped.
pub fn mounts(mountinfo: &[u8]) -> Vec<Mount> {
    mountinfo.split(|&byte| byte == b'\n').filter_map(mount).collect()
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let mut identity = || str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (id, parent) = (identity()?, identity()?);
    let (number, root, at, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    // Any number of optional fields, then a single dash.
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let (major, minor) = str::from_utf8(number).ok()?.split_once(':')?;
    Some(Mount {
        id,
        parent,
        major_minor: (major.parse().ok()?, minor.parse().ok()?),
        root: unescaped(root),
        at: unescaped(at),
        kind: unescaped(fields.next()?),
        source: unescaped(fields.next()?),
        read_only: options.split(|&byte| byte == b',').any(|option| option == b"ro"),
    })
}

/// The paths that /proc/swaps lists as devices, not as files.
pub(super) fn swaps(text: &[u8]) -> Vec<Vec<u8>> {
    let swap = |line: &[u8]| {
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let (path, kind) = (words.next()?, words.next()?);
        (kind == b"partition").then(|| unescaped(path))
    };
    text.split(|&byte| byte == b'\n').filter_map(swap).collect()
}

/// Undoes the kernel's `mangle_path`: space, tab, newline, `\` and `#` stand as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [byte, tail @ ..] = rest {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] = rest {
            out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            out.push(*byte);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_with_its_escapes_and_whatever_optional_fields() {
        let text = b"22 1 254:3 / / rw,noatime shared:1 - ext4 /dev/mapper/root rw\n\
            31 22 254:4 /sub /srv/my\\040disk\\134x\\012y ro - btrfs /dev/mapper/my\\040x rw,subvol=/sub\n\
            40 22 0:40 /a / rw master:1 propagate_from:2 unbindable - btrfs /dev/dm-9 rw\n";
        let mounts = mounts(text);
        assert_eq!(mounts.len(), 3);
        assert_eq!((mounts[0].major_minor, mounts[0].at.as_slice(), mounts[0].read_only), ((254, 3), &b"/"[..], false));
        assert_eq!((mounts[1].at.as_slice(), mounts[1].source.as_slice()), (&b"/srv/my disk\\x\ny"[..], &b"/dev/mapper/my x"[..]));
        assert!(mounts[1].read_only && mounts[1].root == b"/sub");
        assert_eq!((mounts[2].kind.as_slice(), mounts[2].source.as_slice()), (&b"btrfs"[..], &b"/dev/dm-9"[..]));
    }

    #[test]
    fn lines_that_are_no_mounts_are_skipped() {
        for text in
            [&b""[..], b"\n", b"22 1 254:3", b"22 1 x:3 / / rw - ext4 a rw", b"22 1 254:3 / / rw ext4 a rw", b"22 1 254 / / rw - a b"]
        {
            assert_eq!(mounts(text), []);
        }
    }

    #[test]
    fn swap_files_are_no_devices() {
        let text =
            b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/dm-1                               partition\t1048572\t\t0\t\t-2\n\
            /swap\\040file file\t1 0 -3\n";
        assert_eq!(swaps(text), [b"/dev/dm-1".to_vec()]);
        assert_eq!(swaps(b""), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn what_is_no_escape_stays() {
        assert_eq!(unescaped(b"a\\9b\\04\\777\\040"), b"a\\9b\\04\\777 ");
    }
}
