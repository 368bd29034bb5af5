//! `dmhelper check-initramfs` on trees that case files describe: `tests/fixtures/initramfs/*.case`.
//!
//! A line of a case makes one thing: `dir PATH`, `file PATH [TEXT]`, `exec PATH [TEXT]`, `link PATH TARGET`,
//! `rules DIRECTORY debian|upstream` (ours), `need MODULE`, `host RELEASE MODULE` (built into a kernel of this system),
//! or is one line that is to be said: `expect LINE`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use dmhelper::initramfs::modules::Need;
use dmhelper::initramfs::{self, tree::Tree};

const UPSTREAM: [(&str, &str); 4] =
    [("10-dm", "10-dm"), ("11-dm-lvm", "11-dm-lvm"), ("13-dm-disk", "13-dm-disk"), ("95-dm-notify", "95-dm-notify")];
const DEBIAN: [(&str, &str); 4] =
    [("10-dm", "55-dm"), ("11-dm-lvm", "56-lvm"), ("13-dm-disk", "60-persistent-storage-dm"), ("95-dm-notify", "95-dm-notify")];

fn put(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Our rules as `make install` leaves them.
fn put_rules(directory: &Path, layout: &str) {
    let names = if layout == "debian" { DEBIAN } else { UPSTREAM };
    for (source, name) in names {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("rules/{source}.rules.in"));
        let text = fs::read_to_string(source).unwrap().replace("@DMHELPER@", "/usr/sbin/dmhelper");
        put(&directory.join(format!("{name}.rules")), &text, 0o644);
    }
}

/// What is said of the tree, and what is to be said.
fn run(case: &str) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (image, host) = (folder.path().join("image"), folder.path().join("host"));
    let (mut needs, mut expected) = (Vec::new(), Vec::new());
    for line in case.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (verb, rest) = line.split_once(' ').unwrap();
        let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "dir" => fs::create_dir_all(image.join(path)).unwrap(),
            "file" => put(&image.join(path), &text.replace("\\n", "\n"), 0o644),
            "exec" => put(&image.join(path), &text.replace("\\n", "\n"), 0o755),
            "rules" => put_rules(&image.join(path), text),
            "need" => needs.push(Need { module: path.to_string(), reason: "x needs it".to_string() }),
            "host" => put(&host.join(path).join("modules.builtin"), &format!("kernel/drivers/md/{text}.ko\n"), 0o644),
            "expect" => expected.push(rest.to_string()),
            "link" => {
                fs::create_dir_all(image.join(path).parent().unwrap()).unwrap();
                symlink(text, image.join(path)).unwrap();
            }
            _ => panic!("unknown line: {line}"),
        }
    }
    let tree = Tree::open(&image).unwrap();
    (initramfs::check(&tree, &needs, &host).iter().map(ToString::to_string).collect(), expected)
}

#[test]
fn every_case_is_judged_as_it_says() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/initramfs");
    let mut count = 0;
    for entry in fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        let (said, expected) = run(&fs::read_to_string(&path).unwrap());
        assert_eq!(said, expected, "{}", path.display());
        count += 1;
    }
    assert!(count >= 10, "{count} cases");
}
