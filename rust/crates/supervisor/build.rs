//! Finds the extension module of CPython that goes into the program.

use std::path::{Path, PathBuf};
use std::{env, fs};

const DEFAULT: &str = "../../target/python-zygote/x86_64-unknown-linux-gnu/release/libe2bridge_supervisor.so";

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=E2BRIDGE_PYTHON_ZYGOTE");
    let copy = Path::new(&variable("OUT_DIR")?).join("python-zygote");
    let module = module()?.map_or(Ok(Vec::new()), |path| {
        println!("cargo::rerun-if-changed={}", path.display());
        fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    })?;
    fs::write(&copy, module).map_err(|error| format!("{}: {error}", copy.display()))
}

/// None for the module itself, and where defences are to be left out, which the module would not do. None, too, where it has not been
/// built, as it is for tools: CPython is then started anew for each worker.
fn module() -> Result<Option<PathBuf>, String> {
    if ["CARGO_FEATURE_PYTHON_ZYGOTE", "CARGO_FEATURE_WEAKENED"]
        .iter()
        .any(|feature| env::var_os(feature).is_some())
    {
        return Ok(None);
    }
    match env::var_os("E2BRIDGE_PYTHON_ZYGOTE").map(PathBuf::from) {
        Some(path) if path.is_absolute() => Ok(Some(path)),
        Some(path) => Err(format!("E2BRIDGE_PYTHON_ZYGOTE must be an absolute path, got {path:?}")),
        None => {
            let path = Path::new(&variable("CARGO_MANIFEST_DIR")?).join(DEFAULT);
            println!("cargo::rerun-if-changed={}", path.display());
            Ok(path.exists().then_some(path))
        }
    }
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}
