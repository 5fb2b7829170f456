//! Arguments as they come over the boundary. See `e2bridge_fuzz::arguments`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| e2bridge_fuzz::arguments(data));

#[cfg(not(fuzzing))]
fn main() {}
