//! `collect` on the predecessor's sum parts: sums, evidence, corrections, and every way in which
//! two parts do not belong together.
#![allow(clippy::unwrap_used)]

mod support;

use support::world::{CASES, World, files, part, resigned, vectors};
use tallybox_model::header::SumPart;
use tallybox_model::role::Role;
use tallybox_portal::collect::CollectOptions;
use tallybox_portal::store::SumState;
use tallybox_service::exit::Exit;

const ONCE: CollectOptions = CollectOptions {
    all: false,
    recheck: false,
};
const RECHECK: CollectOptions = CollectOptions {
    all: true,
    recheck: true,
};

#[tokio::test]
async fn sums_are_those_that_the_predecessor_states() {
    let world = World::new(0).await;
    for case in CASES {
        world.put_case(case);
    }
    let collected = world.collect(ONCE).await;
    assert_eq!(
        (collected.added, collected.exit()),
        (7, Exit::Done),
        "{collected:?}"
    );
    for case in CASES {
        let name = part(case, Role::First);
        let rows = world
            .store
            .window(&name.instance, &name.aggregation, &name.window);
        let row = rows.await.unwrap().remove(0);
        let expected = std::fs::read(vectors().join(case).join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        assert_eq!(
            serde_json::json!(row.sums),
            expected["reconstructed"],
            "{case}"
        );
        assert_eq!(row.state, SumState::Summed);
        let evidence = world.folder.path().join("evidence").join(row.evidence);
        assert!(evidence.is_file());
    }
    // A second run does nothing; one that compares every byte finds no change.
    let again = world.collect(ONCE).await;
    assert_eq!(again, tallybox_portal::collect::Collected::default());
    let compared = world.collect(RECHECK).await;
    assert_eq!((compared.unchanged, compared.exit()), (7, Exit::Done));
}

#[tokio::test]
async fn a_missing_side_is_a_finding_once_it_is_late() {
    let world = World::new(0).await;
    let second = part("dim8", Role::Second);
    world.put(&second, files("dim8", Role::Second));
    let collected = world.collect(ONCE).await;
    assert_eq!((collected.one_side, collected.exit()), (1, Exit::Done));
    let row = world.store.one_sided().await.unwrap().remove(0);
    assert_eq!(row.missing(), Some(Role::First));
    assert_eq!(row.evidence, second.to_string());

    world.clock.set(world.clock.millis() + 2 * 3_600_000);
    let late = world.collect(ONCE).await;
    assert_eq!((late.new_findings, late.exit()), (1, Exit::Rejected));
    assert_eq!(late.findings[0].kind, "late");
    assert!(
        late.findings[0]
            .next_step
            .contains("operator of the first processor")
    );
    assert_eq!(world.collect(ONCE).await.exit(), Exit::Done);

    world.put(&part("dim8", Role::First), files("dim8", Role::First));
    let done = world.collect(ONCE).await;
    assert_eq!((done.added, done.resolved), (1, 1));
    assert!(world.open().await.is_empty());
    assert!(world.store.one_sided().await.unwrap().is_empty());
    // Parts that have left their mailbox change nothing.
    let mailbox = world.folder.path().join("first");
    std::fs::remove_dir_all(mailbox.join("interop")).unwrap();
    assert_eq!(world.collect(RECHECK).await.exit(), Exit::Done);
    assert_eq!(world.windows().await[0].state, SumState::Summed);
    // A mailbox that cannot be reached is neither empty nor a finding.
    std::fs::remove_dir(&mailbox).unwrap();
    let failed = world.collect(RECHECK).await;
    assert_eq!((failed.failed, failed.new_findings), (1, 0), "{failed:?}");
    assert_eq!(failed.exit(), Exit::Retry);
}

#[tokio::test]
async fn parts_that_do_not_belong_together_are_findings_until_they_do() {
    let first = |change: fn(&mut SumPart)| resigned("dim8", Role::First, change);
    let hour = 3_600_000;
    let cases = [
        ("wrong-side", files("dim8", Role::Second)),
        (
            "renamed",
            first(|header| {
                header.aggregation_start_time -= 3_600_000;
                header.aggregation_end_time -= 3_600_000;
            }),
        ),
        ("renamed", files("dim2", Role::First)),
        (
            "batches-differ",
            first(|header| {
                header.batch_uuids.pop();
            }),
        ),
        (
            "counts-differ",
            first(|header| header.total_individual_clients += 1),
        ),
        ("parameters-differ", first(|header| header.epsilon += 0.5)),
        ("malformed", first(|header| header.epsilon = f64::NAN)),
        (
            "out-of-range",
            first(|header| {
                header.sum[3] = (header.sum[3] + 100_000) % header.prime;
            }),
        ),
        ("incomplete", {
            let [packets, _, signature] = files("dim8", Role::First);
            [packets, Vec::new(), signature]
        }),
        ("bad-signature", {
            let [packets, mut header, signature] = files("dim8", Role::First);
            header[300] ^= 1;
            [packets, header, signature]
        }),
    ];
    for (kind, wrong) in cases {
        let world = World::new(0).await;
        world.put_case("dim8");
        world.put(&part("dim8", Role::First), wrong);
        let collected = world.collect(ONCE).await;
        assert_eq!(
            (collected.refused, collected.exit()),
            (1, Exit::Rejected),
            "{kind}"
        );
        let open = world.open().await;
        assert_eq!(
            open.iter()
                .map(|finding| &*finding.kind)
                .collect::<Vec<_>>(),
            [kind]
        );
        assert!(open[0].next_step.len() > 20, "{open:?}");
        let row = world.windows().await.remove(0);
        assert_eq!(
            (row.state, row.sums.len()),
            (SumState::Refused, 0),
            "{kind}"
        );
        assert!(!world.folder.path().join("evidence").exists(), "{kind}");
        // The same finding is not made twice, and the row keeps its date.
        world.clock.set(world.clock.millis() + hour);
        assert_eq!(world.collect(ONCE).await.new_findings, 0, "{kind}");
        assert_eq!(world.windows().await, [row], "{kind}");
        world.put_case("dim8");
        let corrected = world.collect(ONCE).await;
        assert_eq!((corrected.added, corrected.resolved), (1, 1), "{kind}");
        assert!(world.open().await.is_empty(), "{kind}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_a_finding() {
    let mut world = World::new(0).await;
    world.put_case("dim8");
    // The operator has replaced the key of the first processor by a new one.
    let keys = &mut world.config.value.sources[0].first.keys;
    let file = keys.remove("pha-key-1").unwrap();
    keys.insert("pha-key-2".to_owned(), file);
    assert_eq!(world.collect(ONCE).await.refused, 1);
    let open = world.open().await;
    assert_eq!(open[0].kind, "unknown-key");
    assert!(open[0].next_step.contains("revoked"), "{open:?}");
}

#[tokio::test]
async fn a_change_after_the_collection_is_a_finding_and_two_are_a_correction() {
    let world = World::new(0).await;
    world.put_case("dim8");
    assert_eq!(world.collect(ONCE).await.added, 1);
    let old = world.windows().await.remove(0);
    let change = |header: &mut SumPart| header.total_individual_clients += 1;

    let first = part("dim8", Role::First);
    world.put(&first, resigned("dim8", Role::First, change));
    let changed = world.collect(RECHECK).await;
    assert_eq!((changed.new_findings, changed.exit()), (1, Exit::Rejected));
    assert_eq!(changed.findings[0].kind, "changed");
    assert!(changed.findings[0].message.contains("first processor"));
    assert_eq!(world.windows().await, std::slice::from_ref(&old));

    world.put(
        &part("dim8", Role::Second),
        resigned("dim8", Role::Second, change),
    );
    // The open finding has the window compared again, although the sizes may be equal.
    let corrected = world.collect(ONCE).await;
    assert_eq!(
        (corrected.corrected, corrected.resolved),
        (1, 1),
        "{corrected:?}"
    );
    let both = world.windows().await;
    let states: Vec<_> = both.iter().map(|row| (row.version, row.state)).collect();
    assert_eq!(states, [(0, SumState::Superseded), (1, SumState::Summed)]);
    assert_eq!(both[0].sums, old.sums);
    assert_eq!(both[1].reports, old.reports + 1);
    assert!(both[1].evidence.ends_with(".1.evidence"));
    assert_eq!(world.collect(RECHECK).await.unchanged, 1);
}

#[tokio::test]
async fn a_correction_that_contradicts_the_evidence_changes_no_row() {
    let world = World::new(0).await;
    world.put_case("dim8");
    world.collect(ONCE).await;
    let before = world.windows().await;
    let other = before[0].evidence.replace(".evidence", ".1.evidence");
    std::fs::write(world.folder.path().join("evidence").join(other), "other").unwrap();
    for role in Role::ALL {
        let change = |header: &mut SumPart| header.total_individual_clients += 1;
        world.put(&part("dim8", role), resigned("dim8", role, change));
    }
    let conflict = world.collect(RECHECK).await;
    assert_eq!(conflict.findings[0].kind, "evidence-conflict");
    assert_eq!(world.windows().await, before);
}

#[tokio::test]
async fn a_changed_size_is_noticed_without_reading() {
    let world = World::new(0).await;
    world.put_case("dim8");
    world.collect(ONCE).await;
    let longer = resigned("dim8", Role::First, |header| {
        header.batch_uuids.pop();
    });
    world.put(&part("dim8", Role::First), longer);
    let changed = world.collect(ONCE).await;
    assert_eq!(changed.findings[0].kind, "changed");
    world.put(&part("dim8", Role::First), files("dim8", Role::First));
    assert_eq!(world.collect(ONCE).await.resolved, 1);
}

#[tokio::test]
async fn sums_below_the_minimum_are_in_the_evidence_only() {
    let world = World::new(1_000_000).await;
    world.put_case("dim8");
    let collected = world.collect(ONCE).await;
    assert_eq!((collected.below_minimum, collected.exit()), (1, Exit::Done));
    let row = world.windows().await.remove(0);
    assert_eq!((row.state, row.sums.len()), (SumState::BelowMinimum, 0));
    assert!(
        world
            .folder
            .path()
            .join("evidence")
            .join(row.evidence)
            .is_file()
    );
    assert_eq!(world.store.metrics().await.unwrap()[0].reports, 0);
}

#[tokio::test]
async fn evidence_is_never_overwritten() {
    let world = World::new(0).await;
    world.put_case("dim8");
    world.collect(ONCE).await;
    let row = world.windows().await.remove(0);
    let file = world.folder.path().join("evidence").join(&row.evidence);
    let before = std::fs::read(&file).unwrap();
    // The database is lost, and other parts are in the mailboxes.
    let loader = world.store.load().await.unwrap();
    loader.finish().await.unwrap();
    for role in Role::ALL {
        let change = |header: &mut SumPart| header.total_individual_clients += 1;
        world.put(&part("dim8", role), resigned("dim8", role, change));
    }
    let conflict = world.collect(ONCE).await;
    assert_eq!(conflict.findings[0].kind, "evidence-conflict");
    assert!(conflict.findings[0].next_step.contains("portal rebuild"));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    // A damaged and a missing evidence object are findings, too.
    world.put_case("dim8");
    assert_eq!(world.collect(ONCE).await.added, 1);
    std::fs::write(&file, &before[..before.len() - 1]).unwrap();
    assert_eq!(
        world.collect(ONCE).await.findings[0].kind,
        "damaged-evidence"
    );
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        world.collect(ONCE).await.findings[0].kind,
        "evidence-missing"
    );
    std::fs::write(&file, &before).unwrap();
    assert_eq!(world.collect(ONCE).await.resolved, 1);
    assert!(world.open().await.is_empty());
}
