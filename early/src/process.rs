//! Arguments and environment as the kernel lays them on the stack: argc, argv, NULL, envp, NULL.
#![allow(unsafe_code)]

use core::slice;

/// What the process was started with.
pub(crate) struct Process {
    arguments: *const *const u8,
    count: usize,
}

impl Process {
    /// # Safety
    /// `stack` points to a process's initial stack, which nobody changes while `Process` is in use.
    pub(crate) unsafe fn from_stack(stack: *const usize) -> Self {
        // SAFETY: argc, then the pointers of argv.
        unsafe { Self { count: *stack, arguments: stack.add(1).cast() } }
    }

    /// The arguments, the program's own name first.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        texts(self.arguments)
    }

    /// The first variable of that name in the environment, as getenv(3) finds it; `None`, too, where it is no text.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        // SAFETY: envp follows the NULL that ends argv, `count` pointers further on.
        let environment = unsafe { self.arguments.add(self.count + 1) };
        let value = texts(environment).find_map(|text| text.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        str::from_utf8(value).ok()
    }
}

/// The texts of a list of pointers that ends with NULL.
fn texts<'a>(mut list: *const *const u8) -> impl Iterator<Item = &'a [u8]> {
    core::iter::from_fn(move || {
        // SAFETY: not past the NULL, at which this stops without a step.
        let text = unsafe { *list };
        if text.is_null() {
            return None;
        }
        // SAFETY: the next element is there: the NULL at least.
        list = unsafe { list.add(1) };
        let mut length = 0;
        // SAFETY: the kernel ends each text with a NUL. Volatile: else the compiler may see that this is strlen(3), which is one
        // of those that cannot be called yet.
        while unsafe { text.add(length).read_volatile() } != 0 {
            length += 1;
        }
        // SAFETY: so many bytes, on the stack for the process's whole life.
        Some(unsafe { slice::from_raw_parts(text, length) })
    })
}
