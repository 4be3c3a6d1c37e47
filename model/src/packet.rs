//! The packet records of the three batch kinds.

use crate::avro::{Record, RecordKind};
use crate::id::{IdError, PacketId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One client's encrypted share (`PrioDataSharePacket`), borrowed from the block it was decoded
/// from.
///
/// `id` and `r_pit` hold the values of the record without validation, because an invalid value in
/// either rejects only this packet, not the batch. The evaluation point is a secret of the ingestor
/// and the processors, so `Debug` prints neither the point nor the share.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSharePacket<'a> {
    /// The packet's identifier, as text.
    #[serde(rename = "uuid", borrow)]
    pub id: &'a str,
    /// The share, encrypted to one processor (ECIES).
    #[serde(with = "serde_bytes", borrow)]
    pub encrypted_payload: &'a [u8],
    /// The id of the processor's key that the share is encrypted to; only a hint.
    #[serde(borrow, default)]
    pub encryption_key_id: Option<&'a str>,
    /// The evaluation point of the proof, chosen by the ingestor.
    pub r_pit: i64,
    /// Preserved, but never used.
    #[serde(borrow, default)]
    pub version_configuration: Option<&'a str>,
    /// Preserved, but never used.
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
    /// Parses the packet's identifier.
    ///
    /// # Errors
    /// [`IdError`] if the identifier is not a UUID.
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

/// One processor's verification message for one packet (`PrioValidityPacket`): the values of the
/// proof's polynomials at the evaluation point, each in `0..prime`. `Debug` prints only the
/// identifier.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationPacket {
    /// The packet's identifier.
    #[serde(rename = "uuid")]
    pub id: PacketId,
    /// The value of the polynomial f at the evaluation point.
    pub f_r: i64,
    /// The value of the polynomial g at the evaluation point.
    pub g_r: i64,
    /// The value of the polynomial h at the evaluation point.
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

/// A packet that a processor excluded from its sum (`PrioInvalidPacket`).
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
