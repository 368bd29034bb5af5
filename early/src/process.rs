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
        // SAFETY: argv, which stays as it is while `self` is in use.
        unsafe { pointers(self.arguments) }.map(|text| unsafe { bytes(text) })
    }

    /// The first variable of that name in the environment, as getenv(3) finds it; `None`, too, where it is no text.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        // SAFETY: envp follows the NULL that ends argv, `count` pointers further on.
        let mut environment = unsafe { pointers(self.arguments.add(self.count + 1)) };
        // SAFETY: each is a text, and the value is what is left of one.
        str::from_utf8(unsafe { bytes(environment.find_map(|text| value(text, name))?) }).ok()
    }
}

/// The elements of a list of pointers that ends with NULL.
///
/// # Safety
/// It is one.
unsafe fn pointers(mut list: *const *const u8) -> impl Iterator<Item = *const u8> {
    core::iter::from_fn(move || {
        // SAFETY: not past the NULL, at which this stops without a step.
        let text = unsafe { *list };
        if text.is_null() {
            return None;
        }
        // SAFETY: after one that is not NULL there is another.
        list = unsafe { list.add(1) };
        Some(text)
    })
}

/// Where a variable's value begins, if the text is of that name. Nothing is read behind the first byte that is not: an event
/// asks for some twenty variables, and most are not there.
///
/// # Safety
/// The text ends with NUL, which is in no name.
unsafe fn value(text: *const u8, name: &str) -> Option<*const u8> {
    // SAFETY: all before it were the name's: none was NUL.
    let is = |(at, byte)| unsafe { *text.add(at) == byte };
    // SAFETY: there is a NUL at least behind the equals sign.
    name.bytes().chain(*b"=").enumerate().all(is).then(|| unsafe { text.add(name.len() + 1) })
}

/// A text up to its NUL.
///
/// # Safety
/// It has one, and stays as it is for `'a`.
unsafe fn bytes<'a>(text: *const u8) -> &'a [u8] {
    let mut length = 0;
    // SAFETY: not past the NUL. Volatile: else the compiler may see that this is strlen(3), which is one of those that cannot be
    // called yet.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    // SAFETY: so many bytes.
    unsafe { slice::from_raw_parts(text, length) }
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
        let found = ["A", "AB", "E", "B", "X", "NOTHING", "NOTHINGS", "Z", ""].map(|name| process.variable(name));
        assert_eq!(found, [Some("1"), Some("2"), Some(""), Some("a=b"), None, None, None, None, None]);
    }

    #[test]
    fn a_process_may_have_neither() {
        let stack = stack(&[], &[]);
        // SAFETY: laid out as such a stack.
        let process = unsafe { Process::from_stack(stack.as_ptr()) };
        assert_eq!((process.arguments().count(), process.variable("PATH")), (0, None));
    }
}
