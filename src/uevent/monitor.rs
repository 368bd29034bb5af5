//! udevd's own framing of the events that it sends on to everybody (libudev's monitor, group 2). Pure.

use super::Uevent;

/// What every message begins with.
const PREFIX: &[u8] = b"libudev\0";
/// What follows it, in network byte order.
const MAGIC: u32 = 0xfeed_cafe;
/// Where the header says that the properties begin, and how long they are (native byte order).
const PROPERTIES_OFFSET: usize = 16;
const PROPERTIES_LENGTH: usize = 20;

/// The event of a message; `None` for one that is not of this form, or that is not all there.
pub fn event(message: &[u8]) -> Option<Uevent<'_>> {
    let magic: [u8; 4] = message.strip_prefix(PREFIX)?.first_chunk().copied()?;
    (u32::from_be_bytes(magic) == MAGIC).then_some(())?;
    let field = |at: usize| message.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes).map(|value| value as usize);
    let start = field(PROPERTIES_OFFSET)?;
    let length = field(PROPERTIES_LENGTH)?;
    Uevent::from_properties(message.get(start..start.checked_add(length)?)?)
}

/// A message as udevd writes it, for those who stand in for udevd in tests.
#[cfg(test)]
pub(crate) fn message(properties: &[u8]) -> Vec<u8> {
    const HEADER: u32 = 40;
    let mut out = PREFIX.to_vec();
    out.extend(MAGIC.to_be_bytes());
    out.extend([HEADER, HEADER, properties.len() as u32, 0, 0, 0, 0].iter().flat_map(|field| field.to_ne_bytes()));
    out.extend(properties);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROPERTIES: &[u8] = b"ACTION=change\0DEVPATH=/devices/virtual/block/dm-0\0SUBSYSTEM=block\0DM_NAME=vg-lv\0";

    #[test]
    fn a_message_of_udevd_holds_its_properties() {
        let message = message(PROPERTIES);
        let event = event(&message).unwrap();
        assert_eq!(event.text("DM_NAME"), Some("vg-lv"));
        assert!(event.is_device_mapper());
    }

    #[test]
    fn what_is_cut_or_lies_about_its_length_is_refused() {
        let whole = message(PROPERTIES);
        for end in 0..whole.len() {
            assert_eq!(event(&whole[..end]), None, "cut at {end}");
        }
        for (at, value) in [(16, u32::MAX), (20, u32::MAX), (20, PROPERTIES.len() as u32 + 1), (20, 0), (8, 0)] {
            let mut wrong = whole.clone();
            wrong[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            assert_eq!(event(&wrong), None, "{value} at {at}");
        }
    }
}
