//! Key agreement in eight lanes: any scalar with any public keys gives the results of the scalar
//! library.

use crate::forge::take_bytes;
use tallybox_crypto::PacketPrivateKey;
use tallybox_crypto::p256x8::{FixedScalar, Implementation};

/// Maximum number of public keys: three groups of eight, and one more.
const MAX_KEYS: usize = 25;

pub fn run(mut data: &[u8]) {
    let Ok(scalar) = FixedScalar::new(&take_bytes(&mut data)) else {
        return;
    };
    let mut keys = Vec::new();
    while !data.is_empty() && keys.len() < MAX_KEYS {
        keys.push(public_key(&mut data));
    }
    let keys: Vec<&[u8; 65]> = keys.iter().collect();
    let agree = |implementation| {
        let mut secrets = Vec::new();
        scalar.agree_batch_with(implementation, &keys, |index, secret| {
            assert_eq!(index, secrets.len(), "the keys are in order");
            secrets.push(secret.map(<[u8]>::to_vec));
        });
        secrets
    };
    if let Some(eight_lanes) = Implementation::eight_lanes() {
        assert_eq!(agree(eight_lanes), agree(Implementation::scalar()));
    }
}

/// Takes any 65 bytes, any coordinates, or a valid public key with one changed byte, which often
/// is the same byte.
fn public_key(data: &mut &[u8]) -> [u8; 65] {
    let [kind] = take_bytes(data);
    if kind % 4 > 1 {
        let mut key: [u8; 65] = take_bytes(data);
        if kind % 4 == 2 {
            key[0] = 4;
        }
        return key;
    }
    let Ok(private) = PacketPrivateKey::from_scalar(&take_bytes::<32>(data)) else {
        return [0; 65];
    };
    let mut key = *private.public().as_bytes();
    if kind % 4 == 1 {
        let [place, change] = take_bytes(data);
        key[usize::from(place) % 65] ^= change;
    }
    key
}
