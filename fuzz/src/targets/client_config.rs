//! The configuration that an ingestor sends to its clients. Even with a valid signature, it never
//! exceeds the pinned limits.

use crate::forge::printable;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use tallybox_client::config::Trust;
use tallybox_crypto::{SigningKey, jws};
use tallybox_model::client_config::CLIENT_CONFIG_TYPE;

/// The largest epsilon, and therefore the least noise, that the client accepts.
const MAX_EPSILON: f64 = 4.0;

struct World {
    key: SigningKey,
    trust: Trust,
}

pub fn run(data: &[u8]) {
    static WORLD: OnceLock<World> = OnceLock::new();
    let World { key, trust } = WORLD.get_or_init(World::new);
    let now = "2026-11-23T12:00:00Z".parse().expect("a time");
    let error = trust.check(data, now).expect_err("the input was not signed with this key");
    printable(&error);
    let document = jws::sign(data, CLIENT_CONFIG_TYPE, "config-1", key).expect("any bytes can be signed");
    match trust.check(&document, now) {
        Ok(config) => {
            assert_eq!(config.document().locality, trust.locality);
            assert!(config.expires() > now);
            assert!(config.metrics().all(|metric| metric.metric.epsilon <= MAX_EPSILON));
        }
        Err(error) => printable(&error),
    }
}

impl World {
    fn new() -> Self {
        let key = crate::world::signing_key();
        let trust = Trust {
            locality: "us-ca".to_owned(),
            keys: BTreeMap::from([("config-1".to_owned(), key.verifying_key())]),
            max_epsilon: MAX_EPSILON,
        };
        Self { key, trust }
    }
}
