//! An initramfs of this machine's own programs, for the emulated machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::guest::{copy_tree, make_executable};

/// The tree of files that becomes the image.
pub(crate) struct Image(PathBuf);

impl Image {
    pub(crate) fn new(tree: PathBuf) -> Result<Self, String> {
        let image = Self(tree);
        for folder in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "proc", "sys", "dev", "run", "tmp", "var/lib", "etc"] {
            fs::create_dir_all(image.0.join(folder)).map_err(|error| format!("{folder}: {error}"))?;
        }
        for folder in ["bin", "sbin", "lib", "lib64"] {
            image.link(&format!("usr/{folder}"), folder)?;
        }
        Ok(image)
    }

    pub(crate) fn link(&self, target: &str, path: &str) -> Result<(), String> {
        symlink(target, self.at(path)).map_err(|error| format!("{path}: {error}"))
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> Result<(), String> {
        fs::write(self.at(path), text).map_err(|error| format!("{path}: {error}"))
    }

    /// One file.
    pub(crate) fn add(&self, from: &Path, path: &str) -> Result<(), String> {
        let to = self.at(path);
        let parent = to.parent().unwrap_or(&self.0);
        let copied = fs::create_dir_all(parent).and_then(|()| fs::copy(from, &to));
        copied.map(|_| ()).map_err(|error| format!("{}: {error}", from.display()))
    }

    /// A folder with all that is in it.
    pub(crate) fn add_folder(&self, from: &Path, path: &str) -> Result<(), String> {
        let to = self.at(path);
        fs::create_dir_all(to.parent().unwrap_or(&self.0)).map_err(|error| format!("{path}: {error}"))?;
        copy_tree(from, &to)
    }

    /// A program of this machine and its libraries, at the same paths.
    pub(crate) fn add_program(&self, path: &str) -> Result<(), String> {
        self.add(Path::new(path), path)?;
        libraries(path)?.iter().try_for_each(|library| self.add(library, &library.display().to_string()))
    }

    /// The file becomes the first process.
    pub(crate) fn pack(&self, init: &Path, image: &Path) -> Result<(), String> {
        self.add(init, "init")?;
        make_executable(&self.at("init")).map_err(|error| format!("init: {error}"))?;
        shell("cd \"$1\" && find . | cpio --quiet --create --format=newc >\"$2\"", &[&self.0, image]).map(|_| ())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

/// What the program is linked with, by the paths where the dynamic linker looks.
pub(crate) fn libraries(program: &str) -> Result<Vec<PathBuf>, String> {
    let output = Command::new("ldd").arg(program).env("LC_ALL", "C").output().map_err(|error| format!("ldd: {error}"))?;
    // Of a static program ldd says so and fails.
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("not found") {
        return Err(format!("ldd {program}: {text}"));
    }
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

/// The standard output of a script that must succeed.
pub(crate) fn shell(script: &str, arguments: &[&Path]) -> Result<String, String> {
    let output = Command::new("sh").args(["-euc", script, "sh"]).args(arguments).output().map_err(|error| format!("sh: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{script}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}
