//! Runs the sandbox in its serving mode, which kills its own processes. Every acknowledged report
//! is counted once or reported as lost, and every window has two sum parts that can be added.
//!
//! `TALLYBOX_BINARIES` is as in `kill.rs`. `TALLYBOX_CHAOS_SECONDS` is the duration of the kills
//! (default 40; the project's target is 600). `TALLYBOX_CHAOS_SEED` repeats the random choices of a
//! run as far as timing permits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;
use std::process::{Command, Stdio};
use tallybox_tests::process::binary;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Runs the sandbox to its end. Returns the exit code and the output, one event for each line, with
/// the final audit last.
fn run(arguments: &[&str], seconds: u64, seed: u64) -> (Option<i32>, Vec<Value>) {
    let output = Command::new(binary("tallybox-sandbox"))
        .args([
            "--serve",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--debug-listen",
            "127.0.0.1:0",
        ])
        .args(arguments)
        .args(["--for", &seconds.to_string(), "--seed", &seed.to_string()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let report = events.last().unwrap();
    println!("{report:#}");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code(), events)
}

fn assert_good(code: Option<i32>, report: &Value) {
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(report["event"], "verdict");
    let bad = ["lost", "double", "unsummable", "wrong"].map(count);
    assert_eq!(
        (code, bad, &report["good"]),
        (Some(0), [0; 4], &true.into()),
        "{report:#}"
    );
    let explained = ["counted", "too-few", "given-up", "below-minimum"].map(count);
    assert_eq!(
        explained.iter().sum::<u64>(),
        report["reports"]["acknowledged"].as_u64().unwrap(),
        "{report:#}"
    );
}

#[test]
fn under_chaos_every_report_counts_once() {
    let (seconds, seed) = (
        number("TALLYBOX_CHAOS_SECONDS", 40),
        number("TALLYBOX_CHAOS_SEED", rand::random()),
    );
    println!("TALLYBOX_CHAOS_SEED={seed}");
    let (code, events) = run(&["--chaos"], seconds, seed);
    let report = events.last().unwrap();
    assert_good(code, report);
    let kills = events
        .iter()
        .filter(|event| event["event"] == "killed")
        .count() as u64;
    assert!(kills >= seconds / 4, "{kills} kills in {seconds} seconds");
    assert!(
        report["counted"].as_u64().unwrap() > 5 * seconds,
        "{report:#}"
    );
    assert!(report["windows"].as_u64().unwrap() > 4, "{report:#}");
}

#[test]
fn in_fine_weather_everything_is_in_one_process() {
    let (code, events) = run(&["--traffic", "30", "--packets", "100"], 8, 7);
    let report = events.last().unwrap();
    assert_good(code, report);
    assert!(report["counted"].as_u64().unwrap() > 150, "{report:#}");
    assert_eq!(report["processes"]["killed"], serde_json::json!({}));
    assert!(events.iter().any(|event| event["event"] == "state"));
    assert!(events.iter().any(|event| event["event"] == "summed"));
}
