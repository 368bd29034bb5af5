//! `memcpy` and its kin, which compiled code calls of its own accord. The C library's static ones are chosen by processor
//! when it starts, and cannot be called before. These take their place in the whole program.
#![allow(unsafe_code)]

use core::arch::asm;

/// memcpy(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise: both hold `count` bytes and do not overlap. The direction flag is clear (System V ABI).
    unsafe { asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags)) };
    to
}

/// memmove(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr().abs_diff(from.addr()) >= count {
        // SAFETY: the caller's promise; they do not overlap.
        return unsafe { memcpy(to, from, count) };
    }
    // Processors are slow at `rep movsb` where what is written lies close to what is read: steps of eight, each read before it is
    // written, away from where the ranges overlap.
    let rest = count % 8;
    if to.addr() < from.addr() {
        let steps = (0..count - rest).step_by(8);
        // SAFETY: within both.
        steps.for_each(|at| unsafe { step(to, from, at) });
        // SAFETY: within both.
        (count - rest..count).for_each(|at| unsafe { to.add(at).write_volatile(*from.add(at)) });
    } else {
        // SAFETY: within both.
        (count - rest..count).rev().for_each(|at| unsafe { to.add(at).write_volatile(*from.add(at)) });
        let steps = (0..count - rest).step_by(8).rev();
        // SAFETY: within both.
        steps.for_each(|at| unsafe { step(to, from, at) });
    }
    to
}

/// Eight bytes. Volatile: else the compiler may see what the loop around it is, and make it a call of memmove(3).
///
/// # Safety
/// Both hold eight bytes more than `at`.
unsafe fn step(to: *mut u8, from: *const u8, at: usize) {
    // SAFETY: the caller's promise; reading an array of bytes needs no alignment.
    unsafe { to.add(at).cast::<[u8; 8]>().write_volatile(from.add(at).cast::<[u8; 8]>().read()) };
}

/// memset(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise: `count` bytes can be written. The direction flag is clear.
    unsafe { asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") value as u8, options(nostack, preserves_flags)) };
    to
}

/// memcmp(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    let mut at = 0;
    while at + 8 <= count {
        // SAFETY: the caller's promise: both hold `count` bytes.
        let (a, b) = unsafe { (eight(one.add(at)), eight(other.add(at))) };
        if a != b {
            return if a < b { -1 } else { 1 };
        }
        at += 8;
    }
    while at < count {
        // SAFETY: as above.
        let (a, b) = unsafe { (one.add(at).read_volatile(), other.add(at).read_volatile()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
        at += 1;
    }
    0
}

/// Eight bytes as a number that compares as they do, the first one first. Volatile as in [`step`].
///
/// # Safety
/// There are eight.
unsafe fn eight(bytes: *const u8) -> u64 {
    // SAFETY: the caller's promise; an array of bytes needs no alignment.
    u64::from_be_bytes(unsafe { bytes.cast::<[u8; 8]>().read_volatile() })
}

/// bcmp(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(one, other, count) }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    /// Every length around the steps of eight, from every offset in between.
    fn cases() -> impl Iterator<Item = (usize, usize, usize)> {
        (0..40).flat_map(|length| (0..9).flat_map(move |from| (0..9).map(move |to| (length, from, to))))
    }

    #[test]
    fn bytes_are_moved_whether_or_not_they_overlap() {
        for (length, from, to) in cases() {
            let start: Vec<u8> = (0..64).collect();
            let mut expected = start.clone();
            expected[to..to + length].copy_from_slice(&start[from..from + length]);
            let (mut moved, mut copied) = (start.clone(), start.clone());
            // SAFETY: both lie within the 64 bytes; the copy's source is another vector.
            unsafe {
                let base = moved.as_mut_ptr();
                assert_eq!(super::memmove(base.add(to), base.add(from), length), base.add(to));
                super::memcpy(copied.as_mut_ptr().add(to), start.as_ptr().add(from), length);
            }
            assert_eq!(moved, expected, "memmove: {length} bytes from {from} to {to}");
            assert_eq!(copied, expected, "memcpy: {length} bytes from {from} to {to}");
        }
    }

    #[test]
    fn bytes_are_set_and_nothing_beside_them() {
        for (length, _, to) in cases() {
            let mut bytes = [7u8; 64];
            // SAFETY: within the 64 bytes.
            unsafe { super::memset(bytes.as_mut_ptr().add(to), 0x1ff, length) };
            assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == if (to..to + length).contains(&at) { 0xff } else { 7 }));
        }
    }

    #[test]
    fn the_first_byte_that_differs_decides_whatever_follows() {
        for length in 0..40 {
            let one: Vec<u8> = (0..length).collect();
            // SAFETY: both hold `length` bytes.
            let compare = |other: &[u8]| unsafe {
                (super::memcmp(one.as_ptr(), other.as_ptr(), one.len()), super::bcmp(one.as_ptr(), other.as_ptr(), one.len()))
            };
            assert_eq!(compare(&one), (0, 0));
            for at in 0..one.len() {
                let (mut more, mut less) = (one.clone(), one.clone());
                more[at] = 0xf0;
                more.iter_mut().skip(at + 1).for_each(|byte| *byte = 0);
                less.iter_mut().skip(at + 1).for_each(|byte| *byte = 0xff);
                assert!(compare(&more).0 < 0 && compare(&more).1 != 0, "{length}, {at}");
                assert!(at + 1 == one.len() || compare(&less).0 < 0, "{length}, {at}");
            }
        }
    }
}
