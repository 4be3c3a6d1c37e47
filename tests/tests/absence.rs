//! Checks what must be absent: network access of pure crates, dependencies on higher crates, and
//! paths of a developer's machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use tallybox_tests::files::{files_below, rust_files_below};
use tallybox_tests::graph::{Graph, root};

/// The crates in order. Each may depend only on those before it.
const LAYERS: [&str; 16] = [
    "model",
    "estimate",
    "crypto",
    "durable",
    "transport",
    "queue",
    "service",
    "client",
    "ingestor",
    "facilitator",
    "workflow-manager",
    "key-rotator",
    "portal",
    "sandbox",
    "tests",
    "simulation",
];
/// The programs, which never depend on each other.
const PROGRAMS: [&str; 5] = [
    "ingestor",
    "facilitator",
    "workflow-manager",
    "key-rotator",
    "portal",
];
/// Crates that give network access.
const NETWORK_CRATES: [&str; 15] = [
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "reqwest",
    "object_store",
    "rustls",
    "h2",
    "quinn",
    "async-std",
    "async-io",
    "smol",
    "ureq",
    "curl",
    "native-tls",
];
/// The files of the facilitator on which all others build, and the modules that they never import.
const FACILITATOR_BASE: [&str; 11] = [
    "config.rs",
    "config/worker.rs",
    "error.rs",
    "error/classify.rs",
    "keys.rs",
    "buckets.rs",
    "limits.rs",
    "resources.rs",
    "budget.rs",
    "cache.rs",
    "reason.rs",
];
const FACILITATOR_STAGES: [&str; 6] = ["intake", "sum", "aggregate", "roster", "worker", "inspect"];
/// Files that may contain unsafe code: vector instructions that not every processor has.
const UNSAFE_FILES: [&str; 1] = ["crypto/src/p256x8/ifma.rs"];
/// The source of every package, as it appears in a lock file.
const CRATES_IO: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

fn short(name: &str) -> &str {
    name.strip_prefix("tallybox-").unwrap_or(name)
}

#[test]
fn the_base_of_the_facilitator_imports_no_stage() {
    let source = root().join("facilitator/src");
    for file in FACILITATOR_BASE {
        let text = std::fs::read_to_string(source.join(file)).unwrap();
        for stage in FACILITATOR_STAGES {
            let import = format!("crate::{stage}::");
            assert!(!text.contains(&import), "{file} imports {stage}");
        }
    }
}

#[test]
fn the_pure_crates_cannot_reach_a_network() {
    let graph = Graph::load(&["--all-features"]);
    for pure in ["tallybox-model", "tallybox-estimate", "tallybox-crypto"] {
        let reached = graph.reaches(pure);
        assert!(reached.len() > 5, "{pure} needs something");
        let bad: Vec<_> = NETWORK_CRATES
            .into_iter()
            .filter(|name| reached.contains(*name))
            .collect();
        assert_eq!(bad, [""; 0], "{pure}");
    }
    assert!(
        graph.reaches("tallybox-transport").contains("tokio"),
        "the check must be able to find a dependency"
    );
}

/// Returns the names of all packages in a build of this one alone, with all its features. Cargo's
/// metadata are not enough: they unify features over the whole workspace.
fn built(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--package",
            package,
            "--all-features",
            "--target",
            "all",
        ])
        .args([
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// The workflow manager's only secret, the record key, authenticates small objects of the own
/// bucket. The program does not contain the code that decrypts packets or prepared batches, or that
/// signs.
#[test]
fn the_scheduler_cannot_open_a_packet() {
    let scheduler = built("tallybox-workflow-manager");
    assert!(scheduler.contains("tallybox-transport"), "{scheduler:?}");
    for crypto in ["tallybox-crypto", "p256", "aes-gcm", "prio"] {
        assert!(!scheduler.contains(crypto), "{crypto}");
    }
    assert!(
        built("tallybox-facilitator").contains("tallybox-crypto"),
        "the check must be able to find a dependency"
    );
}

/// Returns what a check finds in these files of the project. The check gets the name and the text of
/// each.
fn found_in(files: &[PathBuf], check: impl Fn(&str, &str) -> Vec<String>) -> Vec<String> {
    let check_file = |path: &PathBuf| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        check(&name, &std::fs::read_to_string(path).unwrap())
    };
    files.iter().flat_map(check_file).collect()
}

/// Returns the places where a file switches planted faults.
fn fault_switches(name: &str, text: &str) -> Vec<String> {
    let is_switch = |line: &str| match name.ends_with(".toml") {
        true => line.split('=').next().map(str::trim) == Some("faults"),
        false => line.contains("fault::is_on"),
    };
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| is_switch(line))
        .map(|(number, line)| format!("{name}:{number}: {line}"))
        .collect()
}

/// The product has one implementation. Planted faults are patches for a copy of the sources, which
/// `scripts/planted-faults` builds for the simulation.
#[test]
fn no_product_crate_has_a_switch_for_planted_faults() {
    let mut all = files_below(&root());
    all.retain(|path| !path.starts_with(root().join("tests")));
    all.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("rs" | "toml"))
    });
    assert!(all.len() > 300, "only {} files", all.len());
    assert_eq!(found_in(&all, fault_switches), [""; 0]);
}

#[test]
fn the_check_for_switches_can_fail() {
    let patch = root().join("tests/simulation/faults/lost-carry.patch");
    let patch = std::fs::read_to_string(patch).unwrap();
    assert_eq!(fault_switches("gather.rs", &patch).len(), 1);
    let manifest = "[features]\nfaults = []\nno-faults = []\n";
    assert_eq!(fault_switches("Cargo.toml", manifest).len(), 1);
}

/// `ring` is in the lock file as an option of other packages. Cargo's resolver, unlike its
/// metadata, shows that it is built on no platform and with no feature of this workspace.
#[test]
fn there_is_one_crypto_library_under_tls() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--workspace",
            "--all-features",
            "--target",
            "all",
        ])
        .args([
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let built: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(
        built.contains("aws-lc-sys") && built.contains("rustls"),
        "{built:?}"
    );
    assert!(
        ["ring", "openssl-sys"]
            .iter()
            .all(|name| !built.contains(name)),
        "{built:?}"
    );
}

#[test]
fn every_locked_package_comes_from_crates_io() {
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let text = std::fs::read_to_string(root().join(lock)).unwrap();
        let sources: Vec<&str> = text.lines().filter(|line| line.contains("://")).collect();
        assert!(
            sources.len() > 100,
            "{lock} has only {} sources",
            sources.len()
        );
        let other_sources: Vec<_> = sources
            .into_iter()
            .filter(|line| *line != CRATES_IO)
            .collect();
        assert_eq!(other_sources, [""; 0], "{lock}");
    }
}

#[test]
fn a_crate_uses_only_crates_above_it() {
    let graph = Graph::load(&["--all-features"]);
    let layer = |name: &str| LAYERS.iter().position(|layer| *layer == short(name));
    for (id, package) in graph.members() {
        let own = layer(&package.name)
            .unwrap_or_else(|| panic!("{} is missing in the list LAYERS", package.name));
        for needed in graph.own_needs(id) {
            assert!(
                layer(&needed) < Some(own),
                "{} uses {needed}, which comes after it in the list LAYERS",
                package.name
            );
            let programs =
                PROGRAMS.contains(&short(&package.name)) && PROGRAMS.contains(&short(&needed));
            assert!(!programs, "program {} uses program {needed}", package.name);
        }
    }
}

/// Returns the forbidden texts, assembled here so that this file does not contain them.
fn forbidden() -> Vec<String> {
    let text = |parts: [&str; 2]| parts.concat();
    vec![
        text(["../sha", "red"]),
        text(["/wo", "rk/"]),
        text(["/ro", "ot/"]),
        text(["/ho", "me/"]),
        text(["index.crates.io", "-"]),
        text(["unwrap_or_else(|_| unreach", "able!"]),
    ]
}

#[test]
fn no_file_mentions_a_developers_machine() {
    let all = files_below(&root());
    assert!(all.len() > 100, "only {} files", all.len());
    let mut found = Vec::new();
    for path in &all {
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        for forbidden in forbidden()
            .iter()
            .filter(|forbidden| text.contains(*forbidden))
        {
            found.push(format!("{}: {forbidden}", path.display()));
        }
    }
    assert_eq!(found, [""; 0]);
}

/// Returns the problems of a source file.
fn faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let first = text.lines().find(|line| !line.starts_with("#!"));
    if !first.is_some_and(|line| line.starts_with("//!")) {
        faults.push(format!("{name} has no comment that describes its purpose"));
    }
    let (keyword, marker) = (["un", "safe"].concat(), ["TO", "DO"].concat());
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        // Neither the keyword itself nor an attribute that would allow it.
        if !UNSAFE_FILES.contains(&name)
            && words.any(|word| word == keyword || word == format!("{keyword}_code"))
        {
            faults.push(format!("{name}:{number} has {keyword} code"));
        }
        if line.contains(&marker) && !numbered(line, &marker) {
            faults.push(format!(
                "{name}:{number} has a work marker without an issue number"
            ));
        }
    }
    faults
}

/// Returns whether the marker has an issue number, as in `MARKER(#12)`.
fn numbered(line: &str, marker: &str) -> bool {
    let issue = line
        .split_once(&format!("{marker}(#"))
        .and_then(|(_, rest)| rest.split_once(')'));
    issue.is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

#[test]
fn every_file_says_what_it_is_for_and_none_is_risky() {
    let all = rust_files_below(&root());
    assert!(all.len() > 80, "only {} files", all.len());
    assert_eq!(found_in(&all, faults), [""; 0]);
}

#[test]
fn the_check_of_files_can_fail() {
    let bad = |line: &str| faults("a.rs", &format!("//! A file.\n{line}\n")).len();
    let (keyword, marker) = (["un", "safe"].concat(), ["TO", "DO"].concat());
    for form in ["{ }", "fn f() {}", "impl Send for A {}", "extern \"C\" {}"] {
        assert_eq!(bad(&format!("{keyword} {form}")), 1, "{form}");
    }
    assert_eq!(bad(&format!("#[allow({keyword}_code)]")), 1);
    assert_eq!(bad(&format!("// {marker}: later")), 1);
    assert_eq!(bad(&format!("// {marker}(#x): later")), 1);
    assert_eq!(bad(&format!("// {marker}(#12): later")), 0);
    assert_eq!(bad(&format!("// not {keyword}")), 0);
    assert_eq!(faults("a.rs", "fn main() {}\n").len(), 1);
    assert_eq!(faults("a.rs", "#![no_std]\n//! A file.\n").len(), 0);
}
