//! Tests of the program as a process, on directories and the system clock, in a time zone other
//! than UTC.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::task::{QueueKind, Task, TaskName};
use tallybox_model::time::BatchTime;
use tallybox_transport::RecordKey;
use zeroize::Zeroizing;

const CONFIG: &str = "
instance: us-ca-example
role: first
buckets: { ingestion: ingestion, own: own, peer-validation-in: mailbox }
record-keys: [ { file: record.key } ]
queues: { intake: queues/intake, aggregate: queues/aggregate }
schedule: { period-minutes: 60, grace-minutes: 10, look-back-hours: 24, horizon-hours: 24, reenqueue-after-minutes: 5 }
serve: { operations: '127.0.0.1:0', poll-secs: 1 }
";

/// Writes a file that no other user may read.
fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("wm.yaml"), CONFIG).unwrap();
        let key = RecordKey::from_bytes(Zeroizing::new([7; 32]));
        write_secret(&folder.path().join("record.key"), &key.to_text());
        for bucket in ["ingestion", "own", "mailbox"] {
            std::fs::create_dir(folder.path().join(bucket)).unwrap();
        }
        Self { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_workflow-manager"));
        command
            .arg("--config")
            .arg(self.folder.path().join("wm.yaml"))
            .args(arguments)
            // The offset of this zone is not a whole number of hours, and it is beyond the date
            // line.
            .env("TZ", "Pacific/Chatham")
            .env("COLUMNS", "200")
            .env("NO_COLOR", "1")
            .env_remove("TALLYBOX_LOG")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let output = self.run(&arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn put(&self, bucket: &str, key: &str) {
        let path = self.folder.path().join(bucket).join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }

    fn ingest(&self, name: &BatchName) {
        let objects = name.ingestion();
        for key in [objects.packets, objects.header, objects.signature] {
            self.put("ingestion", &key);
        }
    }

    /// Adds a batch whose intake is done on both sides.
    fn both(&self, name: &BatchName) {
        self.ingest(name);
        self.put("mailbox", &name.validation(Role::Second).signature);
        self.put("own", &name.prepared("0123abcd"));
    }
}

fn hours_ago(hours: i64, number: u8) -> BatchName {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let now = BatchTime::from_millis(i64::try_from(now).unwrap()).unwrap();
    BatchName {
        aggregation: "kittens-seen".parse().unwrap(),
        date: now.plus_minutes(-60 * hours).unwrap(),
        id: BatchId::from_bytes([number; 16]),
    }
}

fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path) } else { 1 }
        })
        .sum()
}

fn kinds(value: &Value) -> Vec<&str> {
    let tasks = value.as_array().unwrap().iter();
    tasks.map(|task| task["kind"].as_str().unwrap()).collect()
}

#[test]
fn a_plan_writes_nothing_and_a_run_does_it_whatever_the_time_zone() {
    let world = World::new();
    let [old, new] = [hours_ago(3, 1), hours_ago(0, 2)];
    world.ingest(&old);
    world.both(&hours_ago(3, 3));
    world.ingest(&new);
    let before = files(world.folder.path());
    let plan = world.json(&["plan"]);
    assert_eq!(kinds(&plan["tasks"]), ["intake", "intake", "aggregate"]);
    assert_eq!(files(world.folder.path()), before);
    let text = String::from_utf8(world.run(&["plan"]).stdout).unwrap();
    assert!(
        text.contains("3 tasks would be started") && text.contains("the batch is complete"),
        "{text}"
    );

    let run = world.json(&["run-once"]);
    assert_eq!(kinds(&run["started"]), ["intake", "intake", "aggregate"]);
    assert!(kinds(&world.json(&["plan"])["tasks"]).is_empty());
    let status = world.json(&["status"]);
    let stages: Vec<&str> = status["windows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["started", "collecting"]);
    assert_eq!(status["queues"][0]["ready"], 2);
    assert_eq!(status["queues"][1]["ready"], 1);
    let text = String::from_utf8(world.run(&["status"]).stdout).unwrap();
    for phrase in [
        "kittens-seen",
        "aggregate started",
        "the intake started",
        "queue intake: 2 waiting",
    ] {
        assert!(text.contains(phrase), "{phrase} in {text}");
    }
}

#[test]
fn replay_starts_again_what_a_marker_holds_back() {
    let world = World::new();
    let name = hours_ago(3, 1);
    world.ingest(&name);
    world.both(&hours_ago(3, 2));
    world.json(&["run-once"]);
    let second_summary = world.json(&["replay", "batch", &name.to_string()]);
    assert_eq!(second_summary["started"][0]["attempt"], 2);
    let window = [
        "replay",
        "window",
        "--aggregation",
        "kittens-seen",
        "--start",
    ];
    let start = name.date.to_string();
    let second_summary = world.json(
        &window
            .iter()
            .copied()
            .chain([start.as_str()])
            .collect::<Vec<_>>(),
    );
    assert_eq!(second_summary["started"][0]["kind"], "aggregate");
    assert_eq!(second_summary["started"][0]["attempt"], 2);
    let nothing = world.run(&["replay", "batch", &hours_ago(3, 9).to_string()]);
    assert_eq!(nothing.status.code(), Some(3));
}

#[test]
fn backfill_is_dry_until_it_is_told() {
    let world = World::new();
    let name = hours_ago(24 * 40, 1);
    world.ingest(&name);
    world.both(&hours_ago(24 * 40, 2));
    assert!(
        kinds(&world.json(&["plan"])["tasks"]).is_empty(),
        "it is too old"
    );
    let [from, to] =
        [-120, 120].map(|minutes| name.date.plus_minutes(minutes).unwrap().to_string());
    let arguments = ["backfill", "--from", &from, "--to", &to];
    let before = files(world.folder.path());
    assert_eq!(
        kinds(&world.json(&arguments)["tasks"]),
        ["intake", "aggregate"]
    );
    assert_eq!(files(world.folder.path()), before);
    let arguments: Vec<&str> = arguments.into_iter().chain(["--yes"]).collect();
    assert_eq!(
        kinds(&world.json(&arguments)["started"]),
        ["intake", "aggregate"]
    );
}

#[tokio::test]
async fn rejected_tasks_are_shown_with_their_reasons_and_put_back_when_told() {
    use std::time::Duration;
    use tallybox_queue::QueuePlace;
    let world = World::new();
    for number in [1, 2] {
        world.ingest(&hours_ago(3, number));
    }
    world.json(&["run-once"]);
    let queue = QueuePlace::new("queues/intake")
        .open(world.folder.path())
        .unwrap();
    for reason in ["bad-signature", "unknown-key k2"] {
        let delivery = queue.receive(Duration::ZERO).await.unwrap().unwrap();
        queue.reject(&delivery, reason).await.unwrap();
    }
    let shown = world.json(&["replay", "rejected", "--queue", "intake"]);
    assert_eq!(
        (
            shown["messages"].as_array().unwrap().len(),
            &shown["replayed"]
        ),
        (2, &Value::from(0))
    );
    let second_summary = world.json(&["replay", "rejected", "--match", "unknown-key", "--yes"]);
    assert_eq!(
        (
            second_summary["messages"].as_array().unwrap().len(),
            &second_summary["replayed"]
        ),
        (1, &Value::from(1))
    );
    assert_eq!(second_summary["messages"][0]["reason"], "unknown-key k2");
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.ready, depth.rejected), (Some(1), Some(1)));
}

#[tokio::test]
async fn the_status_shows_what_is_rejected_until_it_is_done_or_dropped() {
    use std::time::Duration;
    use tallybox_queue::QueuePlace;
    let world = World::new();
    let [first, second, third] = [1, 2, 3].map(|number| hours_ago(3, number));
    for name in [&first, &second, &third] {
        world.ingest(name);
    }
    world.put("mailbox", &second.validation(Role::Second).signature);
    world.json(&["run-once"]);
    let queue = QueuePlace::new("queues/intake")
        .open(world.folder.path())
        .unwrap();
    for _ in 0..3 {
        let delivery = queue.receive(Duration::ZERO).await.unwrap().unwrap();
        // Several starts run concurrently, so their order is unknown.
        let task = Task::parse(QueueKind::Intake, &delivery.body).unwrap();
        if task.name != TaskName::Intake(third.clone()) {
            queue
                .reject(&delivery, "unknown-key: names key k2")
                .await
                .unwrap();
        }
    }
    let status = world.json(&["status"]);
    let field_texts = |status: &Value| -> Vec<(String, String, String)> {
        let batches = status["batches"].as_array().unwrap().iter();
        let field_text = |batch: &Value, field: &str| batch[field].as_str().unwrap().to_owned();
        batches
            .map(|batch| {
                (
                    field_text(batch, "stage"),
                    field_text(batch, "ours"),
                    field_text(batch, "peer"),
                )
            })
            .collect()
    };
    let row =
        |stage: &str, ours: &str, peer: &str| (stage.to_owned(), ours.to_owned(), peer.to_owned());
    assert_eq!(
        field_texts(&status),
        [
            row("rejected", "rejected", "silent"),
            row("rejected", "rejected", "validated"),
            row("started", "started", "silent")
        ]
    );
    assert_eq!(
        status["batches"][0]["rejected"],
        "unknown-key: names key k2"
    );
    assert!(status["batches"][0]["age-minutes"].as_i64().unwrap() >= 180);
    assert_eq!(
        (
            status["rejected"].as_array().unwrap().len(),
            &status["queues"][0]["rejected"]
        ),
        (2, &Value::from(2))
    );
    let text = String::from_utf8(world.run(&["status"]).stdout).unwrap();
    assert!(
        text.contains("an operator, `replay rejected`: unknown-key"),
        "{text}"
    );
    assert_eq!(
        queue.depth().await.unwrap().rejected,
        Some(2),
        "they stay where they are"
    );

    // The key was added, and a later attempt completed the intake.
    world.put("own", &first.prepared("0123abcd"));
    let status = world.json(&["status"]);
    assert_eq!(
        (
            status["rejected"].as_array().unwrap().len(),
            &status["queues"][0]["rejected"]
        ),
        (1, &Value::from(1))
    );
    assert_eq!(status["rejected"][0]["task"], second.to_string());
    let dropped = world.json(&["replay", "rejected", "--done", "--drop"]);
    assert_eq!(
        (&dropped["dropped"], &dropped["messages"][0]["task"]),
        (&Value::from(1), &Value::from(first.to_string()))
    );
    assert_eq!(queue.depth().await.unwrap().rejected, Some(1));
    world.json(&["replay", "rejected", "--drop"]);
    assert_eq!(queue.depth().await.unwrap().rejected, Some(0));
    assert_eq!(
        world
            .run(&["replay", "rejected", "--drop", "--yes"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn what_is_wrong_has_its_exit_code() {
    let world = World::new();
    assert_eq!(world.run(&["check-config"]).status.code(), Some(0));
    assert_eq!(world.run(&["announcement"]).status.code(), Some(3));
    assert_eq!(
        world
            .run(&[
                "backfill",
                "--from",
                "2026/01/02/00/00",
                "--to",
                "2026/01/01/00/00"
            ])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(world.run(&["dance"]).status.code(), Some(2));
    std::fs::write(
        world.folder.path().join("wm.yaml"),
        CONFIG.replace("60,", "0,"),
    )
    .unwrap();
    assert_eq!(world.run(&["check-config"]).status.code(), Some(2));
    let roster = format!("{CONFIG}roster: {{ since: 2026/01/01/00/00, peer: peer.json }}\n");
    std::fs::write(world.folder.path().join("wm.yaml"), roster).unwrap();
    let output = world.run(&["announcement"]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "{\"format\":1,\"roster\":{\"since\":\"2026/01/01/00/00\",\"until\":null}}\n"
    );
}

const POINT: &str =
    "BAIX5hfwtkQ5KCePlpmeaaI6TywVK99tbN9m5bgCgtTtGUp968uXcS0t2jyoWqh2Wlb0X8dYWZZS8ol8ZTBuV5Q=";

#[test]
fn packet_keys_are_announced_with_their_bins_and_none_twice() {
    let world = World::new();
    let write =
        |name: &str, text: &str| std::fs::write(world.folder.path().join(name), text).unwrap();
    write("five", &format!("{POINT}\n"));
    // The start of a private key of ENPA: the point, and 32 bytes more.
    write("private", &format!("{}{}\n", &POINT[..87], "A".repeat(45)));
    let with = |keys: &str| write("wm.yaml", &format!("{CONFIG}packet-keys: [{keys}]\n"));
    with("{ id: first-packet-5-1, bins: 5, file: five }");
    let output = world.run(&["announcement"]);
    let expected = format!(
        "{{\"format\":1,\"roster\":null,\"packet-keys\":[{{\"id\":\"first-packet-5-1\",\"bins\":5,\"public-key\":\"{POINT}\"}}]}}\n"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    for (keys, expected) in [
        (
            "{ id: a, bins: 5, file: five }, { id: a, bins: 9, file: five }",
            "5 bins and with 9",
        ),
        (
            "{ id: a, bins: 5, file: five }, { id: b, bins: 5, file: five }",
            "the same public key",
        ),
        ("{ id: a, bins: 0, file: five }", "bins of 1 or more"),
        (
            "{ id: a, bins: 5, file: private }",
            "public key of 65 bytes",
        ),
        ("{ id: a, bins: 5, file: nowhere }", "nowhere"),
        ("{ id: a, file: five }", "bins"),
    ] {
        with(keys);
        for command in ["announcement", "check-config"] {
            let output = world.run(&[command]);
            assert_eq!(output.status.code(), Some(2), "{keys}: {output:?}");
            let text = format!("{output:?}");
            assert!(text.contains(expected), "{keys}: {text}");
            assert!(
                !text.contains(&"A".repeat(45)),
                "nothing of the file is printed: {text}"
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn serve_looks_leads_and_ends_when_it_is_told() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let world = World::new();
    world.ingest(&hours_ago(3, 1));
    let mut child = world
        .command(&["serve", "--json", "--log", "info"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let started: Value = serde_json::from_str(&line).unwrap();
    let address = started["operations"]
        .as_str()
        .unwrap()
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let log_line = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.contains("run done"))
        .unwrap();
    assert!(log_line.contains("\"started\":1"), "{log_line}");
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(get("/readyz").starts_with("HTTP/1.1 200"));
    let metrics = get("/metrics");
    assert!(
        metrics.contains("workflow_manager_tasks_started_total{kind=\"intake\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("workflow_manager_leading 1"), "{metrics}");
    let killed = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn check_config_probes_buckets_and_compares_with_the_facilitator() {
    let world = World::new();
    let good = world.run(&["check-config", "--buckets"]);
    assert!(good.status.success(), "{good:?}");
    let text = String::from_utf8(good.stdout).unwrap();
    assert!(
        text.contains("list-from-bound") && text.contains("create-if-absent"),
        "{text}"
    );
    assert_eq!(
        files(&world.folder.path().join("own")),
        0,
        "probes leave nothing in the own bucket"
    );
    let file = world.folder.path().join("facilitator.yaml");
    let same = "
instance: us-ca-example
role: first
batch-signing-key: { id: not-looked-at, file: nowhere }
buckets: { ingestion: ingestion, own: own, peer-validation-in: mailbox, sum-parts: sums }
queues: { intake: queues/intake, aggregate: queues/aggregate }
";
    let compare = |text: &str| {
        std::fs::write(&file, text).unwrap();
        world.run(&["check-config", "--facilitator", file.to_str().unwrap()])
    };
    assert!(compare(same).status.success());
    for (from, to, message) in [
        (
            "role: first",
            "role: second",
            "role: first here, second at the facilitator",
        ),
        ("own: own", "own: other", "buckets.own"),
        (
            "intake: queues/intake",
            "intake: queues/other",
            "queues.intake",
        ),
        (
            "instance: us-ca-example",
            "instance: us-ca-example\nrosters: {}",
            "rosters",
        ),
    ] {
        let output = compare(&same.replace(from, to));
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{to}: {output:?}");
        assert!(
            text.contains("DIFFERS") && text.contains(message),
            "{to}: {text}"
        );
    }
    // A missing mount.
    std::fs::remove_dir(world.folder.path().join("mailbox")).unwrap();
    let missing = world.run(&["check-config", "--buckets"]);
    assert_eq!(missing.status.code(), Some(4), "{missing:?}");
    assert!(
        String::from_utf8(missing.stdout)
            .unwrap()
            .contains("mounted")
    );
}
