#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::message::check(data));
fuzz::json_mutator!();
