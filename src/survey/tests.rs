use std::fs;

use super::*;
use crate::info::system::System;

fn number(text: &str) -> Devno {
    text.parse().unwrap()
}

fn names(survey: &Survey<'_>, others: Vec<Devno>) -> Vec<String> {
    others.into_iter().map(|devno| String::from_utf8(survey.relate(devno).name.unwrap()).unwrap()).collect()
}

#[test]
fn what_is_below_and_above_is_found_through_partitions_too() {
    let system = System::new();
    system.device("sda", "8:0", "1000", &[], &[]);
    system.partition("sda", "sda1", "8:1");
    let survey = system.survey();
    assert_eq!(names(&survey, survey.below(number("8:1"))), ["sda"]);
    assert_eq!(names(&survey, survey.above(number("8:0"))), ["sda1"]);
    assert_eq!(names(&survey, survey.below(number("254:10"))), ["vg-my--data"]);
    assert_eq!(names(&survey, survey.above(number("254:10"))), ["secret1"]);
    assert_eq!(survey.below(number("1:1")), []);
}

#[test]
fn a_word_may_be_a_kernels_name_and_a_block_device_of_any_kind() {
    let system = System::new();
    let survey = system.survey();
    for word in ["secret", "254:10", "dm-10"] {
        assert_eq!(survey.find(word).unwrap(), number("254:10"));
    }
    for word in ["loop0", "7:0", "/dev/loop0"] {
        assert_eq!(survey.find_block(word).unwrap(), number("7:0"));
        assert_eq!(*survey.find(word).unwrap_err().cause(), Cause::NotFound);
    }
    for word in ["dm-11", "", "..", "../block/loop0", "/dev/null", "7:1"] {
        assert!(survey.find_block(word).is_err(), "{word}");
    }
}

#[test]
fn mounts_and_swap_are_found_by_number_and_by_path() {
    let system = System::new();
    let proc = system.roots.proc.join("self");
    fs::create_dir_all(&proc).unwrap();
    fs::write(
        proc.join("mountinfo"),
        "22 1 254:10 / /home rw - ext4 /dev/mapper/secret rw\n23 1 0:40 /a /data rw - btrfs /dev/mapper/vg-my--data rw\n\
         24 1 0:41 / /b rw - btrfs /dev/dm-18 rw\n25 1 0:42 / /proc rw - proc proc rw\n",
    )
    .unwrap();
    fs::write(system.roots.proc.join("swaps"), "Filename Type Size Used Priority\n/dev/loop0 partition 1 0 -2\n").unwrap();
    let survey = system.survey();
    let at = |devno| survey.mounts(number(devno)).iter().map(|mount| String::from_utf8_lossy(&mount.at).into_owned()).collect::<Vec<_>>();
    assert_eq!((at("254:10"), at("254:0"), at("254:18")), (vec!["/home".into()], vec!["/data".into()], vec!["/b".into()]));
    assert!(survey.is_swap(number("7:0")) && !survey.is_swap(number("254:0")));
    assert_eq!(survey.take_troubles(), []);
}

#[test]
fn the_record_of_another_device_under_the_same_number_is_nobodys() {
    let system = System::new();
    let data = system.roots.run_udev.join("data");
    let survey = system.survey();
    assert_eq!(survey.record(number("254:10")).unwrap().links().count(), 5);
    fs::write(data.join("b254:0"), "S:mapper/old\nE:DM_NAME=old\nE:DM_UUID=CRYPT-PLAIN-old\n").unwrap();
    assert_eq!(survey.record(number("254:0")), None);
    fs::write(data.join("b254:0"), "S:mapper/old\nE:DM_NAME=renamed\nE:DISKSEQ=7\n").unwrap();
    assert!(survey.record(number("254:0")).is_some(), "a name may have changed, and the kernel tells no sequence number");
    fs::write(system.roots.sys.join("devices/dm-0/diskseq"), "8\n").unwrap();
    assert_eq!(survey.record(number("254:0")), None);
    assert_eq!(survey.take_troubles(), []);
}

#[test]
fn what_cannot_be_read_is_nothing_and_is_told() {
    let system = System::new();
    fs::create_dir_all(system.roots.run_udev.join("data/b254:0")).unwrap();
    let survey = system.survey();
    assert_eq!((survey.record(number("254:0")), survey.mounts(number("254:0"))), (None, &[][..]));
    assert_eq!(survey.take_troubles().len(), 3, "the record, mountinfo and swaps");
}
