//! Which configurations a client accepts, and for how long.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use support::{FakeIngestor, KEY_ID, NOW, config, options, signed, signing_key, trust};
use tallybox_client::config::{ClientConfigError, ConfigSource, Trust};
use tallybox_client::{ClientClock, Timeouts};
use tallybox_crypto::jws;
use tallybox_model::client_config::{CLIENT_CONFIG_TYPE, ClientConfig, ClientKey};
use tallybox_model::registry::EncodingKind;

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn refusal(document: &[u8]) -> ClientConfigError {
    trust().check(document, now()).unwrap_err()
}

/// Returns a changed configuration with a valid signature.
fn changed(change: impl FnOnce(&mut ClientConfig)) -> Vec<u8> {
    let mut config = config(1);
    change(&mut config);
    signed(&config)
}

/// Returns a configuration from before keys were bound to a number of bins: the same keys for all
/// metrics.
fn without_keys() -> Vec<u8> {
    let mut payload = serde_json::to_value(config(1)).unwrap();
    let keys = payload["metrics"][0]
        .as_object_mut()
        .unwrap()
        .remove("processors")
        .unwrap();
    payload["processors"] = keys;
    let payload = serde_json::to_vec(&payload).unwrap();
    jws::sign(&payload, CLIENT_CONFIG_TYPE, KEY_ID, &signing_key(1)).unwrap()
}

#[test]
fn metrics_of_the_same_bins_may_share_keys() {
    let document = changed(|config| {
        let mut other = config.metrics[0].clone();
        other.name = "bucket-v2".to_owned();
        config.metrics.push(other);
    });
    assert_eq!(
        trust().check(&document, now()).unwrap().metrics().count(),
        4
    );
}

#[test]
fn a_good_configuration_is_gone_by() {
    let trusted = trust().check(&signed(&config(1)), now()).unwrap();
    assert_eq!(trusted.document(), &config(1));
    assert_eq!(trusted.metrics().count(), 3);
    assert_eq!(trusted.metric("bits-v1").unwrap().encoding.bins(), 3);
    assert!(trusted.metric("other-v1").is_none());
}

#[test]
fn what_is_not_signed_by_a_pinned_key_is_refused() {
    let payload = serde_json::to_vec(&config(1)).unwrap();
    let sign =
        |key_id, seed| jws::sign(&payload, CLIENT_CONFIG_TYPE, key_id, &signing_key(seed)).unwrap();
    let other_type = jws::sign(&payload, "something-else", KEY_ID, &signing_key(1)).unwrap();
    for (what, document) in [
        ("unsigned", payload.clone()),
        ("another key under the pinned id", sign(KEY_ID, 2)),
        ("a key that is not pinned", sign("config-2", 1)),
        ("a document of another kind", other_type),
        ("nothing", Vec::new()),
    ] {
        assert!(
            matches!(refusal(&document), ClientConfigError::Signature(_)),
            "{what}"
        );
    }
}

#[test]
fn one_of_several_pinned_keys_is_enough() {
    let payload = serde_json::to_vec(&config(1)).unwrap();
    let document = jws::sign(&payload, CLIENT_CONFIG_TYPE, "config-2", &signing_key(2)).unwrap();
    let mut both = trust();
    both.keys
        .insert("config-2".to_owned(), signing_key(2).verifying_key());
    assert!(both.check(&document, now()).is_ok());
}

#[test]
fn every_refusal_has_its_reason() {
    type Case = (&'static str, Vec<u8>, fn(&ClientConfigError) -> bool);
    let cases: Vec<Case> = vec![
        (
            "expired",
            changed(|config| config.expires = NOW.to_owned()),
            |error| matches!(error, ClientConfigError::Expired { .. }),
        ),
        (
            "from the future",
            changed(|config| config.issued = "2026-11-23T10:20:01Z".to_owned()),
            |error| matches!(error, ClientConfigError::NotYetValid { .. }),
        ),
        (
            "no time",
            changed(|config| config.expires = "never".to_owned()),
            |error| matches!(error, ClientConfigError::Time { member: "expires" }),
        ),
        (
            "locality",
            changed(|config| config.locality = "us-ny".to_owned()),
            |error| matches!(error, ClientConfigError::Locality { .. }),
        ),
        ("format", changed(|config| config.format = 2), |error| {
            matches!(
                error,
                ClientConfigError::Format {
                    found: 2,
                    supported: 1
                }
            )
        }),
        (
            "schema",
            changed(|config| config.schema_version = 3),
            |error| matches!(error, ClientConfigError::Schema { found: 3 }),
        ),
        (
            "epsilon",
            changed(|config| config.metrics[1].epsilon = 8.01),
            |error| matches!(error, ClientConfigError::Epsilon { cap: 8.0, .. }),
        ),
        (
            "no epsilon",
            changed(|config| config.metrics[1].epsilon = 0.0),
            |error| matches!(error, ClientConfigError::Metric { .. }),
        ),
        (
            "no bins",
            changed(|config| config.metrics[0].encoding.bins = 0),
            |error| matches!(error, ClientConfigError::Metric { .. }),
        ),
        (
            "a long number",
            changed(|config| config.metrics[2].encoding.bins = 65),
            |error| matches!(error, ClientConfigError::Metric { .. }),
        ),
        (
            "labels",
            changed(|config| config.metrics[0].encoding.labels = vec!["one".to_owned()]),
            |error| matches!(error, ClientConfigError::Metric { .. }),
        ),
        (
            "prime",
            changed(|config| config.metrics[0].prime = 17),
            |error| matches!(error, ClientConfigError::Metric { .. }),
        ),
        (
            "sampling",
            changed(|config| config.metrics[0].sampling = 1.5),
            |error| matches!(error, ClientConfigError::Metric { .. }),
        ),
        (
            "key",
            changed(|config| config.metrics[0].processors[1].public_key = "BAAA".to_owned()),
            |error| matches!(error, ClientConfigError::Key { processor: 1, .. }),
        ),
        (
            "a key of other bins",
            changed(|config| config.metrics[0].processors[1].bins = 6),
            |error| {
                matches!(
                    error,
                    ClientConfigError::KeyBins {
                        bins: 6,
                        expected: 5,
                        ..
                    }
                )
            },
        ),
        // Under its own id, under another, and for the other processor: the key itself counts, not
        // its id.
        (
            "a key with two numbers of bins",
            changed(|config| {
                config.metrics[1].processors[1] = ClientKey {
                    bins: 3,
                    ..config.metrics[0].processors[1].clone()
                };
            }),
            |error| matches!(error, ClientConfigError::KeyConflict { .. }),
        ),
        (
            "a key under two ids",
            changed(|config| {
                config.metrics[1].processors[1].public_key =
                    config.metrics[0].processors[1].public_key.clone();
            }),
            |error| matches!(error, ClientConfigError::KeyConflict { .. }),
        ),
        (
            "a key of both processors",
            changed(|config| {
                config.metrics[0].processors[1].public_key =
                    config.metrics[0].processors[0].public_key.clone();
            }),
            |error| matches!(error, ClientConfigError::KeyConflict { .. }),
        ),
        (
            "an id of two keys",
            changed(|config| {
                config.metrics[1].processors[0].encryption_key_id =
                    config.metrics[0].processors[0].encryption_key_id.clone();
            }),
            |error| matches!(error, ClientConfigError::KeyConflict { .. }),
        ),
        ("a metric without keys", without_keys(), |error| {
            matches!(error, ClientConfigError::Json(_))
        }),
        (
            "limits",
            changed(|config| config.limits.max_reports = 0),
            |error| matches!(error, ClientConfigError::FileLimits),
        ),
        (
            "no configuration",
            jws::sign(
                b"{\"format\":1}",
                CLIENT_CONFIG_TYPE,
                KEY_ID,
                &signing_key(1),
            )
            .unwrap(),
            |error| matches!(error, ClientConfigError::Json(_)),
        ),
    ];
    for (what, document, expected) in cases {
        let error = refusal(&document);
        assert!(expected(&error), "{what}: {error:?}");
    }
}

#[test]
fn the_cap_is_the_applications() {
    let strict = Trust {
        max_epsilon: 4.0,
        ..trust()
    };
    assert!(matches!(
        strict.check(&signed(&config(1)), now()),
        Err(ClientConfigError::Epsilon { .. })
    ));
    let members_nobody_knows = {
        let mut payload = serde_json::to_value(config(1)).unwrap();
        payload["ofALaterVersion"] = true.into();
        jws::sign(
            &serde_json::to_vec(&payload).unwrap(),
            CLIENT_CONFIG_TYPE,
            KEY_ID,
            &signing_key(1),
        )
    };
    assert!(trust().check(&members_nobody_knows.unwrap(), now()).is_ok());
}

/// Returns a source whose clock is NOW plus the seconds in the counter.
fn source(ingestor: &FakeIngestor) -> (ConfigSource, Arc<AtomicI64>) {
    let ahead = Arc::new(AtomicI64::new(0));
    let clock = {
        let ahead = Arc::clone(&ahead);
        ClientClock::new(move || {
            now() + jiff::SignedDuration::from_secs(ahead.load(Ordering::Relaxed))
        })
    };
    let source = ConfigSource::new(&ingestor.address(), trust(), clock, Timeouts::default());
    (source.unwrap(), ahead)
}

#[tokio::test]
async fn a_fresh_configuration_is_not_fetched_again() {
    let ingestor = FakeIngestor::start().await;
    ingestor.world().cache_control = "public, max-age=600".to_owned();
    let (source, _) = source(&ingestor);
    for _ in 0..3 {
        source.current().await.unwrap();
    }
    assert_eq!(ingestor.world().config_requests, [None]);
    source.refresh().await.unwrap();
    assert_eq!(
        ingestor.world().config_requests[1].as_deref(),
        Some("\"1\"")
    );
    ingestor.serve_config(&config(2), "\"2\"");
    assert_eq!(
        source.refresh().await.unwrap().document().registry_version,
        2
    );
}

#[tokio::test]
async fn the_last_good_one_is_kept_until_it_expires() {
    let ingestor = FakeIngestor::start().await;
    ingestor.world().cache_control = "max-age=0".to_owned();
    let (source, ahead) = source(&ingestor);
    source.current().await.unwrap();
    // A rejected document and a failed request: the last valid configuration is used, but a refresh
    // returns the error.
    ingestor.serve_config(
        &ClientConfig {
            locality: "us-ny".to_owned(),
            ..config(2)
        },
        "\"2\"",
    );
    assert!(matches!(
        source.refresh().await,
        Err(ClientConfigError::Locality { .. })
    ));
    assert_eq!(
        source.current().await.unwrap().document().registry_version,
        1
    );
    ingestor.world().config_status = Some(503);
    assert!(matches!(
        source.refresh().await,
        Err(ClientConfigError::Status { status: 503 })
    ));
    assert_eq!(
        source.current().await.unwrap().document().registry_version,
        1
    );
    // A week later the configuration has expired.
    ahead.store(7 * 86_400, Ordering::Relaxed);
    assert!(matches!(
        source.current().await,
        Err(ClientConfigError::Status { status: 503 })
    ));
}

#[tokio::test]
async fn an_expired_configuration_is_not_renewed_by_not_modified() {
    let ingestor = FakeIngestor::start().await;
    let (source, ahead) = source(&ingestor);
    source.current().await.unwrap();
    ahead.store(7 * 86_400, Ordering::Relaxed);
    assert!(matches!(
        source.current().await,
        Err(ClientConfigError::Expired { .. })
    ));
    assert_eq!(ingestor.world().config_requests, [None, None]);
}

#[tokio::test]
async fn nobody_there_is_worth_another_try() {
    let address = "http://127.0.0.1:1".parse().unwrap();
    let source = ConfigSource::new(&address, trust(), options().clock, options().timeouts).unwrap();
    let error = source.current().await.unwrap_err();
    assert!(
        matches!(error, ClientConfigError::Unreachable(_)),
        "{error:?}"
    );
    assert!(
        !format!("{error} {error:?}").contains("127.0.0.1:1/"),
        "{error:?}"
    );
}

#[test]
fn the_kinds_of_a_registry_are_all_known() {
    for kind in [
        EncodingKind::Histogram,
        EncodingKind::BitVector,
        EncodingKind::BoundedInteger,
    ] {
        let document = changed(|config| config.metrics = vec![support::metric("a-v1", kind, 4, 1)]);
        assert!(trust().check(&document, now()).is_ok());
    }
    let grouped = |bits| {
        let mut metric = support::metric("a-v1", EncodingKind::GroupedInteger, 4, 1);
        metric.encoding.groups = ["women", "men"].map(str::to_owned).to_vec();
        metric.encoding.bits = Some(bits);
        let document = changed(|config| config.metrics = vec![metric]);
        trust().check(&document, now())
    };
    assert!(grouped(1).is_ok());
    assert!(grouped(2).is_err());
}
