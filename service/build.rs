//! Passes the git commit of the source tree to the compiler, for `--version` and `build_info`.
//!
//! The environment variable `TALLYBOX_COMMIT` takes precedence; builds outside a checkout set it.
//! Otherwise the script runs git. Cargo runs the script again after each commit in release builds
//! only, because a new value compiles all programs again. A development build therefore appends `+`
//! to the commit: the sources are from that commit or a later one.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TALLYBOX_COMMIT");
    let given = env::var("TALLYBOX_COMMIT")
        .ok()
        .filter(|commit| !commit.is_empty());
    if let Some(commit) = given.or_else(commit_of_checkout) {
        println!("cargo::rustc-env=TALLYBOX_BUILD_COMMIT={commit}");
    }
}

/// Returns the commit of the checkout that contains this crate, or `None` without a checkout or
/// git.
fn commit_of_checkout() -> Option<String> {
    let output = git(&["--show-prefix", "--short=12", "HEAD"])?;
    // Another prefix means that the sources are part of the checkout of another project.
    let commit = output.strip_prefix("service/\n")?.trim().to_owned();
    if env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return Some(commit + "+");
    }
    let moves = git(&["--git-path", "logs/HEAD"])?;
    if Path::new(moves.trim()).exists() {
        println!("cargo::rerun-if-changed={}", moves.trim());
    }
    Some(commit)
}

/// Runs `git rev-parse` in the folder of this crate, where build scripts run, and returns its
/// output.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("rev-parse")
        .args(arguments)
        .output()
        .ok()?;
    output.status.success().then_some(())?;
    String::from_utf8(output.stdout).ok()
}
