//! The evidence: rebuild of the database, the offline verifier, and every altered byte.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::world::{CASES, World, part, resigned};
use tallybox_model::header::SumPart;
use tallybox_model::role::Role;
use tallybox_portal::collect::CollectOptions;
use tallybox_portal::evidence::{EvidenceName, check};
use tallybox_portal::rebuild::rebuild;
use tallybox_portal::store::{SumState, WindowRow};
use tallybox_portal::verify::verify;
use tallybox_service::exit::Exit;
use tallybox_service::progress::Progress;

const ALL: CollectOptions = CollectOptions {
    all: true,
    recheck: true,
};

/// A portal that has collected every case, and a correction of `dim8`.
async fn collected() -> World {
    let world = World::new(0).await;
    for case in CASES {
        world.put_case(case);
    }
    assert_eq!(world.collect(ALL).await.added, 7);
    for role in Role::ALL {
        let change = |header: &mut SumPart| header.total_individual_clients += 1;
        world.put(&part("dim8", role), resigned("dim8", role, change));
    }
    assert_eq!(world.collect(ALL).await.corrected, 1);
    world
}

#[tokio::test]
async fn a_rebuilt_database_equals_the_lost_one() {
    let world = collected().await;
    let before = world.windows().await;
    let progress = Progress::hidden();
    let rebuild = || rebuild(&world.config, &world.store, &world.clock, &progress);
    let rebuilt = rebuild().await.unwrap();
    assert_eq!((rebuilt.windows, rebuilt.exit()), (8, Exit::Done));
    let timeless = |rows: Vec<WindowRow>| -> Vec<WindowRow> {
        rows.into_iter()
            .map(|row| WindowRow { added: 0, ..row })
            .collect()
    };
    assert_eq!(timeless(world.windows().await), timeless(before));
    // The next run of `collect` has nothing to do.
    assert_eq!(world.collect(ALL).await.unchanged, 7);

    let file = world
        .folder
        .path()
        .join("evidence/vectors/interop/org.example.dim2");
    let file = file.join("202311142200-202311142300.evidence");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let damaged = rebuild().await.unwrap();
    assert_eq!((damaged.windows, damaged.exit()), (7, Exit::Rejected));
    assert_eq!(world.open().await.len(), 1);
    // Without the evidence, nothing is removed from the database.
    let evidence = world.folder.path().join("evidence");
    std::fs::rename(&evidence, evidence.with_extension("away")).unwrap();
    assert!(rebuild().await.is_err());
    assert_eq!(world.windows().await.len(), 7);
}

#[test]
fn names_of_evidence_are_read_as_they_are_written() {
    let stem = "s/us-a-x/org.example.m-v1/202311142200-202311142300";
    for (suffix, version) in [("", 0), (".1", 1), (".12", 12)] {
        let key = format!("{stem}{suffix}.evidence");
        let name = EvidenceName::parse(&key).unwrap();
        assert_eq!((name.to_string(), name.version), (key, version));
    }
    for suffix in [".0", ".01", ".+1", ".", "x"] {
        let key = format!("{stem}{suffix}.evidence");
        assert_eq!(EvidenceName::parse(&key), None);
    }
    assert_eq!(EvidenceName::parse(stem), None);
    assert_eq!(EvidenceName::parse(&format!(".{stem}.evidence")), None);
}

#[tokio::test]
async fn every_altered_byte_of_the_evidence_is_found() {
    let world = collected().await;
    let keys = world.config.value.sources[0]
        .keys(&world.config.directory)
        .unwrap();
    for case in ["dim2", "single-object"] {
        let key = format!("vectors/interop/org.example.{case}/202311142200-202311142300.evidence");
        let name = EvidenceName::parse(&key).unwrap();
        let good = std::fs::read(world.folder.path().join("evidence").join(&key)).unwrap();
        assert!(check(&name, &good.clone().into(), &keys).is_ok());
        for index in 0..good.len() {
            let mut flipped = good.clone();
            flipped[index] ^= 1 << (index % 8);
            let found = check(&name, &flipped.into(), &keys);
            assert!(found.is_err(), "{case}: byte {index} of {}", good.len());
        }
        for length in 0..good.len() {
            assert!(
                check(&name, &good[..length].to_vec().into(), &keys).is_err(),
                "{length}"
            );
        }
        let longer = [good.clone(), vec![0; 512]].concat();
        assert!(check(&name, &longer.into(), &keys).is_err());
        // Evidence under the name of another window or instance.
        for other in [
            key.replace("202311142300", "202311142301"),
            key.replace("/interop/", "/other/"),
            key.replace("org.example.", "org.example.x"),
            key.replace(".evidence", ".1.evidence"),
        ] {
            let name = EvidenceName::parse(&other).unwrap();
            let is_version = name.version > 0;
            assert_eq!(
                check(&name, &good.clone().into(), &keys).is_ok(),
                is_version,
                "{other}"
            );
        }
    }
}

#[tokio::test]
async fn anyone_can_verify() {
    let world = collected().await;
    let folder = world.folder.path();
    let progress = Progress::hidden();
    let run = || verify(folder, &progress);
    let verified = run().await.unwrap();
    assert_eq!((verified.objects, verified.superseded), (8, 1));
    assert_eq!(verified.exit(), Exit::Done, "{verified:?}");
    assert_eq!(
        verified
            .keys
            .iter()
            .map(|key| key.parts)
            .collect::<Vec<_>>(),
        [8, 8]
    );
    assert_eq!(verified.metrics.len(), 7);

    let row = world
        .windows()
        .await
        .into_iter()
        .rfind(|row| row.state == SumState::Summed);
    let row = row.unwrap();
    let line = |sum: u64| {
        let (start, end) = (row.window.start(), row.window.end());
        format!(
            "metric,instance,window_start,window_end,bin,label,count,sum\n{},{},{start},{end},1,,{},{sum}\n",
            row.aggregation, row.instance, row.reports
        )
    };
    let csv = folder.join("published.csv");
    std::fs::write(&csv, line(row.sums[1])).unwrap();
    let verified = run().await.unwrap();
    assert_eq!((verified.published, verified.exit()), (1, Exit::Done));
    std::fs::write(&csv, line(row.sums[1] + 1)).unwrap();
    assert_eq!(run().await.unwrap().faults.objects[0].kind, "published-sum");
    std::fs::write(&csv, line(row.sums[1]).replace("interop", "elsewhere")).unwrap();
    assert_eq!(run().await.unwrap().faults.objects[0].kind, "unproven-sum");
    std::fs::remove_file(&csv).unwrap();

    let evidence = folder.join("evidence/vectors/interop");
    std::fs::write(evidence.join("org.example.dim2/notes.txt"), "x").unwrap();
    let first = evidence.join("org.example.dim8/202311142200-202311142300.evidence");
    std::fs::remove_file(first).unwrap();
    std::fs::create_dir_all(folder.join("evidence/unknown/a/b")).unwrap();
    std::fs::write(folder.join("evidence/unknown/a/b/c"), "x").unwrap();
    let mut kinds: Vec<_> = run().await.unwrap().faults.objects;
    kinds.sort_by_key(|fault| fault.kind);
    let kinds: Vec<_> = kinds.iter().map(|fault| fault.kind).collect();
    assert_eq!(
        kinds,
        ["foreign-object", "unknown-source", "version-missing"]
    );
}

#[tokio::test]
async fn evidence_is_an_archive_that_other_programs_read() {
    let world = collected().await;
    let file = "evidence/vectors/interop/org.example.dim8/202311142200-202311142300.evidence";
    let folder = world.folder.path().join("unpacked");
    std::fs::create_dir(&folder).unwrap();
    let archive = world.folder.path().join(file);
    let tar = Command::new("tar")
        .arg("-xf")
        .arg(archive)
        .current_dir(&folder)
        .status();
    assert!(tar.unwrap().success());
    let sums = Command::new("sha256sum")
        .args(["-c", "--strict", "SHA256SUMS"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(sums.status.success(), "{sums:?}");
    let [packets, header, signature] = support::world::files("dim8", Role::First);
    let unpacked = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
    assert_eq!(unpacked("202311142200-202311142300.sum_0"), header);
    assert_eq!(unpacked("202311142200-202311142300.sum_0.sig"), signature);
    assert_eq!(
        unpacked("202311142200-202311142300.invalid_uuid_0.avro"),
        packets
    );
}

#[test]
fn the_command_line() {
    let portal = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_portal"))
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(async {
        let world = World::new(0).await;
        world.put_case("dim8");
        world.store.close().await;
        world
    });
    let folder = world.folder.path().to_str().unwrap().to_owned();
    let config = format!("{folder}/portal.yaml");
    let (code, stdout) = portal(&["--config", &config, "--json", "collect"]);
    assert_eq!(code, Some(0), "{stdout}");
    let collected: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(collected["added"], 1);
    assert_eq!(
        portal(&["--config", &config, "collect"]),
        (Some(0), "nothing new\n".to_owned())
    );
    let (code, stdout) = portal(&["verify", &folder]);
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("org.example.dim8"), "{stdout}");
    let (code, stdout) = portal(&["--config", &config, "rebuild"]);
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.starts_with("1 windows of"), "{stdout}");
    let key = format!("{folder}/keys/vectors/first/pha-key-1.pem");
    std::fs::rename(&key, key.replace("-1.pem", "-2.pem")).unwrap();
    let (code, stdout) = portal(&["--json", "verify", &folder]);
    assert_eq!(code, Some(3), "{stdout}");
    assert!(stdout.contains("unknown-key"), "{stdout}");
    assert_eq!(portal(&["verify", &format!("{folder}/first")]).0, Some(2));
}
