//! Packets that an honest client would not send, derived from normal ones, with their required
//! outcome.

use std::fmt;

use tallybox_crypto::prio2::{Prio2, Randomness};
use tallybox_model::role::Role;

use super::{Generated, GeneratedAnswer, Traffic};
use crate::error::ClientError;
use crate::report::Report;

/// Length of the shortest possible ciphertext in bytes: a point and a tag.
const CIPHERTEXT_FLOOR: usize = 81;

/// A kind of hostile packet. If a [`Role`] is given, only that processor's share is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hostility {
    /// The value 2 in the first bin, an attempt to count twice. The shares are well formed; only
    /// the two processors' messages together show that the proof is not valid.
    InvalidProof,
    /// A ciphertext with a changed tag, which no key opens.
    Undecryptable(Role),
    /// A ciphertext that does not begin with a point of the curve.
    NotAPoint(Role),
    /// A ciphertext one byte shorter than a point and a tag.
    ShortCiphertext(Role),
    /// A share that opens, but is too short.
    ShortShare(Role),
    /// A share that opens, but is too long.
    LongShare(Role),
    /// A share with one bin more than the metric has. The second processor's share is a seed of 32
    /// bytes for any number of bins, so only the first processor can detect it.
    OneBinMore,
    /// A number that is not below the field's modulus in the first processor's share.
    NotInField,
    /// The two processors' shares, swapped.
    SwappedShares,
    /// Another answer under the id of packet `original`, an attempt to count it in addition to
    /// or instead of that packet.
    DuplicateId {
        /// Index of the packet whose id is used. It should be earlier in the same batch.
        original: u64,
    },
    /// A key id that no processor has. The id is only a hint, so the packet is valid.
    UnknownKeyId(Role),
}

/// The required outcome of a hostile packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExpectedOutcome {
    /// The packet is counted.
    Counted,
    /// Both processors send a verification message, find that the proof is not valid, and reject
    /// the packet.
    RejectedTogether,
    /// These processors reject the packet at intake and send no verification message, so the other
    /// processor leaves it out, too.
    RejectedAtIntake(&'static [Role]),
    /// The first packet with the id is counted; this one gets no verification message.
    Duplicate,
}

impl Hostility {
    /// Returns every kind, for both sides where a role applies. `original` is the packet whose id
    /// is used.
    #[must_use]
    pub fn every(original: u64) -> Vec<Self> {
        let sided = [
            Self::Undecryptable as fn(Role) -> Self,
            Self::NotAPoint,
            Self::ShortCiphertext,
            Self::ShortShare,
            Self::LongShare,
            Self::UnknownKeyId,
        ];
        let mut all = vec![
            Self::InvalidProof,
            Self::OneBinMore,
            Self::NotInField,
            Self::SwappedShares,
        ];
        all.push(Self::DuplicateId { original });
        all.extend(sided.iter().flat_map(|kind| Role::ALL.map(kind)));
        all
    }

    /// Returns the required outcome.
    #[must_use]
    pub fn expected_outcome(self) -> ExpectedOutcome {
        match self {
            Self::InvalidProof => ExpectedOutcome::RejectedTogether,
            Self::Undecryptable(role)
            | Self::NotAPoint(role)
            | Self::ShortCiphertext(role)
            | Self::ShortShare(role)
            | Self::LongShare(role) => ExpectedOutcome::RejectedAtIntake(alone(role)),
            Self::OneBinMore | Self::NotInField => {
                ExpectedOutcome::RejectedAtIntake(alone(Role::First))
            }
            Self::SwappedShares => ExpectedOutcome::RejectedAtIntake(&Role::ALL),
            Self::DuplicateId { .. } => ExpectedOutcome::Duplicate,
            Self::UnknownKeyId(_) => ExpectedOutcome::Counted,
        }
    }

    fn name(self) -> (&'static str, Option<Role>) {
        match self {
            Self::InvalidProof => ("invalid-proof", None),
            Self::Undecryptable(role) => ("undecryptable", Some(role)),
            Self::NotAPoint(role) => ("not-a-point", Some(role)),
            Self::ShortCiphertext(role) => ("short-ciphertext", Some(role)),
            Self::ShortShare(role) => ("short-share", Some(role)),
            Self::LongShare(role) => ("long-share", Some(role)),
            Self::OneBinMore => ("one-bin-more", None),
            Self::NotInField => ("not-in-field", None),
            Self::SwappedShares => ("swapped-shares", None),
            Self::DuplicateId { .. } => ("duplicate-id", None),
            Self::UnknownKeyId(role) => ("unknown-key-id", Some(role)),
        }
    }
}

impl fmt::Display for Hostility {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            (name, None) => formatter.write_str(name),
            (name, Some(role)) => write!(formatter, "{name} ({role})"),
        }
    }
}

fn alone(role: Role) -> &'static [Role] {
    match role {
        Role::First => &[Role::First],
        Role::Second => &[Role::Second],
    }
}

impl Traffic {
    /// Returns the hostile variant of packet `index`. The bins in the result are those of the
    /// normal packet, whatever the outcome.
    ///
    /// # Errors
    /// As [`Traffic::packet`]; with [`Hostility::OneBinMore`], also if Prio2 does not support one
    /// more bin.
    pub fn hostile(&self, index: u64, hostility: Hostility) -> Result<Generated, ClientError> {
        let (
            GeneratedAnswer {
                true_bits,
                noisy_bits,
            },
            mut id,
            mut rng,
        ) = self.start(index)?;
        if let Hostility::DuplicateId { original } = hostility {
            id = self.start(original)?.1;
        }
        let randomness = Randomness::draw(&mut rng);
        let shares = match hostility {
            Hostility::InvalidProof => {
                let mut values: Vec<u32> = noisy_bits.iter().map(|bit| u32::from(*bit)).collect();
                values.iter_mut().take(1).for_each(|value| *value = 2);
                self.prio2.split_values(&values, &randomness)?
            }
            Hostility::OneBinMore => {
                let longer: Vec<bool> = noisy_bits.iter().copied().chain([true]).collect();
                Prio2::new(longer.len())?.split(&longer, &randomness)?
            }
            _ => self.prio2.split(&noisy_bits, &randomness)?,
        };
        let mut payloads = [shares.first.to_vec(), shares.second.to_vec()];
        spoil_payloads(&mut payloads, hostility);
        let mut report = self
            .client
            .seal_payloads(id, [&payloads[0], &payloads[1]], &mut rng)?;
        spoil_report(&mut report, hostility);
        Ok(Generated {
            report,
            true_bits,
            noisy_bits,
        })
    }
}

/// Changes the shares before sealing.
fn spoil_payloads(payloads: &mut [Vec<u8>; 2], hostility: Hostility) {
    match hostility {
        Hostility::ShortShare(role) => {
            let payload = &mut payloads[role.index()];
            payload.truncate(payload.len().saturating_sub(4));
        }
        Hostility::LongShare(role) => payloads[role.index()].extend([0; 4]),
        Hostility::NotInField => payloads[0].iter_mut().take(4).for_each(|byte| *byte = 0xff),
        _ => {}
    }
}

/// Changes the report after sealing.
fn spoil_report(report: &mut Report, hostility: Hostility) {
    match hostility {
        Hostility::Undecryptable(role) => {
            let payload = &mut report.shares[role.index()].payload;
            payload.iter_mut().rev().take(1).for_each(|byte| *byte ^= 1);
        }
        Hostility::NotAPoint(role) => {
            // Coordinates above the prime of the curve.
            let payload = &mut report.shares[role.index()].payload;
            payload
                .iter_mut()
                .skip(1)
                .take(64)
                .for_each(|byte| *byte = 0xff);
        }
        Hostility::ShortCiphertext(role) => report.shares[role.index()]
            .payload
            .truncate(CIPHERTEXT_FLOOR - 1),
        Hostility::SwappedShares => {
            let (first, second) = report.shares.split_at_mut(1);
            std::mem::swap(&mut first[0].payload, &mut second[0].payload);
        }
        Hostility::UnknownKeyId(role) => {
            report.shares[role.index()].key_id = Some("a-key-that-nobody-has".to_owned());
        }
        _ => {}
    }
}
