//! Kills the facilitator at random times: repeated runs end in the same bytes.
//!
//! `TALLYBOX_BINARIES` is the folder of the programs; by default those that were built with this
//! test. `TALLYBOX_KILLS` changes the number of kills.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tallybox_tests::process::{binary, files};

struct World {
    folder: PathBuf,
    generated: Value,
}

impl World {
    fn command(&self, role: &str, what: &str) -> Command {
        let mut command = Command::new(binary("facilitator"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        command
            .arg("--config")
            .arg(self.folder.join(format!("{role}.yaml")))
            .arg("--json")
            .arg(what);
        command
            .arg("--aggregation")
            .arg(text(&self.generated["aggregation"]));
        if what == "aggregate" {
            let window = &self.generated["window"];
            command.args([
                "--start".to_owned(),
                text(&window["start"]),
                "--end".to_owned(),
                text(&window["end"]),
            ]);
        } else {
            let batch = &self.generated["batches"][0];
            command.args([
                "--date".to_owned(),
                text(&batch["date"]),
                "--batch".to_owned(),
                text(&batch["id"]),
            ]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs the intake of both roles and the aggregation of the first, each to its end.
    fn run(&self) {
        for (role, what) in [
            ("first", "intake-batch"),
            ("second", "intake-batch"),
            ("first", "aggregate"),
        ] {
            let status = self.command(role, what).status().unwrap();
            assert!(status.success(), "{role} {what}: {status}");
        }
    }

    fn empty_buckets(&self) {
        for bucket in [
            "own-first",
            "own-second",
            "validation-for-first",
            "validation-for-second",
            "sum-first",
        ] {
            let _ = std::fs::remove_dir_all(self.folder.join("buckets").join(bucket));
        }
    }

    fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        let buckets = self.folder.join("buckets");
        files(&buckets, &mut all, &buckets);
        all
    }
}

#[test]
fn fifty_kills_leave_nothing_that_a_rerun_does_not_heal() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("world");
    let generate = Command::new(binary("tallybox-sandbox"))
        .args([
            "generate",
            "--packets",
            "4000",
            "--bins",
            "8",
            "--seed",
            "7",
            "--quiet",
            "--dir",
        ])
        .arg(&folder)
        .stdout(Stdio::null())
        .status();
    assert!(generate.unwrap().success());
    let generated =
        serde_json::from_slice(&std::fs::read(folder.join("generated.json")).unwrap()).unwrap();
    let world = World { folder, generated };
    let start = Instant::now();
    world.run();
    let duration = start.elapsed();
    let reference = world.snapshot();
    let kills: u32 = std::env::var("TALLYBOX_KILLS").map_or(50, |text| text.parse().unwrap());
    let seed = std::process::id();
    println!("seed {seed}; a run without kills takes {duration:?}");
    let mut random = ChaCha20Rng::seed_from_u64(u64::from(seed));
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        assert!(round < 20 * kills, "commands end before they can be killed");
        // Start from an empty state in every fifth round, otherwise from the state that the last
        // kill left.
        if round % 5 == 0 {
            world.empty_buckets();
        }
        round += 1;
        for (role, what) in [
            ("first", "intake-batch"),
            ("second", "intake-batch"),
            ("first", "aggregate"),
        ] {
            let mut child = world.command(role, what).spawn().unwrap();
            std::thread::sleep(Duration::from_micros(
                random.random_range(0..duration.as_micros() as u64 / 3),
            ));
            let early = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            child.wait().unwrap();
            killed += u32::from(early);
        }
        if round % 5 == 4 {
            world.run();
            let now = world.snapshot();
            let names: Vec<_> = reference
                .keys()
                .chain(now.keys())
                .filter(|n| reference.get(*n) != now.get(*n))
                .collect();
            assert!(
                names.is_empty(),
                "after {killed} kills (seed {seed}) these differ: {names:?}"
            );
        }
    }
    world.run();
    assert!(
        world.snapshot() == reference,
        "after {killed} kills (seed {seed})"
    );
}
