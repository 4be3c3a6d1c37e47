//! Signed JSON documents: verification returns only payloads that the key signed.

use tallybox_crypto::jws;
use tallybox_model::client_config::{CLIENT_CONFIG_TYPE, ClientConfig};

pub fn run(data: &[u8]) {
    let _ = serde_json::from_slice::<ClientConfig>(data);
    let key = crate::world::signing_key();
    let verifying = key.verifying_key();
    let opened = jws::verify(data, CLIENT_CONFIG_TYPE, |_| Some(&verifying));
    assert!(opened.is_err(), "the input was not signed with this key");
    let signed = jws::sign(data, CLIENT_CONFIG_TYPE, "k", &key).expect("any bytes can be signed");
    let payload = jws::verify(&signed, CLIENT_CONFIG_TYPE, |id| (id == "k").then_some(&verifying));
    assert_eq!(payload.expect("what was just signed"), data);
}
