//! Opens and adds both shares of a report, and recomputes the proof.

use tallybox_crypto::prio2::{MODULUS, Prio2, Randomness};
use tallybox_crypto::{EciesError, PacketPrivateKey, ecies};
use tallybox_model::report::ReportUpload;

use super::{ReportFault, Which};

/// Length of the ephemeral point at the start of a sealed share, in bytes.
pub(super) const POINT_BYTES: usize = 65;

/// The opened shares.
pub(super) struct Opened {
    /// The elements of the first share.
    pub(super) first: Vec<u32>,
    /// The seed of the second share.
    pub(super) seed: [u8; 32],
    /// The sum of both shares: bins, f0, g0 and the rest of the proof.
    pub(super) proof: Vec<u32>,
}

/// Opens both shares and adds them.
pub(super) fn open(
    upload: &ReportUpload,
    prio2: &Prio2,
    keys: &[PacketPrivateKey; 2],
) -> Result<Opened, ReportFault> {
    let payloads = upload.payloads();
    let plaintexts = [4 * prio2.proof_length(), 32];
    let lengths = payloads.map(<[u8]>::len);
    let expected = plaintexts.map(|bytes| bytes + ecies::OVERHEAD);
    // Checked first, because swapped shares also have wrong lengths.
    if lengths == [expected[1], expected[0]] {
        return Err(ReportFault::SharesExchanged);
    }
    for which in Which::BOTH {
        let (found, expected, plaintext) = (
            lengths[which.index()],
            expected[which.index()],
            plaintexts[which.index()],
        );
        if found != expected {
            return Err(ReportFault::SealedLength {
                which,
                found,
                expected,
                plaintext,
            });
        }
        ecies::check_ephemeral(payloads[which.index()])
            .map_err(|_| ReportFault::NotAPoint { which })?;
    }
    if payloads[0][..POINT_BYTES] == payloads[1][..POINT_BYTES] {
        return Err(ReportFault::SameEphemeral);
    }
    let first = open_payload(payloads[0], keys, Which::First)?;
    let second = open_payload(payloads[1], keys, Which::Second)?;
    let first: Vec<u32> = first
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect();
    if let Some(index) = first.iter().position(|element| *element >= MODULUS) {
        return Err(ReportFault::Element {
            index,
            name: name(prio2, index),
            value: first[index],
        });
    }
    let length = |_| ReportFault::SealedLength {
        which: Which::Second,
        found: lengths[1],
        expected: expected[1],
        plaintext: plaintexts[1],
    };
    let mut generated = Vec::new();
    prio2
        .decode_share(1, &second, &mut generated)
        .map_err(length)?;
    let mut seed = [0; 32];
    seed.copy_from_slice(&second);
    let proof = first
        .iter()
        .zip(&generated)
        .map(|(first, second)| add(*first, *second))
        .collect();
    Ok(Opened { first, seed, proof })
}

fn open_payload(
    payload: &[u8],
    keys: &[PacketPrivateKey; 2],
    which: Which,
) -> Result<Vec<u8>, ReportFault> {
    let mut share = Vec::new();
    let [ours, other] = [&keys[which.index()], &keys[1 - which.index()]];
    match ours.open(payload, &mut share).map(|_| ()) {
        Ok(()) => Ok(share),
        Err(EciesError::NotAPoint) => Err(ReportFault::NotAPoint { which }),
        Err(_) if other.open(payload, &mut share).is_ok() => Err(ReportFault::OtherKey { which }),
        Err(_) => Err(ReportFault::Tag { which }),
    }
}

/// Verifies that every bin is 0 or 1, and recomputes the proof from the bins, f0 and g0. Returns
/// the bins.
pub(super) fn verify(prio2: &Prio2, opened: &Opened) -> Result<Vec<bool>, ReportFault> {
    let (bins, rest) = opened.proof.split_at(prio2.bins());
    if let Some(bin) = bins.iter().position(|value| *value > 1) {
        let value = bins[bin];
        return Err(ReportFault::NotABit { bin, value });
    }
    let bits: Vec<bool> = bins.iter().map(|value| *value == 1).collect();
    let randomness = Randomness {
        seed: opened.seed,
        f0: rest[0],
        g0: rest[1],
    };
    let shares = prio2.split(&bits, &randomness).map_err(ReportFault::Bins)?;
    let recomputed = shares
        .first
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes));
    for (index, (found, right)) in opened.first.iter().zip(recomputed).enumerate() {
        if *found != right {
            let proof = opened.proof[index];
            return Err(ReportFault::Proof {
                index,
                name: name(prio2, index),
                found: proof,
                // The element that the seed generates is the same on both sides.
                expected: add(add(proof, right), MODULUS - found),
            });
        }
    }
    Ok(bits)
}

/// Returns the name of an element of a proof.
pub(super) fn name(prio2: &Prio2, index: usize) -> String {
    match index.checked_sub(prio2.bins()) {
        None => format!("bin {index}"),
        Some(0) => "f0".to_owned(),
        Some(1) => "g0".to_owned(),
        Some(2) => "h0 = f0 * g0".to_owned(),
        Some(index) => {
            let power = 2 * (index - 3) + 1;
            format!("h at w_{}^{power}", 2 * prio2.domain())
        }
    }
}

fn add(first: u32, second: u32) -> u32 {
    ((u64::from(first) + u64::from(second)) % u64::from(MODULUS)) as u32
}
