//! The packets of the three kinds of batch.

use crate::avro::{Record, RecordKind};
use crate::id::{IdError, PacketId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One client's encrypted share (`PrioDataSharePacket`), borrowed from the block it was decoded from.
///
/// `id` and `r_pit` are carried as they came: a packet in which they are nonsense costs that packet, not its batch. The
/// evaluation point is a secret of ingestor and processors, so `Debug` shows neither it nor the share.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSharePacket<'a> {
    /// The packet's identifier, as text.
    #[serde(rename = "uuid", borrow)]
    pub id: &'a str,
    /// The share, sealed to one processor (ECIES).
    #[serde(with = "serde_bytes", borrow)]
    pub encrypted_payload: &'a [u8],
    /// Which of the processor's keys it is sealed to; only a hint.
    #[serde(borrow, default)]
    pub encryption_key_id: Option<&'a str>,
    /// The evaluation point of the proof, chosen by the ingestor.
    pub r_pit: i64,
    /// Carried, never used.
    #[serde(borrow, default)]
    pub version_configuration: Option<&'a str>,
    /// Carried, never used.
    #[serde(with = "serde_bytes", borrow, default)]
    pub device_nonce: Option<&'a [u8]>,
}

impl fmt::Debug for DataSharePacket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataSharePacket")
            .field("id", &self.id)
            .field("encryption_key_id", &self.encryption_key_id)
            .finish_non_exhaustive()
    }
}

impl DataSharePacket<'_> {
    /// The packet's identifier.
    ///
    /// # Errors
    /// [`IdError`] if it is not a UUID.
    pub fn packet_id(&self) -> Result<PacketId, IdError> {
        self.id.parse()
    }
}

impl Record for DataSharePacket<'_> {
    const KIND: RecordKind = RecordKind::DataSharePacket;

    fn variable_bytes(&self) -> u64 {
        let optional = self.encryption_key_id.map_or(0, str::len)
            + self.version_configuration.map_or(0, str::len)
            + self.device_nonce.map_or(0, <[u8]>::len);
        (self.id.len() + self.encrypted_payload.len() + optional) as u64
    }
}

/// One processor's verification message for one packet (`PrioValidityPacket`): values of the proof's polynomials at
/// the evaluation point, each in `0..prime`. `Debug` shows the identifier alone.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationPacket {
    /// The packet's identifier.
    #[serde(rename = "uuid")]
    pub id: PacketId,
    /// f at the point.
    pub f_r: i64,
    /// g at the point.
    pub g_r: i64,
    /// h at the point.
    pub h_r: i64,
}

impl fmt::Debug for ValidationPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidationPacket")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Record for ValidationPacket {
    const KIND: RecordKind = RecordKind::ValidationPacket;

    fn variable_bytes(&self) -> u64 {
        36
    }
}

/// A packet that a processor did not count (`PrioInvalidPacket`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InvalidPacket {
    /// The packet's identifier.
    #[serde(rename = "uuid")]
    pub id: PacketId,
}

impl Record for InvalidPacket {
    const KIND: RecordKind = RecordKind::InvalidPacket;

    fn variable_bytes(&self) -> u64 {
        36
    }
}
