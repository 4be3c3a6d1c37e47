//! Tests of determinism, of known sums, and of rejected options.

use std::collections::BTreeMap;
use std::sync::Arc;

use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::progress::no_progress;
use tallybox_service::clock::Clock;

use super::*;
use crate::layout::Layout;
use crate::portal;
use crate::roles::Setting;

fn options() -> GenerateOptions {
    GenerateOptions {
        packets: 40,
        batches: 2,
        bins: 8,
        seed: 5,
        points: Points::Pinned,
        aggregation: "bench".parse().unwrap(),
    }
}

async fn made(root: &Path, options: &GenerateOptions) -> GenerateSummary {
    generate(root, options, Output::new(true)).await.unwrap()
}

/// Reads every file below a directory, by relative path.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut left) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(
                    path.strip_prefix(root).unwrap().to_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    found
}

#[tokio::test]
async fn a_seed_gives_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two, other, per_packet] =
        ["one", "two", "other", "per-packet"].map(|name| directory.path().join(name));
    made(&one, &options()).await;
    made(&two, &options()).await;
    assert_eq!(files(&one), files(&two));
    assert_eq!(files(&one).len(), 2 * 2 * 3 + 2 * 6 + 2 + 3 + 3);
    made(
        &other,
        &GenerateOptions {
            seed: 6,
            ..options()
        },
    )
    .await;
    made(
        &per_packet,
        &GenerateOptions {
            points: Points::PerPacket,
            ..options()
        },
    )
    .await;
    assert_ne!(files(&one), files(&other));
    assert_ne!(files(&one), files(&per_packet));
}

#[tokio::test]
async fn true_sums_are_what_the_processors_come_to() {
    for points in [Points::Pinned, Points::PerPacket] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("new");
        let summary = made(
            &root,
            &GenerateOptions {
                points,
                ..options()
            },
        )
        .await;
        let text = fs::read_to_string(root.join("generated.json")).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, serde_json::to_value(&summary.generated).unwrap());
        assert_eq!(read["batches"][1]["date"], "2026/01/01/04/00");
        // The directory can be moved: its configuration files contain relative paths only.
        let copy = directory.path().join("moved");
        fs::rename(&root, &copy).unwrap();
        let world = World::create(directory.path().join("keys"), Some(5), points).unwrap();
        let world = World {
            layout: Layout::at(&copy),
            ..world
        };
        let setting = Setting::without_faults(&Clock::system());
        let processor = |role| setting.processor(&world.layout.config(role)).unwrap();
        let processors = Role::ALL.map(|role| Arc::new(processor(role)));
        for (processor, batch) in processors
            .iter()
            .flat_map(|one| summary.generated.batches.iter().map(move |b| (one, b)))
        {
            let name = BatchName {
                aggregation: "bench".parse().unwrap(),
                date: batch.date,
                id: batch.id,
            };
            let done = intake(processor, &name, no_progress()).await.unwrap();
            assert_eq!((done.packets_accepted, done.packets_rejected), (40, 0));
        }
        let window = schedule::window().unwrap();
        for processor in &processors {
            let task = AggregateTask {
                aggregation: "bench".parse().unwrap(),
                window,
                batches: Vec::new(),
                dry_run: false,
            };
            aggregate(processor, &task, no_progress()).await.unwrap();
        }
        let total = portal::total(&world, &"bench".parse().unwrap(), window)
            .await
            .unwrap();
        assert_eq!(
            (total.accepted, total.sums),
            (80, summary.generated.true_sums)
        );
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("new");
    for bad in [
        GenerateOptions {
            packets: 0,
            ..options()
        },
        GenerateOptions {
            batches: 0,
            ..options()
        },
        GenerateOptions {
            bins: 0,
            ..options()
        },
        GenerateOptions {
            bins: 1 << 20,
            ..options()
        },
        GenerateOptions {
            packets: 1 << 31,
            ..options()
        },
        GenerateOptions {
            packets: u64::MAX,
            ..options()
        },
    ] {
        let error = generate(&root, &bad, Output::new(true)).await.unwrap_err();
        assert!(matches!(error, Error::Setting(_)), "{error}");
        assert!(!root.exists());
    }
}
