//! Paths in memory that is used again: the foundation of what must not need any while it handles an event.

use std::fmt::{Arguments, Write};
use std::path::{Path, PathBuf};

/// Longer paths than this the standard library itself copies to new memory when it asks the kernel.
const ROOM: usize = 384;

/// A path that is written anew in the place of the one before.
#[derive(Debug, Clone)]
pub struct Scratch(PathBuf);

impl Default for Scratch {
    fn default() -> Self {
        Self(PathBuf::with_capacity(ROOM))
    }
}

impl Scratch {
    /// The path of something below `root`, until the next one is written.
    pub fn below(&mut self, root: &Path, rest: Arguments<'_>) -> &Path {
        let text = self.0.as_mut_os_string();
        text.clear();
        text.push(root);
        // Writing to an OsString cannot fail.
        let _ = write!(text, "/{rest}");
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_follows_another_in_the_same_memory() {
        let mut scratch = Scratch::default();
        assert_eq!(scratch.below(Path::new("/dev"), format_args!("mapper/{}", "x")), Path::new("/dev/mapper/x"));
        let memory = scratch.0.as_os_str().as_encoded_bytes().as_ptr();
        assert_eq!(scratch.below(Path::new("/run"), format_args!("/etc")), Path::new("/run/etc"), "never elsewhere");
        assert_eq!(scratch.0.as_os_str().as_encoded_bytes().as_ptr(), memory);
    }
}
