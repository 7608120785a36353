#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::request::check(data));
fuzz::json_mutator!();
