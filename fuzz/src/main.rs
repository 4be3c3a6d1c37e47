//! Fuzz targets for every decoder: what others wrote must never end in a panic, a hang or more memory than allowed.
//!
//! One binary holds all of them, since each would take longer to link than a short run of it; the name under which it
//! is called says which one runs. `scripts/fuzz` builds it, makes those names, seeds the corpora and runs it.

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

/// Finds the target by the file name in the first argument.
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
                "{name:?} is no fuzz target; link this program to one of these names: {}",
                names.join(" ")
            );
            std::process::exit(2);
        }
    }
}
