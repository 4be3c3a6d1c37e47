//! Runs the program as a process on ENPA's files: exit codes and JSON output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/testdata/vectors")
}

/// Restricts a file's permissions to its owner, as the program requires for secrets.
fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The first processor's files, in a temporary folder; the processor reads a copy of a case.
struct World {
    root: tempfile::TempDir,
    aggregation: String,
    date: String,
    batch: String,
}

impl World {
    fn new(case: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = vectors().join(case);
        let expected: Value =
            serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
        for (from, to) in [
            ("ingestion-pha", "ingestion"),
            ("validation-for-pha", "validation-in"),
        ] {
            copy(&folder.join(from), &root.path().join(to));
        }
        copy(&vectors().join("keys"), &root.path().join("keys"));
        let sealing = root.path().join("keys/sealing.b64");
        std::fs::write(sealing, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
        for file in std::fs::read_dir(root.path().join("keys")).unwrap() {
            restrict(&file.unwrap().path());
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let first = &expected["batches"][0];
        let (batch, date) = (text(&first[0]), text(&first[1]));
        let world = Self {
            root,
            aggregation: text(&expected["aggregation_id"]),
            date,
            batch,
        };
        world.configure(
            "points: per-packet\naccept-replay-risk: true\nminimum-contributions: 1\n",
            1,
        );
        world
    }

    /// Writes the configuration. `key` is the number of the packet key in it.
    fn configure(&self, more: &str, key: u32) {
        let text = format!(
            "instance: interop
role: first
packet-decryption-keys: [{{ id: pha-packet-{key}, file: keys/pha-packet-{key}.x963-private.b64 }}]
batch-signing-key: {{ id: pha-key-1, file: keys/pha-signing.pkcs8.b64 }}
prepared-sealing-key: {{ file: keys/sealing.b64 }}
buckets:
  ingestion: ingestion
  own: own
  peer-validation-in: validation-in
  peer-validation-out: validation-out
  sum-parts: sums
ingestor-public-keys: {{ ingestor-key-1: keys/ingestor-signing.spki.pem }}
peer-public-keys: {{ facilitator-key-1: keys/facilitator-signing.spki.pem }}
{more}"
        );
        std::fs::write(self.root.path().join("first.yaml"), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let output = Command::new(env!("CARGO_BIN_EXE_facilitator"))
            .arg("--config")
            .arg(self.root.path().join("first.yaml"))
            .arg("--json")
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let json =
            serde_json::from_str(text.lines().last().unwrap_or("null")).unwrap_or(Value::Null);
        assert!(
            text.lines().count() <= 1,
            "expected one line of JSON: {text}"
        );
        (output.status.code().expect("no signal"), json)
    }

    fn intake(&self) -> (i32, Value) {
        let batch = [
            "--aggregation",
            &self.aggregation,
            "--date",
            &self.date,
            "--batch",
            &self.batch,
        ];
        self.run(&[&["intake-batch"][..], &batch].concat())
    }

    fn aggregate(&self, more: &[&str]) -> (i32, Value) {
        let window = [
            "--start",
            "2023/11/14/22/00",
            "--end",
            "2023/11/14/23/00",
            "--aggregation",
            &self.aggregation,
        ];
        self.run(&[&["aggregate"][..], &window, more].concat())
    }

    fn object(&self, bucket: &str, suffix: &str) -> PathBuf {
        let folder = self
            .root
            .path()
            .join(bucket)
            .join(&self.aggregation)
            .join(&self.date);
        folder.join(format!("{}.{suffix}", self.batch))
    }

    /// Returns the names of the prepared batches in the own bucket.
    fn prepared(&self) -> Vec<PathBuf> {
        let folder = self
            .root
            .path()
            .join("own")
            .join(&self.aggregation)
            .join(&self.date);
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|end| end == "prepared"))
            .collect()
    }

    fn has_sums(&self) -> bool {
        self.root.path().join("sums/interop").exists()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).into_iter().flatten() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::write(target, std::fs::read(path).unwrap()).unwrap();
        }
    }
}

fn outcome(answer: &(i32, Value)) -> (i32, &str, &str) {
    (
        answer.0,
        answer.1["outcome"].as_str().unwrap_or(""),
        answer.1["reason"].as_str().unwrap_or(""),
    )
}

#[test]
fn done_is_0_also_the_second_time() {
    let world = World::new("dim2");
    for done_before in [false, true] {
        let (code, summary) = world.intake();
        assert_eq!(
            (code, &summary["done-before"]),
            (0, &Value::Bool(done_before))
        );
        assert_eq!(
            (&summary["packets-read"], &summary["packets-accepted"]),
            (&20.into(), &20.into())
        );
    }
    for done_before in [false, true] {
        let (code, summary) = world.aggregate(&[]);
        assert_eq!(
            (code, &summary["done-before"], &summary["packets-accepted"]),
            (0, &done_before.into(), &20.into())
        );
    }
    assert!(world.has_sums());
}

#[test]
fn a_dry_run_sums_and_writes_no_sum_part() {
    let world = World::new("dim2");
    let (code, summary) = world.aggregate(&["--dry-run"]);
    assert_eq!(
        (code, &summary["dry-run"], &summary["packets-accepted"]),
        (0, &true.into(), &20.into())
    );
    assert_eq!(summary["sum"].as_array().unwrap().len(), 2);
    assert!(!world.has_sums());
}

#[test]
fn usage_and_configuration_are_2() {
    let world = World::new("dim2");
    assert_eq!(world.run(&["intake-batch"]).0, 2);
    assert_eq!(world.run(&["no-such-command"]).0, 2);
    assert_eq!(world.aggregate(&["--end", "2023/11/14/21/00"]).0, 2);
    assert_eq!(
        world
            .aggregate(&[
                "--batch",
                "2023/11/14/23/30/00000002-0001-4000-8000-0000000007d1"
            ])
            .0,
        2
    );
    world.configure("no-such-key: 1\n", 1);
    assert_eq!(outcome(&world.intake()), (2, "usage", "config"));
    world.configure("", 7);
    let answer = world.intake();
    assert_eq!(outcome(&answer), (2, "usage", "config"));
    assert!(
        answer.1["message"]
            .as_str()
            .unwrap()
            .contains("pha-packet-7"),
        "{answer:?}"
    );
}

#[test]
fn what_never_will_succeed_is_3() {
    let cases = [
        ("bad/bad-signature", "bad-signature"),
        ("bad/bad-digest", "bad-digest"),
        ("bad/unknown-key-id", "unknown-key"),
        ("bad/empty-batch", "empty-batch"),
        ("bad/bins-zero", "bins"),
        ("bad/other-prime", "other-prime"),
    ];
    for (case, reason) in cases {
        let world = World::new(case);
        assert_eq!(outcome(&world.intake()), (3, "rejected", reason), "{case}");
        let sum = world.aggregate(&[]);
        assert_eq!(outcome(&sum), (3, "rejected", reason), "{case}");
        assert_eq!(sum.1["batches"][0]["reason"], reason, "{case}");
        assert!(!world.has_sums());
        assert!(
            !world.object("validation-out", "validity_0.sig").exists(),
            "{case}: nothing is published"
        );
    }
}

#[test]
fn what_is_not_there_yet_is_4() {
    let world = World::new("dim2");
    std::fs::remove_file(world.object("validation-in", "validity_1.sig")).unwrap();
    assert_eq!(outcome(&world.aggregate(&[])), (4, "retry", "not-there"));
    let batch = format!("{}/{}", world.date, world.batch);
    assert_eq!(
        outcome(&world.aggregate(&["--batch", &batch])),
        (4, "retry", "not-there")
    );
    let world = World::new("dim2");
    std::fs::remove_file(world.object("ingestion", "batch.avro")).unwrap();
    assert_eq!(outcome(&world.intake()), (4, "retry", "incomplete"));
    std::fs::remove_file(world.object("ingestion", "batch.sig")).unwrap();
    assert_eq!(outcome(&world.intake()), (4, "retry", "not-there"));
    assert_eq!(
        outcome(&world.aggregate(&[])).0,
        4,
        "a window of no batch at all"
    );
    assert_eq!(
        outcome(&world.aggregate(&["--batch", &batch])),
        (4, "retry", "not-there")
    );
}

#[test]
fn a_key_that_has_not_reached_us_is_4_and_nothing_is_published() {
    let world = World::new("dim2");
    // The configuration has only a key to which no packet is sealed.
    world.configure(
        "points: per-packet\naccept-replay-risk: true\nminimum-contributions: 1\n",
        2,
    );
    let first = world.intake();
    world.configure(
        "points: per-packet\naccept-replay-risk: true\nminimum-contributions: 1\n",
        1,
    );
    let second = world.intake();
    assert_eq!(
        [outcome(&first), outcome(&second)],
        [(4, "retry", "no-key"), (0, "", "")]
    );
    assert!(world.object("validation-out", "validity_0.sig").exists());
}

/// The configured file of a packet key does not match its id: every packet names the key, and no
/// packet can be decrypted.
#[test]
fn a_wrong_key_consumes_no_batch() {
    let world = World::new("dim2");
    let good = std::fs::read(world.root.path().join("keys/pha-packet-1.x963-private.b64")).unwrap();
    let other =
        std::fs::read(world.root.path().join("keys/pha-packet-2.x963-private.b64")).unwrap();
    let key = |bytes: &[u8]| {
        std::fs::write(
            world.root.path().join("keys/pha-packet-1.x963-private.b64"),
            bytes,
        )
    };
    key(&other).unwrap();
    let refused = world.intake();
    // Packets that do not name the key are reported as `no-key`, others as `wrong-key`. Both are
    // retried.
    assert_eq!(
        (refused.0, refused.1["outcome"].as_str()),
        (4, Some("retry")),
        "{refused:?}"
    );
    assert!(!world.object("validation-out", "validity_0.sig").exists());
    assert!(world.prepared().is_empty());
    key(&good).unwrap();
    assert_eq!(world.intake().1["packets-accepted"], 20);
}

/// The header's bins are wrong, so that no share has the expected length. An operator confirms that
/// the batch is at fault.
#[test]
fn a_batch_that_is_at_fault_is_taken_in_on_request() {
    let world = World::new("bad/bins-wrong");
    let refused = world.intake();
    assert_eq!(outcome(&refused), (4, "retry", "wrong-key"));
    assert!(
        refused.1["message"]
            .as_str()
            .unwrap()
            .contains("20 bad-share"),
        "{refused:?}"
    );
    assert!(
        !world.object("validation-out", "validity_0.sig").exists() && world.prepared().is_empty()
    );
    let batch = [
        "--date",
        &world.date,
        "--batch",
        &world.batch,
        "--accept-rejections",
    ];
    let accepted = world.run(
        &[
            &["intake-batch", "--aggregation", &world.aggregation][..],
            &batch,
        ]
        .concat(),
    );
    assert_eq!(
        (accepted.0, &accepted.1["packets-rejected"]),
        (0, &20.into())
    );
    assert!(world.object("validation-out", "validity_0.sig").exists());
    assert_eq!(world.intake().0, 0, "a completed intake stays complete");
}

#[test]
fn other_bytes_in_our_place_are_5() {
    let world = World::new("dim2");
    let object = world.object("validation-out", "validity_0");
    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
    std::fs::write(&object, "something else").unwrap();
    let answer = world.intake();
    assert_eq!(outcome(&answer), (5, "conflict", "conflict"));
    assert_eq!(std::fs::read(&object).unwrap(), b"something else");
}

#[test]
fn too_few_packets_are_6() {
    let world = World::new("dim2");
    world.configure("points: per-packet\naccept-replay-risk: true\n", 1);
    let answer = world.aggregate(&[]);
    assert_eq!(outcome(&answer), (6, "below-minimum", "below-minimum"));
    assert!(
        answer.1["message"]
            .as_str()
            .unwrap()
            .contains("minimum of 100"),
        "{answer:?}"
    );
    // The window has 20 accepted packets.
    for (minimum, exit) in [(21, 6), (20, 0)] {
        assert!(!world.has_sums());
        world.configure(
            &format!(
                "points: per-packet\naccept-replay-risk: true\nminimum-contributions: {minimum}\n"
            ),
            1,
        );
        assert_eq!(world.aggregate(&[]).0, exit, "minimum of {minimum}");
    }
    // An operator confirms that the batch is at fault, and none of its packets is accepted.
    let world = World::new("bad/bins-wrong");
    let batch = [
        "--date",
        &world.date,
        "--batch",
        &world.batch,
        "--accept-rejections",
    ];
    world.run(
        &[
            &["intake-batch", "--aggregation", &world.aggregation][..],
            &batch,
        ]
        .concat(),
    );
    assert_eq!(
        outcome(&world.aggregate(&[])),
        (6, "below-minimum", "no-accepted-packet"),
        "none is accepted"
    );
}

/// Two of twenty packets have an invalid proof.
#[test]
fn a_window_of_which_too_much_does_not_count_is_7_until_it_is_released() {
    let world = World::new("bad/invalid-proof");
    let configure = |more: &str| {
        world.configure(
            &format!(
                "points: per-packet\naccept-replay-risk: true\nminimum-contributions: 1\n{more}"
            ),
            1,
        )
    };
    configure("maximum-rejected-share: 0.09\n");
    let mark = format!(
        "own/windows/{}/202311142200-202311142300.held",
        world.aggregation
    );
    let dry = world.aggregate(&["--dry-run"]);
    assert_eq!(outcome(&dry), (7, "held", "held"));
    assert!(!world.root.path().join(&mark).exists());
    let held = world.aggregate(&[]);
    assert_eq!(outcome(&held), (7, "held", "held"));
    assert!(
        held.1["message"].as_str().unwrap().contains("2 of 20"),
        "{held:?}"
    );
    assert!(!world.has_sums() && world.root.path().join(&mark).exists());
    assert_eq!(outcome(&world.aggregate(&[])).0, 7, "again");
    let released = world.aggregate(&["--accept-rejections"]);
    assert_eq!(
        (released.0, &released.1["packets-accepted"]),
        (0, &18.into())
    );
    assert_eq!(released.1["rejections"]["rejected"], 2);
    assert!(world.has_sums());
    assert_eq!(world.aggregate(&[]).0, 0, "a release stays in force");
    for (limits, code) in [
        ("maximum-rejected-share: 0.1\n", 0),
        (
            "maximum-rejected-share-by-metric: { org.example.bad.invalid-proof: 0.09 }\n",
            7,
        ),
        (
            "maximum-rejected-share: 0.09\nmaximum-rejected-share-by-metric: { org.example.bad.invalid-proof: 1 }\n",
            0,
        ),
        ("maximum-rejected-share: 0\n", 2),
        ("maximum-rejected-share: 1.1\n", 2),
        ("maximum-rejected-share-by-metric: { a: .nan }\n", 2),
    ] {
        let world = World::new("bad/invalid-proof");
        world.configure(
            &format!(
                "points: per-packet\naccept-replay-risk: true\nminimum-contributions: 1\n{limits}"
            ),
            1,
        );
        assert_eq!(world.aggregate(&[]).0, code, "{limits}");
    }
}

#[test]
fn check_config_says_what_is_configured_and_no_secret() {
    let world = World::new("dim2");
    let (code, summary) = world.run(&["check-config"]);
    assert_eq!(
        (code, &summary["instance"], &summary["role"]),
        (0, &"interop".into(), &"first".into())
    );
    let text = summary.to_string();
    for file in [
        "pha-packet-1.x963-private.b64",
        "pha-signing.pkcs8.b64",
        "sealing.b64",
    ] {
        let secret = std::fs::read_to_string(world.root.path().join("keys").join(file)).unwrap();
        assert!(!text.contains(&secret.trim()[..20]), "{file}");
    }
}

#[test]
fn a_task_of_a_job_is_done_as_a_worker_does_it() {
    let world = World::new("dim8");
    let task = |batch: &str| {
        format!(
            r#"{{"trace-id":"11111111-2222-4333-8444-555555555555","aggregation-id":"{}","batch-id":"{batch}","date":"{}"}}"#,
            world.aggregation, world.date
        )
    };
    let (good, absent) = (
        task(&world.batch),
        task("01010101-0101-0101-0101-010101010101"),
    );
    let run = |index: &str, task: &str| {
        let answer = world.run(&["run-task", "intake", "no task", task, "--index", index]);
        (
            answer.0,
            answer.1["outcome"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(run("1", &good), (0, "done".to_owned()));
    assert_eq!(run("1", &good), (0, "done".to_owned()), "again");
    assert_eq!(run("1", &absent), (4, "retry".to_owned()));
    assert_eq!(run("0", &good), (3, "rejected".to_owned()));
    assert_eq!(run("2", &good), (2, "usage".to_owned()));
}

#[test]
fn keys_in_the_wrong_place_are_refused() {
    let world = World::new("dim2");
    let good = std::fs::read_to_string(world.root.path().join("first.yaml")).unwrap();
    for (from, to, expected) in [
        (
            "ingestor-key-1: keys/ingestor-signing.spki.pem",
            "ingestor-key-1: keys/ingestor-signing.pkcs8.b64",
            "key is private where a public key belongs",
        ),
        (
            "facilitator-key-1: keys/facilitator-signing.spki.pem",
            "facilitator-key-1: keys/ingestor-signing.spki.pem",
            "ingestor public key \"ingestor-key-1\" and peer public key \"facilitator-key-1\" are the same key pair",
        ),
        (
            "facilitator-key-1: keys/facilitator-signing.spki.pem",
            "facilitator-key-1: keys/pha-signing.spki.pem",
            "batch signing key of ours",
        ),
        (
            "file: keys/pha-signing.pkcs8.b64",
            "file: keys/pha-packet-1.x963-private.b64",
            "cannot be used as batch signing key",
        ),
        (
            "minimum-contributions: 1",
            "minimum-contributions: 0",
            "must be at least 1",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        std::fs::write(world.root.path().join("first.yaml"), good.replace(from, to)).unwrap();
        let (code, json) = world.run(&["check-config"]);
        let text = json.to_string().replace("\\\"", "\"");
        assert_eq!(code, 2, "{to}: {json}");
        assert!(text.contains(expected), "{to}: {text}");
    }
}

#[test]
fn a_key_that_every_user_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new("dim2");
    for file in [
        "pha-packet-1.x963-private.b64",
        "pha-signing.pkcs8.b64",
        "sealing.b64",
    ] {
        let path = world.root.path().join("keys").join(file);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (code, json) = world.run(&["check-config"]);
        assert_eq!(code, 2, "{file}: {json}");
        assert!(json.to_string().contains("chmod o-rwx"), "{file}: {json}");
        restrict(&path);
    }
    assert_eq!(world.run(&["check-config"]).0, 0);
}
