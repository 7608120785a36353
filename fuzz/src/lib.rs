//! The parts that the fuzz targets share.

use checks::json;
use libfuzzer_sys::fuzzer_mutate;

/// Makes a target change every second input as JSON.
#[macro_export]
macro_rules! json_mutator {
    () => {
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, longest: usize, seed: u32| {
            $crate::mutate(data, size, longest, seed)
        });
    };
}

/// Changes the first `size` bytes. Returns the new size, which is at most `longest`.
pub fn mutate(data: &mut [u8], size: usize, longest: usize, seed: u32) -> usize {
    if seed % 2 == 0 {
        return fuzzer_mutate(data, size, longest);
    }
    let changed = json::mutate(&data[..size], longest, seed.into());
    data[..changed.len()].copy_from_slice(&changed);
    changed.len()
}
