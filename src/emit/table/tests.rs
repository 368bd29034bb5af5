use super::*;

#[test]
fn sizes_are_short_and_never_too_large() {
    for (sectors, text) in [
        (0, "0 B"),
        (1, "512 B"),
        (2, "1 KiB"),
        (3, "1.5 KiB"),
        (2048, "1 MiB"),
        (2_097_152, "1 GiB"),
        (2_097_151, "1023.9 MiB"),
        (u64::MAX, "8191.9 EiB"),
    ] {
        assert_eq!(size(sectors), text);
    }
}
