//! The rule that one key pair serves one purpose and one party.

use std::collections::BTreeMap;

/// The public keys of a configuration, by fingerprint.
///
/// If a packet key also signs, or a peer has the same key as the ingestor, one party can act as
/// another: an ingestor's signature would verify as a processor's.
#[derive(Debug, Default)]
pub struct KeyPurposes {
    purposes: BTreeMap<String, (&'static str, String)>,
}

/// The error for a key pair with two purposes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{first_purpose} \"{first}\" and {second_purpose} \"{second}\" are the same key pair: each purpose and each party needs \
     its own key"
)]
pub struct KeyReuse {
    first_purpose: &'static str,
    first: String,
    second_purpose: &'static str,
    second: String,
}

impl KeyPurposes {
    /// Adds a key by its purpose, its name in the configuration and the fingerprint of its public
    /// half. The same key under two names of one purpose is allowed.
    ///
    /// # Errors
    /// [`KeyReuse`] if the key already has another purpose.
    pub fn add(
        &mut self,
        purpose: &'static str,
        name: &str,
        fingerprint: String,
    ) -> Result<(), KeyReuse> {
        let (first_purpose, first) = self
            .purposes
            .entry(fingerprint)
            .or_insert_with(|| (purpose, name.to_owned()));
        if *first_purpose == purpose {
            return Ok(());
        }
        Err(KeyReuse {
            first_purpose,
            first: first.clone(),
            second_purpose: purpose,
            second: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_serves_one_purpose() {
        let mut purposes = KeyPurposes::default();
        assert_eq!(
            purposes.add("ingestor public key", "i1", "aa".into()),
            Ok(())
        );
        assert_eq!(
            purposes.add("ingestor public key", "i2", "aa".into()),
            Ok(())
        );
        assert_eq!(purposes.add("peer public key", "p1", "bb".into()), Ok(()));
        let reuse = purposes.add("peer public key", "p2", "aa".into());
        let shown = reuse.map_err(|error| error.to_string());
        assert_eq!(
            shown,
            Err(
                "ingestor public key \"i1\" and peer public key \"p2\" are the same key pair: each purpose and each \
                 party needs its own key"
                    .into()
            )
        );
    }
}
