//! `memcpy` and its kin, which compiled code calls of its own accord. The C library's static ones are chosen by processor
//! when it starts, and cannot be called before. These take their place in the whole program.
#![allow(unsafe_code)]

use core::arch::asm;
use core::arch::x86_64::{__m128i, _mm_set1_epi8};

/// memcpy(3): the same, as whoever calls it with ranges that overlap would expect.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise: both hold `count` bytes.
    unsafe { memmove(to, from, count) }
}

/// memmove(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise: both hold `count` bytes. Nothing is written before what stood there is read.
    unsafe {
        match count {
            WIDE.. if to.addr().wrapping_sub(from.addr()) >= count => {
                let last = load(from.add(count - WIDE));
                let mut at = 0;
                while at < count - WIDE {
                    store(to.add(at), load(from.add(at)));
                    at += WIDE;
                }
                store(to.add(count - WIDE), last);
            }
            // What is written lies behind in what is read: from the end.
            WIDE.. => {
                let first = load(from);
                let mut end = count;
                while end > WIDE {
                    end -= WIDE;
                    store(to.add(end), load(from.add(end)));
                }
                store(to, first);
            }
            8.. => ends::<u64>(to, from, count),
            4.. => ends::<u32>(to, from, count),
            2.. => ends::<u16>(to, from, count),
            1 => *to = *from,
            0 => {}
        }
    }
    to
}

/// Moves both ends, which meet or overlap.
///
/// # Safety
/// Both hold `count` bytes, at least as many as `T` and at most twice as many.
unsafe fn ends<T: Copy>(to: *mut u8, from: *const u8, count: usize) {
    let second = count - size_of::<T>();
    // SAFETY: the caller's promise.
    unsafe {
        let (first, last) = (from.cast::<T>().read_unaligned(), from.add(second).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(first);
        to.add(second).cast::<T>().write_unaligned(last);
    }
}

/// memset(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    let byte = value as u8; // as it is specified
    let many = u64::from_ne_bytes([byte; 8]);
    // SAFETY: the caller's promise: `count` bytes can be written.
    unsafe {
        match count {
            WIDE.. => {
                let many = _mm_set1_epi8(byte.cast_signed());
                let mut at = 0;
                while at < count - WIDE {
                    store(to.add(at), many);
                    at += WIDE;
                }
                store(to.add(count - WIDE), many);
            }
            8.. => both_ends(to, count, many),
            4.. => both_ends(to, count, many as u32),
            2.. => both_ends(to, count, many as u16),
            1 => *to = byte,
            0 => {}
        }
    }
    to
}

/// Writes the same to both ends, which meet or overlap.
///
/// # Safety
/// `count` bytes can be written, at least as many as `T` has and at most twice as many.
unsafe fn both_ends<T: Copy>(to: *mut u8, count: usize, many: T) {
    // SAFETY: the caller's promise.
    unsafe {
        to.cast::<T>().write_unaligned(many);
        to.add(count - size_of::<T>()).cast::<T>().write_unaligned(many);
    }
}

/// How many bytes [`load`] and [`store`] move at once; every x86-64 processor can.
const WIDE: usize = size_of::<__m128i>();

/// Reads sixteen bytes. The compiler does not look into it: else it may see what the loop around it is, and make it a call
/// of the function in which it stands.
///
/// # Safety
/// There are sixteen.
unsafe fn load(from: *const u8) -> __m128i {
    let many;
    // SAFETY: the caller's promise; this instruction needs no alignment.
    unsafe { asm!("movups {}, [{}]", out(xmm_reg) many, in(reg) from, options(readonly, nostack, preserves_flags)) };
    many
}

/// Writes sixteen bytes, as [`load`] reads them.
///
/// # Safety
/// Sixteen can be written.
unsafe fn store(to: *mut u8, many: __m128i) {
    // SAFETY: the caller's promise; this instruction needs no alignment.
    unsafe { asm!("movups [{}], {}", in(reg) to, in(xmm_reg) many, options(nostack, preserves_flags)) };
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

/// Eight bytes as a number that compares as they do, the first one first. Volatile, for the same reason as [`load`].
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

    /// Every length around the steps of eight and of sixteen, from every offset in between.
    fn cases() -> impl Iterator<Item = (usize, usize, usize)> {
        (0..53).flat_map(|length| (0..9).flat_map(move |from| (0..9).map(move |to| (length, from, to))))
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
