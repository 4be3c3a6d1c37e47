//! Compares the help of every command with the committed snapshots in `tests/help/`. `UPDATE_HELP=1
//! cargo nextest run -p tallybox-facilitator cli_help` rewrites the snapshots.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use clap::CommandFactory as _;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tallybox_facilitator::commands::Arguments;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/help")
}

/// Returns the command lines of all commands; the empty one, of the program itself, comes first.
fn commands() -> Vec<Vec<String>> {
    fn add(command: &clap::Command, path: &[String], all: &mut Vec<Vec<String>>) {
        all.push(path.to_vec());
        for inner in command
            .get_subcommands()
            .filter(|inner| inner.get_name() != "help")
        {
            let path = path
                .iter()
                .cloned()
                .chain([inner.get_name().to_owned()])
                .collect::<Vec<_>>();
            add(inner, &path, all);
        }
    }
    let mut all = Vec::new();
    add(&Arguments::command(), &[], &mut all);
    all
}

fn file_name(command: &[String]) -> String {
    if command.is_empty() {
        "facilitator.txt".to_owned()
    } else {
        format!("facilitator-{}.txt", command.join("-"))
    }
}

/// Returns what the program prints on a terminal of 80 columns.
fn help(command: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_facilitator"))
        .args(command)
        .arg("--help")
        .env("COLUMNS", "80")
        .env("NO_COLOR", "1")
        .env_remove("TALLYBOX_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{command:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_is_as_committed() {
    let update = std::env::var_os("UPDATE_HELP").is_some();
    let mut wrong = Vec::new();
    for command in commands() {
        let (path, now) = (folder().join(file_name(&command)), help(&command));
        if update {
            std::fs::write(&path, &now).unwrap();
        } else if std::fs::read_to_string(&path).ok().as_ref() != Some(&now) {
            wrong.push(format!(
                "tests/help/{} differs from the help that the program prints:\n{now}",
                file_name(&command)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nto rewrite the snapshots, set UPDATE_HELP=1",
        wrong.join("\n")
    );
}

#[test]
fn no_help_is_left_of_a_command_that_is_gone() {
    let expected: BTreeSet<String> = commands()
        .iter()
        .map(|command| file_name(command))
        .collect();
    let found = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn help_fits_a_narrow_terminal_and_teaches() {
    for command in commands() {
        let text = help(&command);
        for line in text.lines() {
            let fits = line.chars().count() <= 80 || line.starts_with("Usage:");
            assert!(fits, "{command:?}: {line}");
        }
        assert!(text.contains("Usage: facilitator"), "{command:?}");
    }
}

#[test]
fn the_version_names_commit_and_features() {
    let output = Command::new(env!("CARGO_BIN_EXE_facilitator"))
        .arg("--version")
        .output()
        .unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    let expected = format!("facilitator {} (commit ", env!("CARGO_PKG_VERSION"));
    assert!(
        version.starts_with(&expected) && version.contains(", features "),
        "{version}"
    );
    assert_eq!(
        version.contains("cloud"),
        cfg!(feature = "cloud"),
        "{version}"
    );
}
