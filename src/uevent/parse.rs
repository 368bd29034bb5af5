//! The properties of an event. Pure, and without allocation: an event is a view of its datagram.

use crate::cookie::Cookie;
use crate::devno::Devno;

/// An event's properties: `KEY=VALUE`, each ended by NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uevent<'a>(&'a [u8]);

impl<'a> Uevent<'a> {
    /// From a kernel datagram: `ACTION@DEVPATH`, NUL, properties. `None` for anything else, and for one cut short.
    pub fn from_kernel(datagram: &'a [u8]) -> Option<Self> {
        let end = datagram.iter().position(|&b| b == 0)?;
        let (head, rest) = datagram.split_at_checked(end)?;
        let at = head.iter().position(|&b| b == b'@')?;
        // The head repeats ACTION and DEVPATH; a head without either is none of the kernel's.
        (at > 0 && head.get(at + 1) == Some(&b'/')).then_some(())?;
        Self::from_properties(rest.get(1..)?)
    }

    /// From the properties alone; `None` unless the last one is ended by NUL.
    pub fn from_properties(properties: &'a [u8]) -> Option<Self> {
        (properties.last() == Some(&0)).then_some(Self(properties))
    }

    /// The properties as they came.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// All properties, in their order; what is no `KEY=VALUE` is left out.
    pub fn properties(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.0.split(|&b| b == 0).filter_map(|property| {
            let at = property.iter().position(|&b| b == b'=').filter(|at| *at > 0)?;
            Some((property.get(..at)?, property.get(at + 1..)?))
        })
    }

    /// The value of a property.
    pub fn get(self, key: &str) -> Option<&'a [u8]> {
        self.properties().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// The value of a property that is text.
    pub fn text(self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(|value| str::from_utf8(value).ok())
    }

    /// The value of a property that is a decimal number.
    pub fn number(self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }

    /// The device's number, for those that have a node.
    pub fn devno(self) -> Option<Devno> {
        let part = |key| u32::try_from(self.number(key)?).ok();
        Devno::new(part("MAJOR")?, part("MINOR")?)
    }

    /// The kernel's name of the device: the last part of its DEVPATH, where `!` stands for a slash.
    pub fn kernel_name(self) -> Option<&'a [u8]> {
        self.get("DEVPATH")?.rsplit(|&b| b == b'/').next()
    }

    /// The cookie of the tool that waits for this event.
    pub fn cookie(self) -> Option<Cookie> {
        self.text("DM_COOKIE")?.parse().ok()
    }

    /// Whether it is a device-mapper block device's. Its kernel name is `dm-N` whatever its major number.
    pub fn is_device_mapper(self) -> bool {
        let is_dm = |name: &[u8]| name.strip_prefix(b"dm-").is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit));
        self.get("SUBSYSTEM") == Some(b"block") && self.kernel_name().is_some_and(is_dm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: &[u8] = b"change@/devices/virtual/block/dm-3\0ACTION=change\0DEVPATH=/devices/virtual/block/dm-3\0SUBSYSTEM=block\0\
        DM_COOKIE=6293589\0MAJOR=253\0MINOR=3\0DEVNAME=dm-3\0DEVTYPE=disk\0DISKSEQ=14\0SEQNUM=1204\0";

    #[test]
    fn a_kernel_datagram_tells_what_happened_to_which_device() {
        let event = Uevent::from_kernel(CHANGE).unwrap();
        assert_eq!(event.text("ACTION"), Some("change"));
        assert_eq!(event.devno(), Devno::new(253, 3));
        assert_eq!(event.kernel_name(), Some(&b"dm-3"[..]));
        assert_eq!(event.cookie(), Some(Cookie::new(6_293_589)));
        assert_eq!(event.number("SEQNUM"), Some(1204));
        assert!(event.is_device_mapper());
        assert_eq!(event.get("DM_NAME"), None);
        assert_eq!(event.properties().count(), 10);
    }

    #[test]
    fn a_datagram_cut_anywhere_is_refused_or_loses_its_end_only() {
        for end in 0..CHANGE.len() {
            let Some(event) = Uevent::from_kernel(&CHANGE[..end]) else { continue };
            let whole = Uevent::from_kernel(CHANGE).unwrap();
            assert!(event.properties().zip(whole.properties()).all(|(cut, whole)| cut == whole), "cut at {end}");
        }
        for wrong in
            [&b""[..], b"\0", b"change\0A=b\0", b"@/x\0A=b\0", b"change@x\0A=b\0", b"change@/x\0", b"change@/x\0A=b", b"libudev\0A=b\0"]
        {
            assert_eq!(Uevent::from_kernel(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn odd_properties_do_no_harm() {
        let event = Uevent::from_properties(b"=x\0NOVALUE\0EMPTY=\0TWO=a=b\0MAJOR=99999\0MINOR=-1\0DM_COOKIE=x\0").unwrap();
        assert_eq!(event.get("EMPTY"), Some(&b""[..]));
        assert_eq!(event.get("TWO"), Some(&b"a=b"[..]));
        assert_eq!((event.devno(), event.cookie(), event.get("NOVALUE")), (None, None, None));
        assert!(!event.is_device_mapper());
    }

    #[test]
    fn only_block_devices_named_dm_and_a_number_are_device_mapper() {
        let of = |path: &str, subsystem: &str| {
            let text = format!("DEVPATH={path}\0SUBSYSTEM={subsystem}\0");
            Uevent::from_properties(text.as_bytes()).unwrap().is_device_mapper()
        };
        assert!(of("/devices/virtual/block/dm-12", "block"));
        assert!(!of("/devices/virtual/block/dm-", "block") && !of("/devices/virtual/block/dm-1p1", "block"));
        assert!(!of("/devices/virtual/bdi/dm-1", "bdi") && !of("/devices/virtual/block/loop0", "block"));
    }
}
