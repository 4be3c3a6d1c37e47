//! Verifies reports in tests: opens the shares with the test keys, and verifies and adds them with
//! the `prio` crate.

use std::io::Cursor;

use prio::codec::Decode as _;
use prio::field::FieldPrio2;
use prio::vdaf::prio2::Prio2;
use prio::vdaf::xof::Seed;
use prio::vdaf::{Aggregator as _, Share, VerifyTransition};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use tallybox_crypto::PacketPrivateKey;

use crate::report::{EncryptedShare, ProcessorKey};

/// An evaluation point that is not a root of unity of a small order.
const POINT: u32 = 998_314_904;

/// Returns the keys of both processors, always the same ones.
pub(crate) fn keys() -> [PacketPrivateKey; 2] {
    let mut rng = ChaCha20Rng::seed_from_u64(42);
    [(); 2].map(|()| PacketPrivateKey::generate(&mut rng))
}

/// Returns the public keys, as a client receives them.
pub(crate) fn processors() -> Vec<ProcessorKey> {
    let named = |(key, name): (PacketPrivateKey, &str)| ProcessorKey {
        key_id: Some(name.to_owned()),
        public: *key.public(),
    };
    keys()
        .into_iter()
        .zip(["pha-1", "facilitator-1"])
        .map(named)
        .collect()
}

/// Returns the plaintext of one share, if the key opens it.
pub(crate) fn open(key: &PacketPrivateKey, share: &EncryptedShare) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    key.open(&share.payload, &mut buffer).ok()?;
    Some(buffer)
}

/// Returns the length of the first processor's share in bytes: the bins, three elements, and a
/// power of two above the bins, 4 bytes each.
pub(crate) fn first_share_length(bins: usize) -> usize {
    4 * (bins + 3 + (bins + 1).next_power_of_two())
}

/// Returns the elements of the first processor's share, if their number is right and all are in the
/// field.
pub(crate) fn first_share(bins: usize, payload: &[u8]) -> Option<Share<FieldPrio2, 32>> {
    let elements: Result<Vec<FieldPrio2>, _> =
        payload.chunks(4).map(FieldPrio2::get_decoded).collect();
    (payload.len() == first_share_length(bins)).then_some(Share::Leader(elements.ok()?))
}

/// Returns the seed of the second processor's share, if it is valid.
pub(crate) fn second_share(payload: &[u8]) -> Option<Share<FieldPrio2, 32>> {
    let mut bytes = Cursor::new(payload);
    let seed = Seed::decode(&mut bytes).ok()?;
    (bytes.position() == payload.len() as u64).then_some(Share::Helper(seed))
}

/// Returns the sum of the two shares, if the proof is valid.
pub(crate) fn verify_and_add(bins: usize, shares: [&Share<FieldPrio2, 32>; 2]) -> Option<Vec<u32>> {
    let prio2 = Prio2::new(bins).unwrap();
    let verify = |index: usize| {
        prio2
            .verify_init_with_query_rand(FieldPrio2::from(POINT), shares[index], index == 0)
            .unwrap()
    };
    let [(first, first_share), (second, second_share)] = [verify(0), verify(1)];
    prio2
        .verifier_shares_to_message(b"", &(), [first_share, second_share])
        .ok()?;
    let output = |state| match prio2.verify_next(b"", state, ()).unwrap() {
        VerifyTransition::Finish(share) => share.as_ref().to_vec(),
        VerifyTransition::Continue(..) => unreachable!("prio2 has one round"),
    };
    let sums = output(first)
        .into_iter()
        .zip(output(second))
        .map(|(first, second)| u32::from(first + second));
    Some(sums.collect())
}
