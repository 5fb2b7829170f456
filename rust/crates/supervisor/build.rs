//! Finds the extension module of CPython that goes into the program.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=E2BRIDGE_PYTHON_MODULE");
    let copy = Path::new(&env::var("OUT_DIR").map_err(|error| error.to_string())?).join("python-module");
    let module = match env::var_os("E2BRIDGE_PYTHON_MODULE").map(PathBuf::from) {
        Some(path) if path.is_absolute() => {
            println!("cargo::rerun-if-changed={}", path.display());
            fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?
        }
        Some(path) => return Err(format!("E2BRIDGE_PYTHON_MODULE must be an absolute path, got {path:?}")),
        // A build without it, as tools make: the module itself, for one.
        None => Vec::new(),
    };
    fs::write(&copy, module).map_err(|error| format!("{}: {error}", copy.display()))
}
