//! See `capabilities` in tests/checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| httpd_semguard_fuzz::capabilities(data));
