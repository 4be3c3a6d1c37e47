//! Tells the compiler which commit the programs are built from.
//!
//! `TALLYBOX_COMMIT` of the environment counts, for builds outside a checkout. Otherwise git is asked. A release build
//! asks again after each commit; a development build does not, since that would compile all programs again, so it marks
//! the commit with `+`: that one, or a later one.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TALLYBOX_COMMIT");
    let given = env::var("TALLYBOX_COMMIT").ok().filter(|commit| !commit.is_empty());
    if let Some(commit) = given.or_else(of_checkout) {
        println!("cargo::rustc-env=TALLYBOX_BUILD_COMMIT={commit}");
    }
}

/// The commit of the checkout that holds this crate; none outside one, or without git.
fn of_checkout() -> Option<String> {
    let said = git(&["--show-prefix", "--short=12", "HEAD"])?;
    // Another prefix: the sources stand in the checkout of another project.
    let commit = said.strip_prefix("service/\n")?.trim().to_owned();
    if env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return Some(commit + "+");
    }
    let moves = git(&["--git-path", "logs/HEAD"])?;
    if Path::new(moves.trim()).exists() {
        println!("cargo::rerun-if-changed={}", moves.trim());
    }
    Some(commit)
}

/// What `git rev-parse` answers in the folder of this crate, where build scripts run.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("rev-parse").args(arguments).output().ok()?;
    output.status.success().then_some(())?;
    String::from_utf8(output.stdout).ok()
}
