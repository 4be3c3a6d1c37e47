//! A queue in a directory whose publishers and workers are killed at random moments. No message may
//! be lost, and acknowledged messages must not be delivered again.
//!
//! `TALLYBOX_KILLS` sets the number of kills, `TALLYBOX_KILL_SEED` their moments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tallybox_queue::{DirectoryQueue, QueueError, TaskQueue as _};

/// A short lease, so that the leases of killed workers expire while others still work.
const LEASE: Duration = Duration::from_millis(400);
const PUBLISHERS: usize = 2;
const WORKERS: usize = 3;

/// The history of a message according to the logs of the child processes. Each line is written
/// before or after a step, never during it.
#[derive(Default)]
struct Logged {
    published: u32,
    /// A child was about to acknowledge or reject the message.
    tried: bool,
    acked: u32,
    rejected: u32,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn no_message_is_lost_and_what_was_acknowledged_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let seed = number("TALLYBOX_KILL_SEED", rand::random::<u32>().into());
    println!("TALLYBOX_KILL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut started = 0;
    let mut start = |index: usize| {
        started += 1;
        let role = if index < PUBLISHERS {
            "publisher"
        } else {
            "worker"
        };
        spawn(root.path(), role, started)
    };
    let mut children: Vec<Child> = (0..PUBLISHERS + WORKERS).map(&mut start).collect();
    for _ in 0..number("TALLYBOX_KILLS", 120) {
        std::thread::sleep(Duration::from_millis(random.random_range(5..60)));
        let index = random.random_range(0..children.len());
        assert!(
            children[index].try_wait().unwrap().is_none(),
            "a child ended without being killed"
        );
        end(&mut children[index]);
        children[index] = start(index);
    }
    children.iter_mut().for_each(end);
    let logged = logged(root.path());
    let (left, aside) = runtime().block_on(drained(root.path()));
    judge(&logged, &left, &aside);
}

fn judge(logged: &BTreeMap<String, Logged>, left: &[String], aside: &[String]) {
    let count = |all: &[String], id: &String| all.iter().filter(|other| *other == id).count();
    let (mut acked, mut rejected) = (0, 0);
    for (id, logged) in logged {
        let (left, aside) = (count(left, id), count(aside, id));
        assert!(
            left + aside <= 1,
            "{id} is there {left} times, and {aside} times aside"
        );
        if logged.acked > 0 {
            assert_eq!(
                (logged.acked, left, aside),
                (1, 0, 0),
                "{id} was acknowledged and is there"
            );
        }
        if logged.rejected > 0 {
            assert_eq!((logged.acked, left, aside), (0, 0, 1), "{id} was rejected");
        }
        let there = left + aside > 0 || logged.tried;
        assert!(
            logged.published == 0 || there,
            "{id} was published and is lost"
        );
        acked += logged.acked;
        rejected += logged.rejected;
    }
    let unknown = left
        .iter()
        .chain(aside)
        .filter(|id| !logged.contains_key(*id))
        .count();
    println!(
        "{} published, {acked} acked, {rejected} rejected, {} left",
        logged.len(),
        left.len()
    );
    // Messages whose publisher was killed between publishing and logging; there are at most as many
    // as kills.
    assert!(unknown <= 200, "{unknown} messages without a publisher");
    assert!(
        acked > 20 && rejected > 0,
        "too little was done to mean anything"
    );
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn spawn(root: &Path, role: &str, number: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("TALLYBOX_KILL_ROOT", root)
        .env("TALLYBOX_KILL_ROLE", role)
        .env("TALLYBOX_KILL_NUMBER", number.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn end(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Returns the messages in the queue and among the rejected ones, after all leases have expired.
async fn drained(root: &Path) -> (Vec<String>, Vec<String>) {
    std::thread::sleep(LEASE);
    let queue = DirectoryQueue::new(root.join("tasks"), Duration::from_secs(600));
    let mut all = [Vec::new(), Vec::new()];
    for (index, queue) in [queue.clone(), queue.rejected()].into_iter().enumerate() {
        while let Some(delivery) = queue.receive(LEASE).await.unwrap() {
            assert_eq!(delivery.reason.is_some(), index == 1, "{delivery:?}");
            all[index].push(String::from_utf8(delivery.body.to_vec()).unwrap());
            queue.ack(&delivery.lease).await.unwrap();
        }
        let depth = queue.depth().await.unwrap();
        assert_eq!((depth.ready, depth.held), (Some(0), Some(0)));
    }
    let [left, aside] = all;
    (left, aside)
}

fn logged(root: &Path) -> BTreeMap<String, Logged> {
    let mut all: BTreeMap<String, Logged> = BTreeMap::new();
    for entry in std::fs::read_dir(root.join("logs")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        // A kill may truncate a line; an incomplete line is ignored.
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            let (what, id) = line.trim_end().split_once(' ').unwrap();
            let logged = all.entry(id.to_owned()).or_default();
            match what {
                "published" => logged.published += 1,
                "trying" => logged.tried = true,
                "acked" => logged.acked += 1,
                "rejected" => logged.rejected += 1,
                other => panic!("{other}"),
            }
        }
    }
    all
}

/// One of the processes that are killed. The test above starts it; it is never started by hand.
#[test]
#[ignore = "a part of the other test"]
fn child() {
    let text = |name: &str| std::env::var(name).unwrap();
    let (root, number) = (
        PathBuf::from(text("TALLYBOX_KILL_ROOT")),
        text("TALLYBOX_KILL_NUMBER"),
    );
    std::fs::create_dir_all(root.join("logs")).unwrap();
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(root.join("logs").join(&number));
    let queue = DirectoryQueue::new(root.join("tasks"), LEASE);
    let log = log.unwrap();
    let work = async {
        match text("TALLYBOX_KILL_ROLE").as_str() {
            "publisher" => publish(&queue, log, &number).await,
            _ => work(&queue, log).await,
        }
    };
    runtime().block_on(work);
}

/// Writes a line with a single write, which the kernel preserves even if the process is killed.
fn write_line(log: &mut File, what: &str, id: &str) {
    log.write_all(format!("{what} {id}\n").as_bytes()).unwrap();
}

async fn publish(queue: &DirectoryQueue, mut log: File, number: &str) {
    for n in 0.. {
        let id = format!("{number}-{n}");
        queue.publish(id.clone().into()).await.unwrap();
        write_line(&mut log, "published", &id);
    }
}

async fn work(queue: &DirectoryQueue, mut log: File) {
    loop {
        let Some(delivery) = queue.receive(Duration::from_secs(1)).await.unwrap() else {
            continue;
        };
        let id = String::from_utf8(delivery.body.to_vec()).unwrap();
        let lease = &delivery.lease;
        let done = match rand::random_range(0..10) {
            0 => queue.nack(lease, Duration::ZERO).await,
            1 => queue.nack(lease, LEASE / 4).await,
            2 => queue.extend(lease, LEASE).await,
            3 => {
                write_line(&mut log, "trying", &id);
                let done = queue.reject(&delivery, "it was its turn").await;
                done.inspect(|()| write_line(&mut log, "rejected", &id))
            }
            _ => {
                write_line(&mut log, "trying", &id);
                let done = queue.ack(lease).await;
                done.inspect(|()| write_line(&mut log, "acked", &id))
            }
        };
        assert!(
            matches!(done, Ok(()) | Err(QueueError::LeaseLost { .. })),
            "{done:?}"
        );
    }
}
