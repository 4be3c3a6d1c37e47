//! The chain from the issuer of a leaf up to a configured root.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::certificate::{Certificate, Serial};
use crate::attestation::Reason;

/// A trusted root: a name and a key. Everything else in its certificate is ignored, including the
/// validity period, because Google issues new certificates for the same root keys.
#[derive(Debug)]
pub(super) struct Root {
    bytes: Vec<u8>,
    issuers: Arc<Issuers>,
}

/// Certificates from a root down, each verified to be issued by the one before.
#[derive(Debug)]
pub(super) struct Issuers {
    /// Name of the last certificate, the issuer of the next one.
    pub(super) subject: Name,
    /// Key of the last certificate.
    pub(super) key: SubjectPublicKeyInfoOwned,
    /// Serial numbers of all certificates. Revocation is checked for each report.
    pub(super) serials: Vec<Serial>,
    /// First second in which all certificates are valid.
    not_before: u64,
    /// Last second in which all certificates are valid.
    not_after: u64,
    /// Number of further authorities that are allowed below, if a certificate limits it.
    path_length: Option<u8>,
}

impl Root {
    /// Parses the certificate of a root.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let certificate = Certificate::parse(bytes)?;
        let issuers = Issuers {
            subject: certificate.subject().clone(),
            key: certificate.key().clone(),
            serials: vec![certificate.serial()],
            not_before: 0,
            not_after: u64::MAX,
            path_length: None,
        };
        Ok(Self {
            bytes: bytes.to_vec(),
            issuers: Arc::new(issuers),
        })
    }

    /// Returns the root at which a chain ends, whether the chain contains the configured
    /// certificate of the root or another one.
    fn ending<'r>(chain: &[&[u8]], roots: &'r [Self]) -> Result<Option<&'r Self>, Reason> {
        let last = chain.last().ok_or(Reason::ChainLength)?;
        if let Some(root) = roots.iter().find(|root| root.bytes == *last) {
            return Ok(Some(root));
        }
        let last = Certificate::parse(last)?;
        let is = |root: &&Self| {
            root.issuers.subject == *last.subject() && root.issuers.key == *last.key()
        };
        Ok(roots.iter().find(is))
    }

    /// Finds the root that issued this certificate, among all roots of the issuer's name. Returns
    /// the path from the root to the certificate.
    fn above(bytes: &[u8], roots: &[Self], now: u64) -> Result<Issuers, Reason> {
        let mut refusal = Reason::UnknownRoot;
        for root in roots {
            match root.issuers.descend(bytes, now) {
                // The root has another name.
                Err(Reason::ChainOrder) => {}
                Err(reason) => refusal = reason,
                Ok(issuers) => return Ok(issuers),
            }
        }
        Err(refusal)
    }
}

impl Issuers {
    /// Checks that all certificates are valid at this second.
    fn valid(&self, now: u64) -> Result<(), Reason> {
        if now < self.not_before {
            return Err(Reason::NotYetValid);
        }
        if now > self.not_after {
            return Err(Reason::Expired);
        }
        Ok(())
    }

    /// Extends the path by a certificate that the last one issued.
    fn descend(&self, bytes: &[u8], now: u64) -> Result<Self, Reason> {
        let certificate = Certificate::parse(bytes)?;
        // An attested key must never issue certificates, since the owner of the device decides what
        // it signs.
        if certificate.describes_a_key() {
            return Err(Reason::ExtensionInIssuer);
        }
        if *certificate.issuer() != self.subject {
            return Err(Reason::ChainOrder);
        }
        certificate.signed_by(&self.key)?;
        let own = certificate.may_issue()?;
        let left = match self.path_length {
            None => None,
            Some(left) => Some(left.checked_sub(1).ok_or(Reason::PathLength)?),
        };
        let (first, last) = certificate.validity();
        let below = Self {
            subject: certificate.subject().clone(),
            key: certificate.key().clone(),
            serials: self
                .serials
                .iter()
                .cloned()
                .chain([certificate.serial()])
                .collect(),
            not_before: self.not_before.max(first),
            not_after: self.not_after.min(last),
            path_length: left.into_iter().chain(own).min(),
        };
        below.valid(now)?;
        Ok(below)
    }
}

/// A bounded cache of verified paths from roots, since phones share most of their certificates.
///
/// Only valid paths are added, so certificates that a client creates cannot displace other entries.
/// Validity period and revocation can change and are not part of the cached result.
#[derive(Debug)]
pub(super) struct IssuerCache {
    max_paths: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<[u8; 32], Arc<Issuers>>,
    old: HashMap<[u8; 32], Arc<Issuers>>,
}

impl IssuerCache {
    /// Creates a cache of two generations of up to `max_paths` paths.
    pub(super) fn new(max_paths: usize) -> Self {
        Self {
            max_paths,
            generations: Mutex::default(),
        }
    }

    /// Verifies the certificates above a leaf, nearest first, and returns the path from a root to
    /// them. The check starts at the cached certificate closest to the leaf and continues
    /// downwards. A client without a certified key causes one signature verification per root.
    pub(super) fn find(
        &self,
        chain: &[&[u8]],
        roots: &[Root],
        now: u64,
    ) -> Result<Arc<Issuers>, Reason> {
        let root = Root::ending(chain, roots)?;
        let below = match root {
            Some(_) => &chain[..chain.len() - 1],
            None => chain,
        };
        let names = names(below, root);
        let cached = names.iter().enumerate();
        let cached = cached.filter_map(|(index, name)| Some((index, self.lookup(name)?)));
        let (mut index, mut issuers) = match (cached.into_iter().next(), root) {
            (Some(cached), _) => cached,
            (None, Some(root)) => (below.len(), Arc::clone(&root.issuers)),
            (None, None) => {
                let index = below.len() - 1;
                (
                    index,
                    self.insert(names[index], Root::above(below[index], roots, now)?),
                )
            }
        };
        issuers.valid(now)?;
        while index > 0 {
            index -= 1;
            issuers = self.insert(names[index], issuers.descend(below[index], now)?);
        }
        Ok(issuers)
    }

    fn lookup(&self, name: &[u8; 32]) -> Option<Arc<Issuers>> {
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = generations.young.get(name) {
            return Some(Arc::clone(cached));
        }
        let cached = generations.old.remove(name)?;
        generations.insert(*name, &cached, self.max_paths);
        Some(cached)
    }

    fn insert(&self, name: [u8; 32], issuers: Issuers) -> Arc<Issuers> {
        let issuers = Arc::new(issuers);
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        generations.insert(name, &issuers, self.max_paths);
        issuers
    }

    /// Returns the number of cached paths.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        generations.young.len() + generations.old.len()
    }
}

impl Generations {
    fn insert(&mut self, name: [u8; 32], issuers: &Arc<Issuers>, max_paths: usize) {
        if self.young.len() >= max_paths {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, Arc::clone(issuers));
    }
}

/// Returns a digest for each certificate, over the certificate and all above it. The configured
/// certificate of the root is used even if the chain contains another one: anyone can create such
/// certificates, and they must not fill the cache.
fn names(below: &[&[u8]], root: Option<&Root>) -> Vec<[u8; 32]> {
    let mut above: [u8; 32] = root.map_or([0; 32], |root| Sha256::digest(&root.bytes).into());
    let names = below.iter().rev().map(|bytes| {
        let mut hash = Sha256::new();
        hash.update(above);
        hash.update(bytes);
        above = hash.finalize().into();
        above
    });
    let mut names: Vec<[u8; 32]> = names.collect();
    names.reverse();
    names
}
