use std::fs;

use super::system::System;
use super::*;

fn names(others: &[Related]) -> Vec<String> {
    others.iter().map(|other| String::from_utf8(other.name.clone().unwrap()).unwrap()).collect()
}

#[test]
fn an_ordinary_user_learns_what_sysfs_and_udev_tell() {
    let info = System::new().gather("secret");
    assert_eq!((info.device.devno.to_string().as_str(), info.state(), info.size), ("254:10", State::Suspended, Some(16384)));
    assert_eq!((info.read_only, info.live_table()), (Some(false), Some(true)));
    assert_eq!((info.device.details, info.targets), (None, None));
    assert_eq!(names(&info.dependencies), ["vg-my--data"], "by name, not by the kernel's number");
    assert_eq!(names(&info.dependants), ["secret1"]);
    assert_eq!(info.udev.unwrap().links().count(), 5);
}

#[test]
fn an_ordinary_user_is_told_that_there_is_no_device_mapper() {
    let system = System::new();
    let names = || unprivileged(&system.roots).map(|devices| devices.len()).map_err(|error| error.to_string());
    assert_eq!(names(), Ok(3));
    fs::create_dir_all(&system.roots.proc).unwrap();
    fs::write(system.roots.proc.join("misc"), "237 loop-control\n").unwrap();
    let told = names().unwrap_err();
    assert!(told.ends_with("/mapper/control: No such device; is device-mapper in the kernel? try `modprobe dm-mod`"), "{told}");
}

#[test]
fn a_neighbour_of_another_kind_has_the_kernels_name() {
    let info = System::new().gather("254:0");
    let [disk] = info.dependencies.as_slice() else { panic!("{:?}", info.dependencies) };
    assert_eq!((disk.name.as_deref(), disk.device_mapper), (Some(&b"loop0"[..]), false));
    assert_eq!((info.state(), info.udev), (State::Active, None));
}

#[test]
fn a_partition_knows_what_it_lies_on() {
    let info = System::new().gather("secret1");
    assert_eq!(info.parent.as_ref().unwrap().name.as_deref(), Some(&b"secret"[..]));
    assert_eq!(info.state(), State::Unknown, "size 0 and nobody to ask for its table");
}

#[test]
fn a_device_that_is_going_away_is_never_called_by_the_kernels_name() {
    let system = System::new();
    fs::remove_file(system.roots.sys.join("devices/dm-0/dm/name")).unwrap();
    let info = system.gather("secret");
    let [parent] = info.dependencies.as_slice() else { panic!("{:?}", info.dependencies) };
    assert_eq!((parent.name.as_ref(), parent.device_mapper), (None, true));
}

#[test]
fn advice_says_what_the_word_is_instead() {
    let system = System::new();
    let sources = system.sources();
    let message = |word: &str| sources.find(word, Meaning::Any).unwrap_err().to_string();
    assert_eq!(message("7:0"), "info 7:0: no such device-mapper device; 7:0 is loop0, a block device of another kind");
    assert_eq!(message("nope"), "info nope: no such device-mapper device; devices without a table are shown to root only");
    assert_eq!(message("/nope/x"), "info /nope/x: no such device-mapper device; there is no such path");
    assert_eq!(message("/dev/null"), "info /dev/null: not a block device");
    let node = system.roots.dev.join("mapper/my disk");
    assert!(message(node.to_str().unwrap()).ends_with("there is no such path"));
    let node = system.roots.dev.join("mapper/secret");
    assert!(message(node.to_str().unwrap()).ends_with("the path is missing, the device is there: dmhelper info --name secret"));
}

#[test]
fn a_kernel_without_device_mapper_is_one_error() {
    let system = System::new();
    fs::create_dir_all(&system.roots.proc).unwrap();
    fs::write(system.roots.proc.join("misc"), "130 watchdog\n").unwrap();
    let error = Sources::open(&system.roots).unwrap_err();
    assert_eq!(error.status(), 1);
    assert!(error.to_string().contains("modprobe dm-mod"), "{error}");
}
