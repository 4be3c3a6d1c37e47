//! The program accepts the sample configuration.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use tallybox_facilitator::config::Config;

#[test]
fn the_sample_configuration_loads() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/facilitator.yaml");
    let loaded = tallybox_service::config::load::<Config>(&file).unwrap();
    assert!(!loaded.value.packet_decryption_keys.is_empty());
    assert!(!loaded.value.prepared_sealing_key.as_slice().is_empty());
}
