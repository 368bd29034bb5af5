use super::*;
use crate::devno::Devno;
use crate::dm::{Details, Device};
use crate::name::{DmName, DmUuid};
use crate::udevdb::Record;

const LVM: &str = "LVM-7vPI6fXEkxBUKCKodQ9MPY82MtD93q6izTRk2Fvgk2zKKKGmj2gWOY162bK3IR6h";

fn target(start: u64, length: u64, kind: &str) -> Target {
    Target { start, length, kind: kind.into(), status: Vec::new() }
}

fn neighbour(minor: u32, name: Option<&[u8]>) -> Related {
    Related { devno: Devno::new(253, minor).unwrap(), name: name.map(<[u8]>::to_vec), device_mapper: true }
}

fn device(name: &[u8], uuid: &str) -> Info {
    Info {
        device: Device {
            devno: Devno::new(253, 0).unwrap(),
            name: DmName::new(name).unwrap(),
            uuid: DmUuid::new(uuid).unwrap(),
            suspended: false,
            details: Some(Details {
                live_table: true,
                inactive_table: false,
                read_only: false,
                deferred_remove: false,
                internal_suspend: false,
                open_count: 2,
                event_number: 7,
                segments: 1,
            }),
        },
        size: Some(49152),
        read_only: Some(false),
        diskseq: Some(9),
        targets: Some(vec![target(0, 32768, "linear"), target(32768, 16384, "striped")]),
        dependencies: vec![neighbour(1, Some(b"below"))],
        dependants: Vec::new(),
        parent: None,
        udev: Some(Record::parse(b"S:mapper/vg-my--data\nE:DM_UDEV_PRIMARY_SOURCE_FLAG=1\nE:DM_SUBSYSTEM_UDEV_FLAG0=1\nL:-100\n")),
        udevd: true,
    }
}

#[test]
fn a_device_is_a_table_of_its_facts() {
    let expected = "\
Name        vg-my--data
Number      253:0
UUID        LVM-7vPI6fXEkxBUKCKodQ9MPY82MtD93q6izTRk2Fvgk2zKKKGmj2gWOY162bK3IR6h
Owner       LVM, volume my-data in group vg
State       active
Size        24 MiB (49152 sectors)
Opened      2 times
Event       number 7
Table       linear   sectors     0 to 32767  (16 MiB)
            striped  sectors 32768 to 49151  (8 MiB)
Uses        below (253:1)
Used by     no other device
Udev        has processed it
Flags       not to be scanned: LVM has not wiped it yet
Priority    -100 for its links, where other devices claim them too
Links       /dev/mapper/vg-my--data
";
    let text = info(&device(b"vg-my--data", LVM));
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn what_only_root_learns_is_left_out_for_others() {
    let mut other = device(b"x", "");
    other.device.details = None;
    other.targets = None;
    other.udev = None;
    other.udevd = false;
    let expected = "\
Name        x
Number      253:0
UUID        none
State       active
Size        24 MiB (49152 sectors)
Uses        below (253:1)
Used by     no other device
Udev        has not processed it: udevd is not running
";
    assert_eq!(info(&other), expected);
}

#[test]
fn every_state_has_its_words() {
    let words = |change: &dyn Fn(&mut Info, &mut Details)| {
        let mut device = device(b"x", "");
        let mut details = device.device.details.unwrap();
        change(&mut device, &mut details);
        device.device.details = Some(details);
        state(&device)
    };
    assert_eq!(words(&|_, _| {}), "active");
    assert_eq!(words(&|_, details| details.live_table = false), "no table");
    assert_eq!(words(&|info, _| info.device.suspended = true), "suspended");
    let empty = |info: &mut Info, details: &mut Details| (info.device.suspended, details.live_table) = (true, false);
    assert_eq!(words(&|info, details| empty(info, details)), "suspended, no table");
    assert_eq!(words(&|_, details| details.inactive_table = true), "active, another table is loaded, waiting for a resume");
    assert_eq!(words(&|_, details| details.deferred_remove = true), "active, to be removed when closed");
    assert_eq!(words(&|_, details| details.internal_suspend = true), "active, suspended by the kernel");
    assert_eq!(words(&|info, _| info.read_only = Some(true)), "active, read-only");
}

#[test]
fn a_uuid_tells_its_owner_in_words() {
    let words = |name: &[u8], uuid: &str| owner(&device(name, uuid));
    let tpool = format!("{LVM}-tpool");
    assert_eq!(words(b"vg-pool-tpool", &tpool).unwrap(), "LVM, layer tpool of volume pool in group vg");
    let luks = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-secret";
    assert_eq!(words(b"secret", luks).unwrap(), "cryptsetup, LUKS2, payload 01234567-89ab-cdef-0123-456789abcdef");
    assert_eq!(words(b"renamed", "CRYPT-PLAIN-secret").unwrap(), "cryptsetup, PLAIN, opened as secret");
    assert_eq!(words(b"x", "mpath-3600a").unwrap(), "multipath, WWID 3600a");
    assert_eq!(words(b"x", "part2-mpath-3600a").unwrap(), "kpartx, partition 2 of mpath-3600a");
    let partition = Info { parent: Some(neighbour(3, Some(b"disk"))), ..device(b"x", "part2-mpath-3600a") };
    assert_eq!(owner(&partition).unwrap(), "kpartx, partition 2 of disk (253:3)");
    assert_eq!(words(b"x", "ACME-1").unwrap(), "ACME");
    assert_eq!(words(b"x", "nothing"), None);
    assert_eq!(words(b"x", ""), None);
}

#[test]
fn a_hostile_name_stays_in_its_line() {
    let hostile = b"a\nState  active\x1b[31m\r'\xff\xe2\x80\xae";
    let mut device = device(hostile, "CRYPT-\x1b]0;x\x07-\n");
    device.dependencies = vec![neighbour(1, Some(hostile)), neighbour(2, None)];
    device.targets = Some(vec![Target { kind: hostile.to_vec(), ..target(0, 1, "") }]);
    device.udev = Some(Record::parse(b"S:a\x1b[31m\r'\xff\xe2\x80\xae\n"));
    let text = info(&device);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(!text.contains('\u{202e}') && text.contains("            253:2\n"));
    assert_eq!(text.lines().filter(|line| line.starts_with("State")).count(), 1);
}

#[test]
fn a_mangled_name_is_shown_as_it_was_meant() {
    assert!(info(&device(b"my\\x20disk", "")).starts_with("Name        my\\x20disk\nMeant as    my disk\n"));
    let unprintable = info(&device(b"a\\x0a", ""));
    assert!(unprintable.starts_with("Name        a\\x0a\nNumber"), "what cannot be shown better is shown once");
}

#[test]
fn sizes_are_short_and_never_too_large() {
    for (sectors, text) in [
        (0, "0 B"),
        (1, "512 B"),
        (2, "1 KiB"),
        (3, "1.5 KiB"),
        (2048, "1 MiB"),
        (2_097_152, "1 GiB"),
        (2_097_151, "1023.9 MiB"),
        (u64::MAX, "8191.9 EiB"),
    ] {
        assert_eq!(size(sectors), text);
    }
    assert_eq!(table(&[target(u64::MAX, u64::MAX, "x")]).len(), 1, "impossible ranges are shown all the same");
}
