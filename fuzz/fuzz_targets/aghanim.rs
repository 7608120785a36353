#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::aghanim::check(data));
fuzz::json_mutator!();
