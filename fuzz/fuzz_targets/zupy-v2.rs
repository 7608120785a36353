#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::zupy_v2::check(data));
fuzz::json_mutator!();
