use std::path::{Path, PathBuf};

use argh::{ArgsInfo, FromArgs};

use crate::error::{Error, Result};
use crate::info::Roots;
use crate::initramfs::root::Found;
use crate::initramfs::tree::Tree;
use crate::initramfs::{self, modules, root};

/// Check an unpacked initramfs, or one being built: what it lacks, what it has twice.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "check-initramfs")]
pub(super) struct CheckInitramfs {
    /// the image is for any machine: do not ask what this one's root needs
    #[argh(switch)]
    generic: bool,

    /// the directory that the image is unpacked or built in
    #[argh(positional, arg_name = "DIR")]
    directory: PathBuf,
}

impl CheckInitramfs {
    pub(super) fn run(self) -> Result<()> {
        let tree = Tree::open(&self.directory)?;
        let mut needs = vec![modules::always()];
        if !self.generic {
            let (found, troubles) = root::needs(&Roots::default())?;
            troubles.iter().for_each(|trouble| log::warn!("{trouble}"));
            match found {
                Found::Needs(of_root) => needs.extend(of_root),
                Found::Denied => {
                    log::warn!("check-initramfs: what the devices under / need is shown to root only: their modules are not checked");
                }
                Found::NoBlockDevice => {
                    log::warn!("check-initramfs: / is on no block device here: only what every image needs is checked");
                }
            }
        }
        let faults = initramfs::check(&tree, &needs, Path::new("/lib/modules"));
        super::print(&faults.iter().map(|fault| format!("{fault}\n")).collect::<String>())?;
        match faults.iter().filter(|fault| fault.is_fatal()).count() {
            0 => Ok(()),
            count => {
                let what = format!("{count} fault{}, listed above", if count == 1 { "" } else { "s" });
                Err(Error::remains("check-initramfs", self.directory.as_os_str().as_encoded_bytes(), what))
            }
        }
    }
}
