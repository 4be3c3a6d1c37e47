//! The document that a processor publishes: its extensions, and the packet keys that ingestors may
//! use.
//!
//! ```json
//! {"format":1,"roster":null,"packet-keys":[{"id":"first-packet-5-1","bins":5,"public-key":"BAIX…"}]}
//! ```
//!
//! Packet keys change more often than rosters and are parsed separately, so an invalid list of keys
//! never changes how a window is summed.

use serde::{Deserialize, Serialize};

use super::{Extensions, ExtensionsError, FORMAT, RosterExtension, read, write};
use crate::id::KeyId;
use crate::packet_keys::{ListedPacketKey, PacketKeyList, is_public_key};
use crate::role::Role;

/// A packet key as announced by its processor to ingestors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AnnouncedPacketKey {
    /// The id that packets name.
    pub id: KeyId,
    /// The number of bins of all shares that are encrypted to the key.
    pub bins: u32,
    /// Base64 of the uncompressed P-256 point, 65 bytes.
    pub public_key: String,
}

/// The document that a processor publishes in addition to its manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// The processor's capabilities beyond ENPA.
    pub extensions: Extensions,
    /// The packet keys of the instance, those first that ingestors should give to clients.
    pub packet_keys: Vec<AnnouncedPacketKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Wire {
    format: u64,
    #[serde(default)]
    roster: Option<RosterExtension>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    packet_keys: Vec<AnnouncedPacketKey>,
}

impl Announcement {
    /// Parses the announcement of the processor with this role.
    ///
    /// # Errors
    /// [`ExtensionsError`] if the document is invalid or its packet keys contradict each other.
    pub fn parse(document: &[u8], role: Role) -> Result<Self, ExtensionsError> {
        let extensions = Extensions::parse(document)?;
        let Wire { packet_keys, .. } = read(document)?;
        let announcement = Self {
            extensions,
            packet_keys,
        };
        announcement.check(role)?;
        Ok(announcement)
    }

    /// Checks the packet keys of the processor with this role.
    ///
    /// # Errors
    /// [`ExtensionsError`], naming the invalid key.
    pub fn check(&self, role: Role) -> Result<(), ExtensionsError> {
        let mut list = PacketKeyList::default();
        for key in &self.packet_keys {
            if key.bins == 0 || !is_public_key(&key.public_key) {
                return Err(ExtensionsError::PacketKey { id: key.id.clone() });
            }
            list.add(ListedPacketKey {
                role,
                id: key.id.clone(),
                public: key.public_key.clone(),
                bins: key.bins,
            })?;
        }
        Ok(())
    }

    /// Serialises the document as compact JSON, with keys in the format's order.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        write(&Wire {
            format: FORMAT,
            roster: self.extensions.roster,
            packet_keys: self.packet_keys.clone(),
        })
    }
}
