//! Compares the help of the ingestor, the client, the portal and the sandbox with the committed
//! snapshots in `tests/help/`. `UPDATE_HELP=1 cargo nextest run -p tallybox-tests --test cli_help`
//! rewrites the snapshots.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use clap::{Command, CommandFactory as _};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/help")
}

/// Returns the help of a command and its subcommands on a terminal of 80 columns, by file name.
fn add(mut command: Command, name: &str, all: &mut BTreeMap<String, String>) {
    command = command.term_width(80);
    command.build();
    all.insert(
        format!("{name}.txt"),
        command.render_long_help().to_string(),
    );
    for inner in command
        .get_subcommands()
        .filter(|inner| inner.get_name() != "help" && !inner.is_hide_set())
    {
        add(inner.clone(), &format!("{name}-{}", inner.get_name()), all);
    }
}

fn all() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for command in [
        tallybox_ingestor::commands::Arguments::command(),
        tallybox_client::program::Cli::command(),
        tallybox_portal::commands::Arguments::command(),
        tallybox_sandbox::cli::Arguments::command(),
    ] {
        let name = command.get_name().to_owned();
        add(command, &name, &mut all);
    }
    all
}

#[test]
fn help_is_as_committed() {
    let (update, all) = (std::env::var_os("UPDATE_HELP").is_some(), all());
    let mut wrong = Vec::new();
    for (file, now) in &all {
        let path = folder().join(file);
        if update {
            std::fs::write(&path, now).unwrap();
        } else if std::fs::read_to_string(&path).ok().as_ref() != Some(now) {
            wrong.push(format!(
                "tests/help/{file} differs from the help that the program prints:\n{now}"
            ));
        }
    }
    let found = std::fs::read_dir(folder()).unwrap();
    let found = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    wrong.extend(
        found
            .filter(|file| !all.contains_key(file))
            .map(|file| format!("tests/help/{file} belongs to no command")),
    );
    assert!(
        wrong.is_empty(),
        "{}\nto rewrite the snapshots, set UPDATE_HELP=1",
        wrong.join("\n")
    );
}

#[test]
fn help_fits_a_narrow_terminal() {
    for (file, text) in all() {
        for line in text.lines() {
            let fits = line.chars().count() <= 80 || line.starts_with("Usage:");
            assert!(fits, "{file}: {line}");
        }
    }
}
