//! One process, measured by a parent so small that it falsifies nothing (tiny/launch.rs).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::Program;

/// What one run cost.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) nanoseconds: u64,
    pub(crate) minor_faults: u64,
    /// Peak of resident memory.
    pub(crate) peak_kb: u64,
}

/// The launcher and a program that does nothing, which the compiler at hand makes.
pub(crate) struct Launcher {
    launch: PathBuf,
    pub(crate) empty: PathBuf,
}

impl Launcher {
    /// Where [`Self::build`] left them.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self { launch: directory.join("launch"), empty: directory.join("empty") }
    }

    pub(crate) fn build(directory: &Path) -> Result<Self, String> {
        for (name, source) in [("launch", include_str!("tiny/launch.rs")), ("empty", include_str!("tiny/empty.rs"))] {
            let path = directory.join(format!("{name}.rs"));
            std::fs::write(&path, source).map_err(|error| format!("{}: {error}", path.display()))?;
            let output = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()))
                .args(["--edition", "2024", "-C", "panic=abort", "-C", "opt-level=s", "-C", "relocation-model=static"])
                .args(["-C", "link-args=-nostartfiles -nostdlib -static", "-o"])
                .arg(directory.join(name))
                .arg(&path)
                .output()
                .map_err(|error| format!("rustc: {error}"))?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        Ok(Self::in_directory(directory))
    }

    pub(crate) fn files(&self) -> [PathBuf; 2] {
        [self.launch.clone(), self.empty.clone()]
    }

    /// Runs the program to its successful end.
    pub(crate) fn run(&self, program: &Program) -> Result<Cost, String> {
        self.run_to(program, &[0])
    }

    /// Runs the program to an end with one of these statuses of exit.
    pub(crate) fn run_to(&self, program: &Program, accepted: &[u64]) -> Result<Cost, String> {
        let words = program.words.join(" ");
        let (mut reader, writer) = std::io::pipe().map_err(|error| format!("pipe: {error}"))?;
        let status = program
            .command(&[&self.launch.display().to_string()])
            .stdin(writer)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| format!("{}: {error}", self.launch.display()))?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|error| format!("{words}: {error}"))?;
        let cells: Vec<u64> = bytes.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect();
        match cells.as_slice() {
            [nanoseconds, minor_faults, peak_kb, ended, 1] if status.success() && accepted.iter().any(|code| code << 8 == *ended) => {
                Ok(Cost { nanoseconds: *nanoseconds, minor_faults: *minor_faults, peak_kb: *peak_kb })
            }
            [_, _, _, status, _] => Err(format!("{words}: wait status {status:#x}")),
            _ => Err(format!("{words}: the launcher said nothing")),
        }
    }
}

impl std::ops::AddAssign for Cost {
    /// Of programs that run one after the other.
    fn add_assign(&mut self, other: Self) {
        self.nanoseconds += other.nanoseconds;
        self.minor_faults += other.minor_faults;
        self.peak_kb = self.peak_kb.max(other.peak_kb);
    }
}
