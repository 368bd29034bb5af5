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

#[cfg(test)]
mod tests {
    extern crate std;

    use super::Process;
    use std::ffi::CStr;
    use std::vec::Vec;

    /// A stack as the kernel would lay it.
    fn stack(arguments: &[&'static CStr], environment: &[&'static CStr]) -> Vec<usize> {
        let addresses = |texts: &[&'static CStr]| texts.iter().map(|text| text.as_ptr().expose_provenance()).chain([0]).collect::<Vec<_>>();
        [std::vec![arguments.len()], addresses(arguments), addresses(environment)].concat()
    }

    #[test]
    fn arguments_and_variables_are_found_and_the_first_of_a_name_counts() {
        let stack = stack(&[c"dmhelper", c"udev", c"253:0"], &[c"A=1", c"AB=2", c"A=3", c"NOTHING", c"E=", c"X=\xff", c"B=a=b"]);
        // SAFETY: laid out as such a stack.
        let process = unsafe { Process::from_stack(stack.as_ptr()) };
        assert!(process.arguments().eq([&b"dmhelper"[..], b"udev", b"253:0"]));
        let found = ["A", "AB", "E", "B", "X", "NOTHING", "Z", ""].map(|name| process.variable(name));
        assert_eq!(found, [Some("1"), Some("2"), Some(""), Some("a=b"), None, None, None, None]);
    }

    #[test]
    fn a_process_may_have_neither() {
        let stack = stack(&[], &[]);
        // SAFETY: laid out as such a stack.
        let process = unsafe { Process::from_stack(stack.as_ptr()) };
        assert_eq!((process.arguments().count(), process.variable("PATH")), (0, None));
    }
}
