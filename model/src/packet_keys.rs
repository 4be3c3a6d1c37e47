//! The rule that a packet key belongs to one processor and one number of bins, checked wherever keys are listed.
//!
//! The second processor's share is a seed that is valid for any number of bins. A processor that evaluates one
//! ciphertext at one point under two numbers of bins tells its peer two independent linear equations about the client's
//! answer. So the number of bins belongs to the key that a share is sealed to: the same ciphertext can then never be
//! evaluated under another. The rule holds for the key itself, not only for its id: one key under two ids would break
//! it as well, and would get two evaluation points.

use std::collections::BTreeMap;

use crate::id::KeyId;
use crate::role::Role;

/// A packet key as a configuration or a document lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPacketKey {
    /// The processor that holds the private half.
    pub role: Role,
    /// The id that packets name.
    pub id: KeyId,
    /// The public half: base64 of the uncompressed P-256 point, 65 bytes.
    pub public: String,
    /// The number of bins of all shares that are sealed to the key.
    pub bins: u32,
}

/// Two entries of a list of packet keys that contradict each other. The operator who wrote the list corrects it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketKeyConflict {
    /// A key is listed with two numbers of bins.
    #[error(
        "packet key {id} of the {role} processor is listed with {bins} bins and with {other} bins: a packet key belongs \
         to one number of bins, use another key for each"
    )]
    Bins {
        /// The processor.
        role: Role,
        /// The key.
        id: KeyId,
        /// The number of bins that is listed first.
        bins: u32,
        /// The number of bins that is listed later.
        other: u32,
    },
    /// An id is listed with two public keys.
    #[error(
        "packet key {id} of the {role} processor is listed with two different public keys: give each key its own id"
    )]
    Id {
        /// The processor.
        role: Role,
        /// The id.
        id: KeyId,
    },
    /// A public key is listed under two ids, of one processor or of both.
    #[error(
        "packet keys {id} of the {role} processor and {other} of the {other_role} processor are the same public key: \
         generate a key of its own for each"
    )]
    Public {
        /// The processor of the entry that is listed first.
        role: Role,
        /// The id that is listed first.
        id: KeyId,
        /// The processor of the entry that is listed later.
        other_role: Role,
        /// The id that is listed later.
        other: KeyId,
    },
}

/// The packet keys of one instance that have been listed so far, free of conflicts.
#[derive(Clone, Debug, Default)]
pub struct PacketKeyList {
    by_id: BTreeMap<(Role, KeyId), (String, u32)>,
    by_public: BTreeMap<String, (Role, KeyId)>,
}

impl PacketKeyList {
    /// Adds a key. A key may be listed any number of times with the same id, public half and number of bins.
    ///
    /// # Errors
    /// [`PacketKeyConflict`] when the key contradicts one that was added before.
    pub fn add(&mut self, key: ListedPacketKey) -> Result<(), PacketKeyConflict> {
        let ListedPacketKey { role, id, public, bins } = key;
        let name = (role, id);
        if let Some((known, known_bins)) = self.by_id.get(&name) {
            let id = name.1;
            if *known != public {
                return Err(PacketKeyConflict::Id { role, id });
            }
            if *known_bins != bins {
                let (bins, other) = (*known_bins, bins);
                return Err(PacketKeyConflict::Bins { role, id, bins, other });
            }
            return Ok(());
        }
        if let Some((known_role, known_id)) = self.by_public.get(&public) {
            return Err(PacketKeyConflict::Public {
                role: *known_role,
                id: known_id.clone(),
                other_role: role,
                other: name.1,
            });
        }
        self.by_public.insert(public.clone(), name.clone());
        self.by_id.insert(name, (public, bins));
        Ok(())
    }

    /// The public halves of all keys, as they were added.
    pub fn public_keys(&self) -> impl Iterator<Item = &str> {
        self.by_public.keys().map(String::as_str)
    }
}

/// Whether a text is base64 of 65 bytes that begin as an uncompressed P-256 point does. A private key is longer or
/// shorter in every encoding. Whether the point is on the curve is for who uses it to check.
#[must_use]
pub fn is_public_key(text: &str) -> bool {
    let Some((body, padding)) = text.split_at_checked(text.len().saturating_sub(1)) else {
        return false;
    };
    // 65 bytes are 87 digits and one sign of padding. The first byte is 4: 'B', then one of the first sixteen digits.
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let starts = |second: u8| second.is_ascii_uppercase() && second <= b'P';
    padding == "=" && body.len() == 87 && body.bytes().all(digit) && body.starts_with('B') && starts(body.as_bytes()[1])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(role: Role, id: &str, public: &str, bins: u32) -> ListedPacketKey {
        ListedPacketKey {
            role,
            id: id.to_owned(),
            public: public.to_owned(),
            bins,
        }
    }

    #[test]
    fn a_key_has_one_id_one_processor_and_one_number_of_bins() {
        let mut list = PacketKeyList::default();
        list.add(key(Role::First, "a", "A", 5)).unwrap();
        list.add(key(Role::Second, "a", "B", 5)).unwrap();
        list.add(key(Role::First, "a", "A", 5)).unwrap();
        let conflict = |key| list.clone().add(key).unwrap_err();
        assert!(matches!(
            conflict(key(Role::First, "a", "A", 9)),
            PacketKeyConflict::Bins { bins: 5, other: 9, .. }
        ));
        assert!(matches!(
            conflict(key(Role::First, "a", "C", 5)),
            PacketKeyConflict::Id { .. }
        ));
        for other in [
            key(Role::First, "b", "A", 9),
            key(Role::First, "b", "A", 5),
            key(Role::Second, "b", "A", 5),
        ] {
            assert!(matches!(conflict(other), PacketKeyConflict::Public { .. }));
        }
    }
}
