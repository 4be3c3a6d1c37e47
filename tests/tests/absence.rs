//! What must not be there: networks in pure crates, arrows that point up, paths of a developer's machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use tallybox_tests::graph::{Graph, root};

/// The crates in order: each may use only those before it.
const LAYERS: [&str; 13] = [
    "model",
    "crypto",
    "client",
    "transport",
    "queue",
    "service",
    "ingestor",
    "facilitator",
    "workflow-manager",
    "key-rotator",
    "portal",
    "sandbox",
    "tests",
];
/// Those that run by themselves and never use each other.
const PROGRAMS: [&str; 5] = ["ingestor", "facilitator", "workflow-manager", "key-rotator", "portal"];
/// What reaches a network.
const NETWORK: [&str; 9] = [
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "reqwest",
    "object_store",
    "rustls",
    "h2",
    "async-std",
];

fn short(name: &str) -> &str {
    name.strip_prefix("tallybox-").unwrap_or(name)
}

#[test]
fn the_pure_crates_cannot_reach_a_network() {
    let graph = Graph::load(&["--all-features"]);
    for pure in ["tallybox-model", "tallybox-crypto"] {
        let reached = graph.reaches(pure);
        assert!(reached.len() > 5, "{pure} needs something");
        let bad: Vec<_> = NETWORK.into_iter().filter(|name| reached.contains(*name)).collect();
        assert_eq!(bad, [""; 0], "{pure}");
    }
    assert!(
        graph.reaches("tallybox-transport").contains("tokio"),
        "the check can find something"
    );
}

#[test]
fn the_scheduler_cannot_open_a_packet() {
    let graph = Graph::load(&["--all-features"]);
    assert!(!graph.reaches("tallybox-workflow-manager").contains("tallybox-crypto"));
    assert!(
        graph.reaches("tallybox-facilitator").contains("tallybox-crypto"),
        "the check can find something"
    );
}

#[test]
fn a_crate_uses_only_crates_above_it() {
    let graph = Graph::load(&["--all-features"]);
    let place = |name: &str| LAYERS.iter().position(|layer| *layer == short(name));
    for (id, package) in graph.members() {
        let own = place(&package.name).unwrap_or_else(|| panic!("{} has no place in the list", package.name));
        for needed in graph.own_needs(id) {
            assert!(
                place(&needed) < Some(own),
                "{} uses {needed}, which stands below it",
                package.name
            );
            let programs = PROGRAMS.contains(&short(&package.name)) && PROGRAMS.contains(&short(&needed));
            assert!(!programs, "program {} uses program {needed}", package.name);
        }
    }
}

/// All files of the project that people wrote.
fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !["target", ".git", "testdata", "seeds", "node_modules"].contains(&name.as_str()) {
                files(&path, out);
            }
        } else {
            out.push(path);
        }
    }
}

/// What nothing in the project may mention, put together here so that this file does not.
fn forbidden() -> Vec<String> {
    let word = |parts: [&str; 2]| parts.concat();
    vec![
        word(["../sha", "red"]),
        word(["/wo", "rk/"]),
        word(["/ro", "ot/"]),
        word(["index.crates.io", "-"]),
        word(["unwrap_or_else(|_| unreach", "able!"]),
    ]
}

#[test]
fn no_file_mentions_a_developers_machine() {
    let mut all = Vec::new();
    files(&root(), &mut all);
    assert!(all.len() > 100, "only {} files", all.len());
    let mut found = Vec::new();
    for path in &all {
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        for word in forbidden().iter().filter(|word| text.contains(*word)) {
            found.push(format!("{}: {word}", path.display()));
        }
    }
    assert_eq!(found, [""; 0]);
}

#[test]
fn every_file_says_what_it_is_for_and_none_is_unsafe() {
    let mut all = Vec::new();
    files(&root(), &mut all);
    let code = all
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let (mut faults, mut seen) = (Vec::new(), 0);
    let unsafe_block = ["unsafe", " {"].concat();
    let marker = ["TO", "DO"].concat();
    for path in code {
        seen += 1;
        let text = std::fs::read_to_string(path).unwrap();
        if !text
            .lines()
            .find(|line| !line.starts_with("#!"))
            .is_some_and(|line| line.starts_with("//!"))
        {
            faults.push(format!("{} does not say what it is for", path.display()));
        }
        if text.contains(&unsafe_block) {
            faults.push(format!("{} has unsafe code", path.display()));
        }
        let open = text
            .lines()
            .filter(|line| line.contains(&marker) && !line.contains(&format!("{marker}(#")));
        faults.extend(open.map(|line| format!("{}: {}", path.display(), line.trim())));
    }
    assert!(seen > 80, "only {seen} files");
    assert_eq!(faults, [""; 0]);
}
