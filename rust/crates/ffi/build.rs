//! Link options of the shared library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // C programs record this name and not the path they were linked with.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libe2bridge.so");
    // The library keeps threads; unmapping it under them would end the process.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
