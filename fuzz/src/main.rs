//! Fuzz targets for every decoder: no foreign input may cause a panic, a hang, or more memory use
//! than allowed.
//!
//! One binary contains all targets, because linking each separately would take longer than a short
//! run of it. The name under which the binary is called selects the target. `scripts/fuzz` builds
//! the binary, creates links with those names, seeds the corpora and runs the targets.

#![no_main]

mod forge;
mod targets;
mod world;

use std::path::Path;
use std::sync::OnceLock;

/// The target that this process runs.
static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(target) = TARGET.get() {
        target(data);
    }
});

/// Selects the target by the file name in the first argument.
fn choose() {
    let program = std::env::args().next().unwrap_or_default();
    let name = Path::new(&program)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    match targets::ALL.iter().find(|(target, _)| *target == name) {
        Some((_, target)) => drop(TARGET.set(*target)),
        None => {
            let names: Vec<&str> = targets::ALL.iter().map(|(name, _)| *name).collect();
            eprintln!(
                "{name:?} is not a fuzz target; link this program under one of these names: {}",
                names.join(" ")
            );
            std::process::exit(2);
        }
    }
}
