use std::collections::BTreeSet;
use std::fs;

use super::layout::text;
use super::*;
use crate::info::system::System;
use crate::survey::{Survey, steady};
use crate::terminal::Terminal;

const PROGRAM: Terminal = Terminal { width: None, colour: false, unicode: true };

fn rows(survey: &Survey<'_>, columns: &[&Column]) -> Vec<Vec<Value>> {
    let row =
        |device: crate::dm::Listed| steady(survey, &device, |subject| columns.iter().map(|column| (column.extract)(subject)).collect());
    survey.devices().iter().filter_map(row).collect()
}

fn listing(system: &System, columns: &str, terminal: &Terminal) -> (String, usize) {
    let columns = choice::columns(columns).unwrap();
    let shapes: Vec<_> = columns.iter().map(|column| column.shape()).collect();
    text(&shapes, &rows(&system.survey(), &columns), true, terminal)
}

fn at_width(system: &System, width: usize) -> String {
    listing(system, DEFAULT, &Terminal { width: Some(width), ..PROGRAM }).0
}

fn mounted() -> System {
    let system = System::new();
    fs::create_dir_all(system.roots.proc.join("self")).unwrap();
    fs::write(system.roots.proc.join("self/mountinfo"), "22 1 254:18 / /srv/data/archive rw - ext4 /dev/mapper/secret1 rw\n").unwrap();
    fs::write(system.roots.proc.join("swaps"), "Filename Type Size Used Priority\n/dev/dm-10 partition 1 0 -2\n").unwrap();
    system
}

#[test]
fn every_column_has_a_name_of_its_own_that_a_shell_and_json_take() {
    let names: BTreeSet<_> = COLUMNS.iter().map(|column| column.name).collect();
    assert_eq!(names.len(), COLUMNS.len());
    assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    assert!(choice::columns(DEFAULT).is_ok());
}

#[test]
fn a_program_gets_every_cell_whole_between_tabs() {
    let (text, hidden) = listing(&mounted(), "name,size,state,read_only,subsystem,vg,lv,layer,deps,dependants,mounts,open", &PROGRAM);
    assert_eq!(
        text,
        "NAME\tSIZE\tSTATE\tREAD_ONLY\tSUBSYSTEM\tVG\tLV\tLAYER\tDEPS\tDEPENDANTS\tMOUNTS\tOPEN\n\
         secret\t8388608\tsuspended\tno\tcryptsetup\t\t\t\tvg-my--data\tsecret1\t[swap]\t\n\
         secret1\t0\t\tno\tkpartx\t\t\t\tsecret\t\t/srv/data/archive\t\n\
         vg-my--data\t25165824\tactive\tno\tLVM\tvg\tmy-data\t\tloop0\tsecret\t\t\n"
    );
    assert_eq!(hidden, 0);
}

#[test]
fn a_person_gets_columns_that_fit() {
    let system = mounted();
    assert_eq!(
        at_width(&system, 80),
        "NAME         DEVNO     SIZE  STATE      SUBSYSTEM   DEPS         MOUNTS\n\
         secret       254:10   8 MiB  suspended  cryptsetup  vg-my--data  [swap]\n\
         secret1      254:18     0 B             kpartx      secret       /srv/data/arch…\n\
         vg-my--data  254:0   24 MiB  active     LVM         loop0\n"
    );
    assert_eq!(
        at_width(&system, 68),
        "NAME         DEVNO     SIZE  STATE      SUBSYST…  DEPS      MOUNTS\n\
         secret       254:10   8 MiB  suspended  cryptse…  vg-my--…  [swap]\n\
         secret1      254:18     0 B             kpartx    secret    /srv/da…\n\
         vg-my--data  254:0   24 MiB  active     LVM       loop0\n"
    );
    let (text, hidden) = listing(&system, DEFAULT, &Terminal { width: Some(20), ..PROGRAM });
    assert_eq!((text.as_str(), hidden), ("NAME         DEVNO\nsecret       254:10\nsecret1      254:18\nvg-my--data  254:0\n", 5));
}

#[test]
fn one_long_name_leaves_room_for_what_stands_beside_it() {
    let system = mounted();
    system.device("dm-30", "254:30", "8", &["dm-0"], &[]);
    system.dm("dm-30", "luks-0123456789ab-cdef-0123-456789abcdef-and-more", "", "0");
    assert_eq!(
        at_width(&system, 90),
        "NAME                  DEVNO     SIZE  STATE      SUBSYSTEM   DEPS         MOUNTS\n\
         luks-0123456789ab-c…  254:30   4 KiB  active                 vg-my--data\n\
         secret                254:10   8 MiB  suspended  cryptsetup  vg-my--data  [swap]\n\
         secret1               254:18     0 B             kpartx      secret       /srv/data/archi…\n\
         vg-my--data           254:0   24 MiB  active     LVM         loop0\n"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_however_narrow() {
    let system = mounted();
    for width in 1..100 {
        let text = at_width(&system, width);
        assert!(text.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= width), "{width}:\n{text}");
        assert_eq!(text.lines().count(), 4);
    }
}

#[test]
fn wide_characters_are_two_columns_wide() {
    assert_eq!(layout::cut("名前名前", 5, true), "名前…");
    assert_eq!(layout::cut("名前名前", 4, false), "名~");
    assert_eq!(layout::cut("名前", 4, true), "名前");
}

#[test]
fn json_has_numbers_lists_and_null() {
    let system = mounted();
    let columns = choice::columns("size,open,deps,mounts,read_only,devno").unwrap();
    let rows = rows(&system.survey(), &columns);
    assert_eq!(
        serde_json::to_value(&rows[1]).unwrap(),
        serde_json::json!([
            0, null, [{"name": "secret", "devno": "254:10", "device_mapper": true}], ["/srv/data/archive"], false, "254:18"
        ])
    );
}

#[test]
fn a_device_that_changes_while_it_is_looked_at_is_looked_at_again() {
    let system = System::new();
    let survey = system.survey();
    let device = survey.listed("254:10".parse().unwrap()).unwrap();
    let mut looks = Vec::new();
    let size = steady(&survey, &device, |subject| {
        looks.push(subject.device().name.to_string());
        let size = subject.sysfs().size();
        // Its number becomes another device's meanwhile.
        fs::write(system.roots.sys.join("devices/dm-10/dm/name"), "other\n").unwrap();
        fs::write(system.roots.sys.join("devices/dm-10/size"), "8\n").unwrap();
        size
    });
    assert_eq!((size, looks), (Some(Some(8)), vec!["secret".to_string(), "other".to_string()]));
    let endless = steady(&survey, &device, |subject| {
        let _ = subject.sysfs();
        let name = system.roots.sys.join("devices/dm-10/dm/name");
        fs::write(&name, fs::read_to_string(&name).unwrap().trim_end().to_owned() + "x\n").unwrap();
    });
    assert_eq!(endless, None, "one that never holds still is not shown wrongly");
}

#[test]
fn every_column_is_in_its_place_in_the_man_page_and_no_other() {
    let page = include_str!("../../../man/dmhelper-ls.8");
    let (_, columns) = page.split_once(".Ss Columns").unwrap();
    let documented: Vec<&str> = columns.lines().filter_map(|line| line.strip_prefix(".It Cm ")).collect();
    assert_eq!(documented, choice::names());
}
