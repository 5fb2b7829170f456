//! Finds the supervisor that goes into the library, and its digest.

use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest, Sha256};

const DEFAULT: &str = "../../target/supervisor/x86_64-unknown-linux-gnu/release/e2bridge-supervisor";

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=E2BRIDGE_SUPERVISOR");
    let path = match env::var_os("E2BRIDGE_SUPERVISOR") {
        Some(path) if Path::new(&path).is_absolute() => PathBuf::from(path),
        Some(path) => return Err(format!("E2BRIDGE_SUPERVISOR must be an absolute path, got {path:?}")),
        None => Path::new(&variable("CARGO_MANIFEST_DIR")?).join(DEFAULT),
    };
    println!("cargo::rerun-if-changed={}", path.display());
    let binary = fs::read(&path).map_err(|error| {
        format!(
            "no supervisor at {}: {error}; build with scripts/build-native, which makes it first, or name a built one in \
             E2BRIDGE_SUPERVISOR",
            path.display()
        )
    })?;
    let digest: String = Sha256::digest(&binary).iter().map(|byte| format!("{byte:02x}")).collect();
    // A copy of one's own, so that what is included is what was digested.
    let copy = Path::new(&variable("OUT_DIR")?).join("supervisor");
    fs::write(&copy, &binary).map_err(|error| format!("{}: {error}", copy.display()))?;
    println!("cargo::rustc-env=E2BRIDGE_SUPERVISOR_COPY={}", copy.display());
    println!("cargo::rustc-env=E2BRIDGE_SUPERVISOR_DIGEST={digest}");
    Ok(())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}
