//! Encrypted packets: any bytes, and valid packets with damage.

use crate::forge::damage;
use std::sync::OnceLock;
use tallybox_crypto::PacketPrivateKey;
use tallybox_crypto::ecies::{OVERHEAD, seal_with_ephemeral};

/// The second packet key of the vectors, which opens the packets in `seeds`.
const KEY: &str = include_str!("../../../tests/testdata/vectors/keys/facilitator-packet-2.x963-private.b64");

pub fn run(data: &[u8]) {
    static OPENER: OnceLock<PacketPrivateKey> = OnceLock::new();
    let key = OPENER.get_or_init(|| PacketPrivateKey::parse(KEY).expect("a key of the vectors"));
    let mut buffer = vec![7; 3];
    match key.open(data, &mut buffer) {
        Ok(plaintext) => assert_eq!(plaintext.len() + OVERHEAD, data.len()),
        Err(error) => {
            assert!(buffer.is_empty(), "something is left behind after an error");
            assert!(data.len() >= OVERHEAD || !error.may_be_another_key(), "no key opens so short a packet");
        }
    }
    let (plaintext, changes) = data.split_at(data.len() / 2);
    let sealed = seal_with_ephemeral(key.public(), plaintext, &[3; 32]).expect("a scalar in range");
    let mut damaged = sealed.clone();
    let changed = damage(&mut damaged, changes);
    assert_eq!(key.open(&damaged, &mut buffer).is_err(), changed, "damage has to show, and nothing else");
}
