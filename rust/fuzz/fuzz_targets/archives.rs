//! Archives of templates. See `e2bridge_fuzz::archives`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| e2bridge_fuzz::archives(data));

#[cfg(not(fuzzing))]
fn main() {}
