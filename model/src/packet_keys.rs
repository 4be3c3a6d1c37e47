//! The rule that a packet key belongs to one processor and one number of bins. Every list of packet
//! keys is checked against it.
//!
//! The second processor's share is a seed that is valid for any number of bins. If a processor
//! evaluates one ciphertext at one point under two numbers of bins, its peer learns two independent
//! linear equations about the client's answer. Therefore the number of bins is bound to the key
//! that a share is encrypted to, and the same ciphertext can never be evaluated under another
//! number. The rule applies to the key itself, not only to its id: one key under two ids would
//! break the rule as well, and would have two evaluation points.

use std::collections::BTreeMap;

use crate::id::KeyId;
use crate::role::Role;

/// A packet key as listed in a configuration or a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPacketKey {
    /// The processor that holds the private half.
    pub role: Role,
    /// The id that packets name.
    pub id: KeyId,
    /// The public half: base64 of the uncompressed P-256 point, 65 bytes.
    pub public: String,
    /// The number of bins of all shares that are encrypted to the key.
    pub bins: u32,
}

/// A contradiction between two entries of a list of packet keys, to be corrected by the operator
/// who wrote the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketKeyConflict {
    /// A key is listed with two numbers of bins.
    #[error(
        "packet key {id} of the {role} processor is listed with {bins} bins and with {other} bins: a packet key has \
         exactly one number of bins; use a separate key for each"
    )]
    Bins {
        /// The processor.
        role: Role,
        /// The key.
        id: KeyId,
        /// The number of bins in the first entry.
        bins: u32,
        /// The number of bins in the second entry.
        other: u32,
    },
    /// An id is listed with two public keys.
    #[error(
        "packet key {id} of the {role} processor is listed with two different public keys; give each key its own id"
    )]
    Id {
        /// The processor.
        role: Role,
        /// The id.
        id: KeyId,
    },
    /// A public key is listed under two ids, for one processor or for both.
    #[error(
        "packet keys {id} of the {role} processor and {other} of the {other_role} processor are the same public key: \
         generate a separate key for each"
    )]
    Public {
        /// The processor of the first entry.
        role: Role,
        /// The id of the first entry.
        id: KeyId,
        /// The processor of the second entry.
        other_role: Role,
        /// The id of the second entry.
        other: KeyId,
    },
}

/// The packet keys of one instance that have been added so far, without contradictions.
#[derive(Clone, Debug, Default)]
pub struct PacketKeyList {
    by_id: BTreeMap<(Role, KeyId), (String, u32)>,
    by_public: BTreeMap<String, (Role, KeyId)>,
}

impl PacketKeyList {
    /// Adds a key. The same id, public half and number of bins may be added any number of times.
    ///
    /// # Errors
    /// [`PacketKeyConflict`] if the key contradicts a key that was added before.
    pub fn add(&mut self, key: ListedPacketKey) -> Result<(), PacketKeyConflict> {
        let ListedPacketKey {
            role,
            id,
            public,
            bins,
        } = key;
        let name = (role, id);
        if let Some((earlier, earlier_bins)) = self.by_id.get(&name) {
            let id = name.1;
            if *earlier != public {
                return Err(PacketKeyConflict::Id { role, id });
            }
            if *earlier_bins != bins {
                let (bins, other) = (*earlier_bins, bins);
                return Err(PacketKeyConflict::Bins {
                    role,
                    id,
                    bins,
                    other,
                });
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

    /// Returns the public halves of all keys.
    pub fn public_keys(&self) -> impl Iterator<Item = &str> {
        self.by_public.keys().map(String::as_str)
    }
}

/// Returns whether a text is base64 of 65 bytes that begin like an uncompressed P-256 point. A
/// private key has another length in every encoding, so this check keeps private keys out of public
/// lists. Users of the key check that the point is on the curve.
#[must_use]
pub fn is_public_key(text: &str) -> bool {
    let Some((body, padding)) = text.split_at_checked(text.len().saturating_sub(1)) else {
        return false;
    };
    // 65 bytes are 87 base64 digits and one padding character. The first byte is 4: 'B', followed
    // by one of the first sixteen digits.
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let starts = |second: u8| second.is_ascii_uppercase() && second <= b'P';
    padding == "="
        && body.len() == 87
        && body.bytes().all(digit)
        && body.starts_with('B')
        && starts(body.as_bytes()[1])
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
            PacketKeyConflict::Bins {
                bins: 5,
                other: 9,
                ..
            }
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
