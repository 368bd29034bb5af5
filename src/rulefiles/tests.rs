use super::*;
use std::os::unix::fs::symlink;

struct Root(tempfile::TempDir);

impl Root {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = Root(tempfile::tempdir().unwrap());
        files.iter().for_each(|(path, text)| root.write(path, text));
        root
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn mask(&self, path: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink("/dev/null", path).unwrap();
    }

    fn find(&self) -> RuleFiles {
        RuleFiles::find(self.0.path())
    }
}

const OURS: &str = "# dmhelper(8)\nENV{DM_COOKIE}==\"?*\", IMPORT{program}=\"/usr/sbin/dmhelper udev\"\nENV{DM_UDEV_RULES_VSN}=\"3\"\n";
const STOCK: &str = "ENV{DM_UDEV_RULES_VSN}=\"2\"\nIMPORT{program}=\"$env{DM_SBIN_PATH}/dmsetup udevflags\"\n";

fn debian(text: &str) -> Root {
    let root = Root::new(&[("usr/sbin/dmhelper", "x")]);
    FILES.iter().for_each(|(_, _, name, _)| root.write(&format!("usr/lib/udev/rules.d/{name}"), text));
    root
}

#[test]
fn a_whole_set_has_no_fault_and_tells_whose_it_is() {
    let found = debian(OURS).find();
    assert_eq!(found.faults(), []);
    assert_eq!(found.0.len(), 4);
    assert!(found.0.iter().all(|file| file.origin == Origin::Ours && file.generation == Some(3)));
    let stock = debian(STOCK).find();
    assert_eq!((stock.faults().len(), stock.0[0].origin, stock.0[0].generation), (0, Origin::Other, Some(2)));
}

#[test]
fn a_directory_that_is_another_by_a_link_is_read_once() {
    let root = debian(OURS);
    symlink("usr/lib", root.0.path().join("lib")).unwrap();
    assert!(root.find().0.iter().all(|file| file.hides.is_empty()));
}

#[test]
fn nothing_a_gap_a_mask_and_a_lost_program_are_faults() {
    assert_eq!(Root::new(&[]).find().faults(), [Fault::None]);
    let root = debian(OURS);
    fs::remove_file(root.0.path().join("usr/lib/udev/rules.d/56-lvm.rules")).unwrap();
    assert_eq!(root.find().faults(), [Fault::Missing(Job::Volume)]);
    root.mask("etc/udev/rules.d/60-persistent-storage-dm.rules");
    let found = root.find();
    assert!(matches!(found.faults().as_slice(), [Fault::Missing(_), Fault::Masked(file)] if file.hides.len() == 1), "{found:?}");
    fs::remove_file(root.0.path().join("usr/sbin/dmhelper")).unwrap();
    assert!(root.find().faults().iter().any(|fault| matches!(fault, Fault::LostProgram(_, program) if program.ends_with("dmhelper"))));
}

#[test]
fn two_sets_and_a_mixture_are_faults() {
    let root = debian(OURS);
    root.write("usr/lib/udev/rules.d/10-dm.rules", STOCK);
    assert!(matches!(root.find().faults().as_slice(), [Fault::Twice(first, _)] if first.job == Job::Identity));
    let root = debian(OURS);
    root.write("etc/udev/rules.d/55-dm.rules", STOCK);
    assert!(matches!(root.find().faults().as_slice(), [Fault::Mixed(first, _)] if first.origin == Origin::Other));
}
