//! The store: the same test body for SQLite and PostgreSQL.
#![allow(clippy::unwrap_used)]

mod support;

use support::postgres::Postgres;
use support::{row, window};
use tallybox_model::role::Role;
use tallybox_portal::config::DatabaseUrl;
use tallybox_portal::store::{FindingRow, Store, SumState, WindowFilter, WindowRow};

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a folder %20?#");
    std::fs::create_dir(&file).unwrap();
    let url = DatabaseUrl::sqlite(&file.join("portal.sqlite"));
    everything(&url).await;
    assert!(file.join("portal.sqlite").exists());
    let missing = DatabaseUrl::sqlite(&file.join("none/portal.sqlite"));
    let error = Store::open(&missing).await.unwrap_err().to_string();
    assert_eq!(error, "database: cannot open the database");
}

#[tokio::test]
async fn postgres() {
    if let Some(server) = Postgres::start().await {
        everything(&server.url()).await;
    }
}

async fn everything(url: &DatabaseUrl) {
    let store = Store::open(url).await.unwrap();
    windows(&store).await;
    versions_and_states(&store).await;
    findings(&store).await;
    store.close().await;
    // A second start finds the tables and everything in them.
    let store = Store::open(url).await.unwrap();
    assert_eq!(
        store.windows(&WindowFilter::default()).await.unwrap().len(),
        52
    );
    bulk(&store).await;
    store.close().await;
}

async fn windows(store: &Store) {
    let mut rows: Vec<WindowRow> = (0..48).map(|hour| row("us-a-x", "m-v1", hour)).collect();
    rows.push(row("us-b-x", "m-v1", 3));
    rows.push(row("us-a-x", "n-v1", 3));
    store.add(&rows).await.unwrap();
    // Adding the same rows again changes nothing.
    store.add(&rows).await.unwrap();
    store.add(&[]).await.unwrap();

    let of = |filter: WindowFilter| async move { store.windows(&filter).await.unwrap() };
    let aggregation = Some("m-v1".parse().unwrap());
    let filter = WindowFilter {
        aggregation,
        ..WindowFilter::default()
    };
    let all = of(filter.clone()).await;
    assert_eq!(all.len(), 49);
    assert!(all.is_sorted_by_key(|row| (row.window, row.instance.clone())));
    assert_eq!(all[..3], rows[..3]);
    let day = WindowFilter {
        instances: vec!["us-a-x".parse().unwrap()],
        from: Some(window(10).start()),
        to: Some(window(20).start()),
        ..filter.clone()
    };
    assert_eq!(of(day.clone()).await, rows[10..20]);
    let last = WindowFilter {
        limit: Some(3),
        ..day
    };
    assert_eq!(of(last).await, rows[17..20]);
    assert_eq!(
        store.latest(2).await.unwrap(),
        [rows[47].clone(), rows[46].clone()]
    );

    let metrics = store.metrics().await.unwrap();
    let shown: Vec<_> = metrics
        .iter()
        .map(|metric| (metric.aggregation.as_str(), metric.windows, metric.reports))
        .collect();
    assert_eq!(shown, [("m-v1", 49, 4_900), ("n-v1", 1, 100)]);
    assert_eq!(metrics[0].first(), Some(window(0).start()));
    assert_eq!(metrics[0].last(), Some(window(47).end()));
    let instances = store.instances().await.unwrap();
    assert_eq!(
        instances.iter().map(|i| i.as_str()).collect::<Vec<_>>(),
        ["us-a-x", "us-b-x"]
    );
}

async fn versions_and_states(store: &Store) {
    let first = row("us-c-x", "m-v1", 5);
    let waiting = WindowRow {
        state: SumState::OneSide,
        reports: 0,
        sums: Vec::new(),
        evidence: "us-c-x/m-v1/202311140500-202311140600.sum_0".to_owned(),
        ..first.clone()
    };
    store.add(std::slice::from_ref(&waiting)).await.unwrap();
    assert_eq!(
        store.one_sided().await.unwrap(),
        std::slice::from_ref(&waiting)
    );
    assert_eq!(waiting.missing(), Some(Role::Second));
    assert_eq!(first.missing(), None);
    assert_eq!(store.metrics().await.unwrap()[0].windows, 49);

    let old = WindowRow {
        state: SumState::Superseded,
        ..first.clone()
    };
    let corrected = WindowRow {
        version: 1,
        reports: 90,
        sums: vec![1, 2, u64::from(u32::MAX)],
        ..first.clone()
    };
    store.add(&[old.clone(), corrected.clone()]).await.unwrap();
    assert!(store.one_sided().await.unwrap().is_empty());
    let both = store
        .window(&first.instance, &first.aggregation, &first.window)
        .await
        .unwrap();
    assert_eq!(both, [old.clone(), corrected]);
    let superseded = WindowFilter {
        states: vec![SumState::Superseded],
        ..WindowFilter::default()
    };
    assert_eq!(store.windows(&superseded).await.unwrap(), [old]);
    let metric = store.metrics().await.unwrap().remove(0);
    assert_eq!((metric.windows, metric.reports), (50, 4_990));
}

async fn findings(store: &Store) {
    let finding = FindingRow {
        instance: "us-a-x".parse().unwrap(),
        aggregation: "m-v1".parse().unwrap(),
        window: window(7),
        kind: "counts-differ".to_owned(),
        message: "the sum parts count different numbers of packets: 5 and '6'".to_owned(),
        next_step: "ask".to_owned(),
        first_seen: 10,
        resolved: None,
    };
    assert!(store.add_finding(&finding).await.unwrap());
    let again = FindingRow {
        first_seen: 11,
        ..finding.clone()
    };
    assert!(!store.add_finding(&again).await.unwrap());
    assert_eq!(
        store.findings(true).await.unwrap(),
        std::slice::from_ref(&finding)
    );
    let of = |open| store.findings_of(&finding.instance, &finding.aggregation, open);
    assert_eq!(of(true).await.unwrap(), std::slice::from_ref(&finding));
    assert!(store.resolve_finding(&finding, 20).await.unwrap());
    assert!(!store.resolve_finding(&finding, 21).await.unwrap());
    assert!(of(true).await.unwrap().is_empty());
    assert!(store.findings(true).await.unwrap().is_empty());
    let resolved = FindingRow {
        resolved: Some(20),
        ..finding.clone()
    };
    assert_eq!(of(false).await.unwrap(), [resolved]);
    // It may return.
    assert!(store.add_finding(&again).await.unwrap());
    assert_eq!(store.findings(false).await.unwrap().len(), 2);
}

async fn bulk(store: &Store) {
    let rows: Vec<WindowRow> = (0..1_001).map(|hour| row("us-d-x", "o-v2", hour)).collect();
    let loader = store.load().await.unwrap();
    loader.add(&rows[..999]).await.unwrap();
    loader.add(&rows[999..]).await.unwrap();
    loader.finish().await.unwrap();
    assert_eq!(store.windows(&WindowFilter::default()).await.unwrap(), rows);
    let metrics = store.metrics().await.unwrap();
    assert_eq!(metrics.len(), 1);
    assert_eq!((metrics[0].windows, metrics[0].reports), (1_001, 100_100));
    assert_eq!(store.findings(false).await.unwrap().len(), 2);
    // A second load replaces the first.
    let loader = store.load().await.unwrap();
    loader.add(&rows[..1]).await.unwrap();
    loader.finish().await.unwrap();
    assert_eq!(store.latest(5).await.unwrap(), rows[..1]);
}
