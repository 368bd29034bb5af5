//! Replies recorded from Linux 6.1 (interface 4.47), as they are and broken in every way that is cheap to try.

use super::*;
use crate::dm::Details;

macro_rules! recorded {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../../tests/fixtures/info/replies/", $name)).as_slice())),*]
    };
}

const RECORDED: [(&str, &[u8]); 14] = recorded![
    "list",
    "list-full",
    "status-vg-my--data",
    "status-sleepy",
    "status-nothing",
    "status-inactive",
    "status-ro",
    "status-held",
    "targets-vg-my--data",
    "targets-vg-pool-tpool",
    "targets-nothing",
    "deps-vg-my--data",
    "deps-vg-pool-tpool",
    "deps-nothing",
];

fn reply(name: &str) -> Reply<'static> {
    let (_, bytes) = RECORDED.iter().find(|(known, _)| *known == name).unwrap();
    Reply::new(bytes).unwrap()
}

fn details(name: &str) -> Details {
    reply(name).device().unwrap().details.unwrap()
}

#[test]
fn a_listing_holds_every_device_with_its_uuid() {
    // What `dmsetup info -c` printed when the reply was recorded.
    let listed: Vec<_> = list(reply("list")).unwrap().iter().collect();
    assert!(lists_uuids(reply("list")).unwrap());
    let names: Vec<_> = listed.iter().map(|device| device.name.to_string()).collect();
    let expected = [
        "held",
        "inactive",
        "mp",
        "mp-part1",
        "my\\x20disk",
        "nothing",
        "ro",
        "secret",
        "sleepy",
        "vg-my--data",
        "vg-orig",
        "vg-orig-real",
        "vg-pool",
        "vg-pool-tpool",
        "vg-pool_tdata",
        "vg-pool_tmeta",
        "vg-snap",
        "vg-snap-cow",
        "vg-thin",
    ];
    assert_eq!(names, expected);
    let secret = listed.iter().find(|device| device.name.as_bytes() == b"secret").unwrap();
    assert_eq!(secret.devno.to_string(), "254:10");
    assert_eq!(secret.uuid.as_ref().unwrap().as_bytes(), b"CRYPT-LUKS2-0123456789abcdef0123456789abcdef-secret");
    assert_eq!(secret.event_number, Some(0));
    assert_eq!(listed.iter().filter(|device| device.uuid.is_none()).count(), 6);
}

#[test]
fn a_listing_that_did_not_fit_says_so() {
    assert!(reply("list-full").is_truncated().unwrap());
    assert!(!reply("list").is_truncated().unwrap());
}

#[test]
fn a_status_tells_the_state_that_dmsetup_tells() {
    let data = reply("status-vg-my--data").device().unwrap();
    assert_eq!((data.devno.to_string().as_str(), data.name.as_bytes(), data.suspended), ("254:0", &b"vg-my--data"[..], false));
    assert!(data.uuid.unwrap().is_lvm());
    let usual = Details {
        live_table: true,
        inactive_table: false,
        read_only: false,
        deferred_remove: false,
        internal_suspend: false,
        open_count: 0,
        event_number: 0,
        segments: 1,
    };
    assert_eq!(details("status-vg-my--data"), Details { open_count: 1, segments: 2, ..usual });
    assert!(reply("status-sleepy").device().unwrap().suspended);
    assert_eq!(details("status-nothing"), Details { live_table: false, segments: 0, ..usual });
    assert_eq!(details("status-inactive"), Details { inactive_table: true, ..usual });
    assert_eq!(details("status-ro"), Details { read_only: true, ..usual });
    assert_eq!(details("status-held"), Details { deferred_remove: true, open_count: 1, ..usual });
}

#[test]
fn a_table_has_its_ranges_and_a_device_without_one_has_none() {
    let ranges = |name| -> Vec<_> {
        let targets = targets(reply(name)).unwrap();
        targets.into_iter().map(|target| (target.start, target.length, String::from_utf8(target.kind).unwrap())).collect()
    };
    assert_eq!(ranges("targets-vg-my--data"), [(0, 32768, "linear".to_string()), (32768, 16384, "linear".to_string())]);
    assert_eq!(ranges("targets-vg-pool-tpool"), [(0, 32768, "thin-pool".to_string())]);
    assert_eq!(ranges("targets-nothing"), []);
}

#[test]
fn dependencies_are_none_one_or_many() {
    let numbers = |name| -> Vec<_> { dependencies(reply(name)).unwrap().iter().map(Devno::to_string).collect() };
    assert_eq!(numbers("deps-nothing"), [""; 0]);
    assert_eq!(numbers("deps-vg-my--data"), ["7:0"]);
    assert_eq!(numbers("deps-vg-pool-tpool"), ["254:2", "254:1"]);
}

/// Reads everything there is to read; the reward is to come back.
fn read_all(bytes: &[u8]) -> usize {
    let Ok(reply) = Reply::new(bytes) else { return 0 };
    let truncated = reply.is_truncated().is_ok_and(|truncated| truncated);
    let found = [
        usize::from(reply.device().is_ok()),
        list(reply).map_or(0, |list| list.len()),
        targets(reply).map_or(0, |targets| targets.len()),
        dependencies(reply).map_or(0, |devices| devices.len()),
        usize::from(truncated),
    ];
    // Nothing can be found that has no bytes.
    assert!(found.iter().all(|&count| count <= bytes.len()));
    found.iter().sum()
}

#[test]
fn a_reply_cut_anywhere_is_an_error_or_a_shorter_reply() {
    let mut read = 0;
    for (name, bytes) in RECORDED {
        for end in 0..bytes.len() {
            read += read_all(bytes.get(..end).unwrap());
            // The same, with a head that owns up to the length.
            if end >= 16 {
                let mut honest = bytes.get(..end).unwrap().to_vec();
                put(&mut honest, 12, u32::try_from(end).unwrap());
                read += read_all(&honest);
            }
        }
        assert!(read_all(bytes) > 0, "{name} as recorded");
    }
    assert!(read > 0);
}

#[test]
fn no_number_in_a_reply_is_trusted() {
    for (_, bytes) in RECORDED {
        for at in (0..bytes.len() - 3).step_by(4) {
            let length = u32::try_from(bytes.len()).unwrap();
            for value in
                [0, 1, 2, 4, 7, 8, 12, 40, length - 1, length, length + 1, 305, 312, 1 << 31, i32::MAX as u32, u32::MAX - 7, u32::MAX]
            {
                let mut broken = bytes.to_vec();
                put(&mut broken, at, value);
                read_all(&broken);
            }
        }
    }
}

#[test]
fn noise_is_survived() {
    // xorshift: the same noise every time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..20_000 {
        let (_, bytes) = RECORDED.iter().cycle().nth(round % RECORDED.len()).unwrap();
        let mut noisy = bytes.to_vec();
        for _ in 0..=random() % 8 {
            let at = usize::try_from(random()).unwrap() % noisy.len();
            *noisy.get_mut(at).unwrap() = random().to_le_bytes()[0];
        }
        read_all(&noisy);
    }
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes.get_mut(at..at + 4).unwrap().copy_from_slice(&value.to_ne_bytes());
}
