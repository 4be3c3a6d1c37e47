//! Every planted fault has a patch. `scripts/planted-faults` applies, builds and runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;

use tallybox_simulation::bugs;

/// The patch that all others need: it adds the function that they call.
const SWITCH: &str = "switch";

#[test]
fn every_fault_has_a_patch_and_every_patch_has_a_fault() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults");
    let mut patches = BTreeSet::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "patch", "{}", path.display());
        patches.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    let faults = bugs::ALL.iter().map(|bug| bug.name);
    let expected: BTreeSet<String> = faults.chain([SWITCH]).map(str::to_owned).collect();
    assert_eq!(patches, expected);
}

#[test]
fn a_patch_describes_its_fault_and_adds_code_of_no_other() {
    for bug in bugs::ALL {
        let path = format!("{}/faults/{}.patch", env!("CARGO_MANIFEST_DIR"), bug.name);
        let patch = std::fs::read_to_string(path).unwrap();
        let first = format!("{}: {}", bug.name, bug.meaning);
        assert_eq!(patch.lines().next().unwrap(), first);
        let own = format!("tallybox_service::fault::is_on(\"{}\")", bug.name);
        let added = |line: &&str| line.starts_with('+') && line.contains("fault::is_on(");
        let switches: Vec<&str> = patch.lines().filter(added).collect();
        assert!(!switches.is_empty(), "{first}");
        assert!(switches.iter().all(|line| line.contains(&own)), "{first}");
    }
}
