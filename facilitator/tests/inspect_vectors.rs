//! Runs `inspect` on all files that ENPA wrote, and on all files that this project's processors
//! write from them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::{code, files, run, side, stdout, vectors, write_config};
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::config::Config;
use tallybox_facilitator::inspect::{InspectionReport, Inspector, ObjectFinding, Target};
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_model::path::{BatchKind, OwnObject, possible_keys};
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_service::chart::Screen;
use tallybox_service::exit::Exit;

fn processor(config: &Path) -> Arc<Processor> {
    let config = tallybox_service::config::load::<Config>(config).unwrap();
    Arc::new(Processor::open(&config).unwrap())
}

async fn inspect(inspector: &Inspector, path: &Path) -> InspectionReport {
    let target = Target::locate(path.to_str().unwrap(), None).unwrap();
    let report = inspector
        .inspect(&target)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = report.lay_out(Screen::plain());
    assert!(!text.is_empty() && !text.contains('\u{1b}'));
    serde_json::to_string(&report).unwrap();
    report
}

fn reasons(report: &InspectionReport) -> Vec<&'static str> {
    report
        .found
        .iter()
        .flat_map(|finding| &finding.problems)
        .map(|problem| problem.reason)
        .collect()
}

/// The expected problems of ENPA's invalid cases, as far as they are visible without decrypting a
/// packet. All other files are valid.
fn expected_reasons(path: &Path) -> Vec<&'static str> {
    let text = path.to_str().unwrap();
    let pha = text.contains("/ingestion-pha/");
    match text {
        _ if pha && text.contains("/bad-digest/") => vec!["bad-digest"],
        _ if pha && text.contains("/bad-signature/") => vec!["bad-signature"],
        _ if pha && text.contains("/unknown-key-id/") => vec!["unknown-key"],
        _ => vec![],
    }
}

#[tokio::test]
async fn every_file_of_the_predecessor_is_recognised_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let inspectors = Role::ALL.map(|role| {
        let config = write_config(folder.path(), "dim8", role);
        Inspector::new(Some(processor(&config)))
    });
    let without_config = Inspector::new(None);
    let mut verified = 0;
    for path in files(&vectors()) {
        let name = path.to_str().unwrap();
        if name.ends_with("README.md") || name.ends_with("expected.json") {
            continue;
        }
        if !name.contains("/keys/") && BatchKind::split(name).is_none() {
            // Not an object of a batch. Its content is arbitrary, but must not cause a panic.
            inspect(&without_config, &path).await;
            continue;
        }
        // Files that ENPA's facilitator wrote or read are inspected as the second processor, all
        // others as the first.
        let second = [
            "/ingestion-facilitator/",
            "/validation-for-facilitator/",
            "/sum-facilitator/",
        ];
        let role = Role::ALL[usize::from(second.iter().any(|folder| name.contains(folder)))];
        let report = inspect(&inspectors[role.index()], &path).await;
        assert_eq!(reasons(&report), expected_reasons(&path), "{name}");
        assert_ne!(report.found[0].kind, "unrecognised", "{name}");
        let report = inspect(&without_config, &path).await;
        let expected: Vec<&str> = expected_reasons(&path)
            .into_iter()
            .filter(|reason| *reason == "bad-digest")
            .collect();
        assert_eq!(
            reasons(&report),
            expected,
            "{name}, without a configuration"
        );
        verified += 1;
    }
    assert!(verified > 300, "{verified}");
}

fn signer(finding: &ObjectFinding) -> String {
    let json = serde_json::to_value(finding).unwrap();
    let verification = &json["signature"]["verification"];
    assert_eq!(verification["result"], "verifies", "{json}");
    let text = |name: &str| verification[name].as_str().unwrap().to_owned();
    format!("{} of {}", text("key"), text("party"))
}

#[tokio::test]
async fn a_batch_is_found_by_any_of_its_objects_and_by_their_common_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let inspector = Inspector::new(Some(processor(&write_config(
        folder.path(),
        "dim8",
        Role::First,
    ))));
    let date = "org.example.dim8/2023/11/14/22/01/00000008-0001-4000-8000-000000001f41";
    let window = "interop/org.example.dim8/202311142200-202311142300";
    for (bucket, names, title, who) in [
        (
            "ingestion-pha",
            [date, ".batch", ".batch.avro", ".batch.sig"],
            "ingestion batch",
            "ingestor-key-1 of ingestor",
        ),
        (
            "validation-for-pha",
            [date, ".validity_1", ".validity_1.avro", ".validity_1.sig"],
            "validation batch by the second processor",
            "facilitator-key-1 of peer",
        ),
        (
            "sum-pha",
            [window, ".sum_0", ".invalid_uuid_0.avro", ".sum_0.sig"],
            "sum part by the first processor",
            "pha-key-1 of own",
        ),
    ] {
        let [stem, suffixes @ ..] = names;
        for suffix in [""].into_iter().chain(suffixes) {
            let path = vectors()
                .join("dim8")
                .join(bucket)
                .join(format!("{stem}{suffix}"));
            let report = inspect(&inspector, &path).await;
            assert_eq!(report.found.len(), 1, "{}", path.display());
            assert_eq!(
                (
                    report.found[0].title.as_str(),
                    signer(&report.found[0]).as_str()
                ),
                (title, who)
            );
            assert_eq!(
                (report.found[0].object.as_str(), report.outcome),
                (stem, Exit::Done)
            );
        }
    }
    let single = "single-object/validation-for-pha/org.example.single-object/2023/11/14/22/13/\
                  00000009-0001-4000-8000-000000002329";
    for suffix in ["", ".validity_1", ".validity_1.sig"] {
        let report = inspect(&inspector, &vectors().join(format!("{single}{suffix}"))).await;
        assert_eq!(
            report.found[0].title,
            "validation batch by the second processor, in a single object"
        );
        assert_eq!(signer(&report.found[0]), "facilitator-key-1 of peer");
    }
}

#[tokio::test]
async fn what_is_in_a_batch_is_counted() {
    let date = "2023/11/14/22/21";
    let inspector = Inspector::new(None);
    let facts = async |case: &str, side: &str| {
        let path = files(
            &vectors()
                .join("bad")
                .join(case)
                .join(format!("ingestion-{side}")),
        )
        .remove(0);
        assert!(path.to_str().unwrap().contains(date));
        let finding = inspect(&inspector, &path).await.found.remove(0);
        serde_json::to_value(&finding).unwrap()
    };
    for (case, side, key, value) in [
        ("duplicate-packet", "pha", "repeated", "1"),
        ("r-pit-negative", "pha", "unusable-points", "1"),
        ("r-pit-over-u32", "pha", "unusable-points", "1"),
        ("r-pit-over-modulus", "pha", "unusable-points", "1"),
        ("r-pit-one-root-of-unity", "pha", "unusable-points", "1"),
        ("r-pit-zero", "pha", "unusable-points", "0"),
        (
            "r-pit-zero",
            "pha",
            "evaluation-points",
            r#"{"distinct":2,"or-more":false}"#,
        ),
        (
            "short-ciphertext",
            "facilitator",
            "payload-bytes",
            r#"{"10":1,"113":19}"#,
        ),
        (
            "invalid-proof",
            "facilitator",
            "payload-bytes",
            r#"{"113":20}"#,
        ),
    ] {
        let packets = facts(case, side).await["packets"].take();
        assert_eq!(packets[key].to_string(), value, "{case}: {packets}");
    }
    let empty = facts("empty-batch", "pha").await;
    assert_eq!(
        (&empty["digest-matches"], &empty["packets"]),
        (&true.into(), &serde_json::Value::Null)
    );
    for (case, note) in [
        ("other-prime", "prime"),
        ("bins-zero", "bins"),
        ("hamming-weight", "Hamming"),
    ] {
        let notes = facts(case, "pha").await["notes"].to_string();
        assert!(notes.contains(note), "{case}: {notes}");
    }
}

/// Runs both processors on ENPA's files of a case, and returns all files that they write.
async fn run_pipeline(folder: &Path, case: &str, aggregation: &str) -> Vec<PathBuf> {
    for role in Role::ALL {
        let processor = processor(&write_config(folder, case, role));
        let time = |text: &str| text.parse().unwrap();
        let window = Window::new(time("2023/11/14/22/00"), time("2023/11/14/23/00")).unwrap();
        let aggregation = aggregation.parse().unwrap();
        let task = AggregateTask {
            aggregation,
            window,
            batches: Vec::new(),
            dry_run: false,
        };
        // The aggregation includes the intake, since there are no prepared batches yet.
        aggregate(&processor, &task, no_progress()).await.unwrap();
    }
    let written = [
        "own-first",
        "own-second",
        "validation-for-pha",
        "validation-for-facilitator",
        "sum-pha",
        "sum-facilitator",
    ];
    written
        .into_iter()
        .flat_map(|bucket| files(&folder.join(bucket)))
        .collect()
}

#[tokio::test]
async fn everything_of_ours_is_recognised_and_opened() {
    let folder = tempfile::tempdir().unwrap();
    let written = run_pipeline(
        folder.path(),
        "bad/invalid-proof",
        "org.example.bad.invalid-proof",
    )
    .await;
    let inspectors = Role::ALL
        .map(|role| Inspector::new(Some(processor(&folder.path().join(format!("{role}.yaml"))))));
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for path in &written {
        let own = ["own-second", "validation-for-pha", "sum-facilitator"];
        let second = own
            .iter()
            .any(|bucket| path.starts_with(folder.path().join(bucket)));
        let report = inspect(&inspectors[usize::from(second)], path).await;
        assert_eq!(
            (report.outcome, reasons(&report)),
            (Exit::Done, vec![]),
            "{}",
            path.display()
        );
        *kinds.entry(report.found[0].kind).or_default() += 1;
        if report.found[0].kind == "prepared-batch" {
            let json = serde_json::to_value(&report).unwrap();
            let opened = &json["found"][0]["opened"];
            assert_eq!(
                (&opened["packets"], &opened["messages"]),
                (&20.into(), &20.into())
            );
            // The sealed sum of shares must not be shown.
            assert!(!json.to_string().contains("\"sum\""), "{json}");
        }
    }
    let expected = [
        ("first-seen-date", 2),
        ("fixed-sum-part", 2),
        ("pinned-point", 2),
        ("prepared-batch", 2),
        ("sum-part", 6),
        ("summed-batch", 2),
        ("validation-batch", 6),
        ("window-done", 2),
    ];
    assert_eq!(kinds, BTreeMap::from(expected));
    damage_prepared(&written, &inspectors).await;
    damage_record(&written, &inspectors).await;
}

/// A record that is modified, inspected by the other processor, or without its trailer, is
/// reported.
async fn damage_record(written: &[PathBuf], inspectors: &[Inspector; 2]) {
    let first = |path: &&PathBuf| path.to_str().unwrap().contains("/own-first/");
    let is_fixed = |path: &&PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "fixed")
    };
    let path = written.iter().filter(first).find(is_fixed).unwrap();
    let report = inspect(&inspectors[0], path).await;
    assert!(
        report.found[0]
            .notes
            .iter()
            .any(|note| note.starts_with("a record of this processor for the name sum-parts/"))
    );
    let report = inspect(&Inspector::new(None), path).await;
    assert_eq!(
        (report.outcome, report.found[0].notes.len()),
        (Exit::Done, 1)
    );
    let report = inspect(&inspectors[1], path).await;
    assert_eq!(
        (report.outcome, reasons(&report)),
        (Exit::Rejected, vec!["unverified"])
    );
    let good = std::fs::read_to_string(path).unwrap();
    let fewer = good.replacen("\"accepted\": ", "\"accepted\": 1", 1);
    let (payload, _) = good.split_once("\ntallybox-record-v1").unwrap();
    for bad in [fewer.as_str(), payload] {
        assert_ne!(bad, good);
        std::fs::write(path, bad).unwrap();
        let report = inspect(&inspectors[0], path).await;
        assert_eq!(
            (report.outcome, reasons(&report)),
            (Exit::Rejected, vec!["unverified"])
        );
    }
    std::fs::write(path, &good).unwrap();
}

/// A prepared batch that is damaged anywhere, or inspected by the other processor, is reported.
async fn damage_prepared(written: &[PathBuf], inspectors: &[Inspector; 2]) {
    let is_prepared = |path: &&PathBuf| {
        let object = possible_keys(path.to_str().unwrap()).find_map(OwnObject::parse);
        matches!(object, Some(OwnObject::Prepared { .. }))
    };
    let path = written.iter().find(is_prepared).unwrap();
    let report = inspect(&inspectors[1], path).await;
    assert_eq!(
        (report.outcome, reasons(&report)),
        (Exit::Rejected, vec!["prepared-batch"])
    );
    let report = inspect(&Inspector::new(None), path).await;
    assert_eq!(
        (report.outcome, report.found[0].notes.len()),
        (Exit::Done, 1)
    );
    let good = std::fs::read(path).unwrap();
    for at in [9, 50, good.len() / 2, good.len() - 30, good.len() - 3] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(path, bad).unwrap();
        let report = inspect(&inspectors[0], path).await;
        assert_eq!(
            (report.outcome, reasons(&report)),
            (Exit::Rejected, vec!["prepared-batch"]),
            "byte {at}"
        );
    }
    std::fs::write(path, &good[..20]).unwrap();
    assert_eq!(inspect(&inspectors[0], path).await.outcome, Exit::Rejected);
}

/// A given public key verifies a batch without a configuration; another key, or the right key under
/// another identifier, does not.
#[test]
fn a_given_key_verifies_a_batch_without_a_configuration() {
    let batch = files(&vectors().join("dim8/ingestion-pha"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "sig"))
        .unwrap();
    let shown = |keys: &[String]| {
        let mut arguments = vec!["inspect", "--json", batch.to_str().unwrap()];
        arguments.extend(keys.iter().flat_map(|key| ["--key", key.as_str()]));
        let output = run(&vectors().join("keys"), &arguments);
        let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        let signature = &report["found"][0]["signature"];
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        (
            code(&output),
            text(&signature["verification"]["result"]),
            text(&signature["key-identifier"]),
        )
    };
    let (exit, result, id) = shown(&[]);
    assert_eq!((exit, result.as_str()), (0, "no-key-configured"));
    let good = format!("{id}=ingestor-signing.spki.pem");
    for (keys, expected) in [
        (vec![good.clone()], (0, "verifies")),
        (
            vec![format!("{id}=pha-signing.spki.pem"), good],
            (0, "verifies"),
        ),
        (
            vec!["other=ingestor-signing.spki.pem".to_owned()],
            (3, "other-key"),
        ),
        (
            vec![format!("{id}=pha-signing.spki.pem")],
            (3, "does-not-verify"),
        ),
    ] {
        let (exit, result, _) = shown(&keys);
        assert_eq!((exit, result.as_str()), expected, "{keys:?}");
    }
    let private = format!("{id}=ingestor-signing.pkcs8.b64");
    let refused = run(
        &vectors().join("keys"),
        &["inspect", batch.to_str().unwrap(), "--key", &private],
    );
    assert_eq!(code(&refused), 2, "{refused:?}");
}

#[tokio::test]
async fn a_folder_is_counted() {
    let report = inspect(&Inspector::new(None), &vectors().join("dim8/ingestion-pha")).await;
    let folder = serde_json::to_value(&report.found[0]).unwrap();
    let batches = &folder["batches"][0];
    assert_eq!(folder["objects"], 9);
    assert_eq!(
        (&batches["signed"], &batches["unsigned"]),
        (&3.into(), &0.into())
    );
    assert_eq!(side(Role::First), "pha");
}

/// Returns pseudo-random numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[tokio::test]
async fn no_damage_makes_it_panic_or_pass() {
    let folder = tempfile::tempdir().unwrap();
    let inspector = Inspector::new(Some(processor(&write_config(
        folder.path(),
        "dim8",
        Role::First,
    ))));
    let mut numbers = Numbers(1);
    let stem = "org.example.single-object/2023/11/14/22/13/00000009-0001-4000-8000-000000002329";
    for (bucket, suffixes) in [
        ("ingestion-pha", &["batch", "batch.avro", "batch.sig"][..]),
        ("validation-for-pha", &["validity_1.sig"]),
    ] {
        let from = |suffix: &str| {
            vectors()
                .join("single-object")
                .join(bucket)
                .join(format!("{stem}.{suffix}"))
        };
        let to = |suffix: &str| folder.path().join(bucket).join(format!("{stem}.{suffix}"));
        std::fs::create_dir_all(to("x").parent().unwrap()).unwrap();
        for damaged in suffixes {
            for suffix in suffixes {
                std::fs::copy(from(suffix), to(suffix)).unwrap();
            }
            let good = std::fs::read(from(damaged)).unwrap();
            for _ in 0..60 {
                let mut bad = good.clone();
                let at = numbers.below(bad.len());
                match numbers.below(3) {
                    0 => bad.truncate(at),
                    1 => bad[at] ^= 1 << numbers.below(8),
                    _ => bad.insert(at, numbers.below(256) as u8),
                }
                std::fs::write(to(damaged), &bad).unwrap();
                let report = inspect(&inspector, &to(damaged)).await;
                // The signature object itself is not signed, so bytes such as its sync markers may
                // change unnoticed.
                let unsigned = damaged.ends_with(".sig");
                assert!(
                    unsigned || report.outcome == Exit::Rejected,
                    "{damaged}, byte {at}: {report:?}"
                );
                std::fs::write(folder.path().join("alone"), &bad).unwrap();
                if !bad.is_empty() {
                    inspect(&inspector, &folder.path().join("alone")).await;
                }
            }
        }
    }
}
