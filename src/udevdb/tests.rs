use super::*;

/// As systemd 252 wrote it for a volume of LVM.
const LVM: &[u8] = include_bytes!("../../tests/fixtures/info/udev-lvm");

#[test]
fn a_recorded_record_is_read_whole() {
    let record = Record::parse(LVM);
    let links: Vec<_> = record.links().map(String::from_utf8_lossy).collect();
    assert_eq!(
        links,
        [
            "disk/by-id/dm-uuid-LVM-WOWcbsuJMhXzlHZOlUlcWdGBfYm352SI9na9LbPYG3cX4ZaoyvbSwycQ92sxk0ud",
            "mapper/vg-my--data",
            "disk/by-id/dm-name-vg-my--data",
            "vg/my-data",
            "disk/by-uuid/01234567-89ab-cdef-0123-456789abcdef"
        ]
    );
    assert_eq!(record.property("DM_VG_NAME"), Some(&b"vg"[..]));
    assert_eq!(record.property("DM_LV_LAYER"), Some(&b""[..]));
    assert_eq!(record.property("NOTHING"), None);
    assert_eq!(record.initialized_usec(), Some(8_202_980));
    assert_eq!(record.tags().collect::<Vec<_>>(), [b"systemd"]);
    assert!(record.flags().contains(Flags::PRIMARY_SOURCE));
}

#[test]
fn malformed_lines_are_skipped_and_the_others_kept() {
    let record =
        Record::parse(b"S:a\n\nS:\nS\nE:\nE:=x\nE:nothing\nE:A=b=c\nE:A=\xff\nI:x\nI:-1\nL:-100\nL:99999999999\nZ:1\nI:7\n:\nS:end");
    assert_eq!(record.links().collect::<Vec<_>>(), [&b"a"[..], b"end"]);
    assert_eq!(record.properties().collect::<Vec<_>>(), [(&b"A"[..], &b"b=c"[..]), (b"A", b"\xff")]);
    assert_eq!(record.property("A"), Some(&b"\xff"[..]));
    assert_eq!((record.initialized_usec(), record.link_priority()), (Some(7), -100));
    assert_eq!(Record::parse(b""), Record::default());
}

#[test]
fn any_bytes_are_a_record_of_what_is_well_formed_in_them() {
    for end in 0..LVM.len() {
        let cut = Record::parse(LVM.get(..end).unwrap());
        assert!(cut.links().count() <= 5 && cut.properties().count() <= 64);
    }
    let every: Vec<u8> = (0..=255).cycle().take(4096).collect();
    assert_eq!(Record::parse(&every).links().count(), 0);
}

#[test]
fn a_record_that_is_written_is_read_back() {
    let run = tempfile::tempdir().unwrap();
    let devno = Devno::new(253, 9).unwrap();
    let record = Record::parse(LVM);
    let mut database = Database::new(run.path());
    assert!(!database.holds(devno));
    database.write(devno, &record).unwrap();
    assert!(database.holds(devno));
    assert_eq!(Record::read(run.path(), devno).unwrap(), Some(record));
    let mode = fs::metadata(run.path().join("data/b253:9")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o1644);
    assert_eq!(fs::read_dir(run.path().join("data")).unwrap().count(), 1, "no temporary file stays");
    database.remove(devno).unwrap();
    database.remove(devno).unwrap();
    assert_eq!(Record::read(run.path(), devno).unwrap(), None);
}

#[test]
fn a_record_that_cannot_be_written_leaves_none_rather_than_an_old_one() {
    let run = tempfile::tempdir().unwrap();
    let devno = Devno::new(253, 9).unwrap();
    let mut database = Database::new(run.path());
    database.write(devno, &Record::default()).unwrap();
    std::os::unix::fs::symlink("/dev/full", run.path().join("data/.#b253:9")).unwrap();
    let error = database.write(devno, &Record::parse(LVM)).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(fs::read_dir(run.path().join("data")).unwrap().count(), 0);
    assert!(!database.holds(devno));
    database.write(devno, &Record::parse(LVM)).unwrap();
    assert_eq!(Record::read(run.path(), devno).unwrap(), Some(Record::parse(LVM)));
}

#[test]
fn a_missing_record_is_none_and_an_unreadable_one_an_error() {
    let root = tempfile::tempdir().unwrap();
    let devno = Devno::new(253, 0).unwrap();
    assert_eq!(Record::read(root.path(), devno).unwrap(), None);
    fs::create_dir_all(root.path().join("data/b253:0")).unwrap();
    assert!(Record::read(root.path(), devno).is_err(), "a directory is no record");
    fs::remove_dir(root.path().join("data/b253:0")).unwrap();
    fs::write(root.path().join("data/b253:0"), "S:mapper/x\n").unwrap();
    assert_eq!(Record::read(root.path(), devno).unwrap().unwrap(), Record::parse(b"S:mapper/x\n"));
}

#[test]
fn what_is_pushed_is_one_line_or_none() {
    let mut record = Record::default();
    record.push_link(format_args!("mapper/{}", "x"));
    record.push_link(format_args!("mapper/y"));
    record.push_link(format_args!("mapper/x"));
    record.push_link_priority(-100);
    record.push_initialized_usec(7);
    record.push_property(b"ID_FS_LABEL", b"a\nS:evil");
    record.push_property(b"ID_FS_LABEL", b"a\r");
    record.push_property(b"ID_FS_TYPE", b"ext4");
    record.push_tag(b"systemd");
    let text = b"S:mapper/x\nS:mapper/y\nL:-100\nI:7\nE:ID_FS_TYPE=ext4\nG:systemd\n";
    assert_eq!(record, Record::parse(text));
    assert_eq!(record.0, text);
}
