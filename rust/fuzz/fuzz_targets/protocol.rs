//! Messages between the processes. See `e2bridge_fuzz::protocol`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| e2bridge_fuzz::protocol(data));

#[cfg(not(fuzzing))]
fn main() {}
