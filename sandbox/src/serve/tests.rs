//! A good report, a bad one and a replay, asked for at each stage.

use tallybox_client::traffic::{Hostility, Traffic};
use tallybox_model::client_config::ClientConfig;
use tallybox_model::registry::Registry;

use super::*;
use crate::door::{DoorAnswer, post};
use tallybox_service::config::load;

const METRIC: &str = "CodeVerified-v1";
/// 2026-01-01 00:00 UTC.
const START: i64 = 1_767_225_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_developer_learns_what_became_of_each_report() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::manual(START);
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let metric = *Metric::named(METRIC).unwrap();
    let options = ServeOptions {
        metrics: vec![metric],
        epsilon: None,
        listen: free,
        debug_listen: free,
        seed: Some(1),
        clock: clock.clone(),
    };
    let mut serving = Serving::start(directory.path(), &options, Output::new(true))
        .await
        .unwrap();
    let reporter = serving.door.reporter(&serving.world).unwrap();
    let registry = load::<Registry>(&directory.path().join("registry.yaml")).unwrap().value;
    let client_metric = ClientConfig::metrics_of(&registry).remove(0);
    let traffic = Traffic::new(1, &metric, serving.world.keys.for_clients(), None).unwrap();
    let good = traffic.packet(0).unwrap().report;
    let bad = traffic
        .hostile(1, Hostility::Undecryptable(tallybox_model::role::Role::Second))
        .unwrap()
        .report;
    let mut replay = good.clone();
    replay.id = traffic.packet(2).unwrap().report.id;
    let ids = [good.id, bad.id, replay.id].map(|id| id.to_string());
    let answers = post(&reporter, &client_metric, START, vec![good, bad, replay])
        .await
        .unwrap();
    assert_eq!(answers, [DoorAnswer::Accepted; 3]);
    let lookup = serving.cycle.lookup();
    let fate = async |id: &str| lookup.fate(id).await.unwrap();
    assert_eq!(
        (fate("nobody").await.stage, fate(&ids[0]).await.stage),
        ("unknown", "spooled")
    );
    serving.turn().await.unwrap();
    assert_eq!(fate(&ids[0]).await.stage, "spooled", "its window has not ended");
    clock.set(START + 66_000);
    serving.turn().await.unwrap();
    let [good, bad, replay] = [fate(&ids[0]).await, fate(&ids[1]).await, fate(&ids[2]).await];
    assert_eq!(
        (good.stage, good.counted, good.kept),
        ("summed", Some(true), 1),
        "{good:?}"
    );
    assert_eq!((bad.stage, bad.counted), ("summed", Some(false)), "{bad:?}");
    assert_eq!(bad.first.unwrap().verdict, "message");
    assert_eq!(bad.second.unwrap().reason.as_deref(), Some("undecryptable"));
    assert_eq!(
        (replay.stage, replay.batch),
        ("spooled", None),
        "the batcher has dropped it"
    );
    assert_eq!(lookup.recent(2).await.unwrap().len(), 2);
    let announced = Announcement::of(&serving);
    let text = format!("{}", Human(&announced));
    let long = |line: &&str| line.len() > 80 && !line.contains("--key") && !line.contains('=');
    assert_eq!(
        text.lines()
            .filter(long)
            .filter(|line| !line.contains("MFkw"))
            .collect::<Vec<_>>(),
        [""; 0]
    );
    serving.stop().await.unwrap();
}

/// A summary as a person reads it.
struct Human<'s>(&'s Announcement);

impl std::fmt::Display for Human<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        tallybox_service::output::Summary::human(self.0, f)
    }
}
