//! The description of a key by a keystore: Android's `KeyDescription`, versions 2 to 400.
//!
//! ```text
//! KeyDescription ::= SEQUENCE { attestationVersion INTEGER, attestationSecurityLevel ENUMERATED,
//!     keyMintVersion INTEGER, keyMintSecurityLevel ENUMERATED, attestationChallenge OCTET STRING,
//!     uniqueId OCTET STRING, softwareEnforced AuthorizationList,
//!     hardwareEnforced AuthorizationList }
//! AuthorizationList ::= SEQUENCE { purpose [1] SET OF INTEGER, ..., allApplications [600] NULL,
//!     origin [702] INTEGER, rootOfTrust [704] RootOfTrust,
//!     attestationApplicationId [709] OCTET STRING, ... }
//! ```
//!
//! DER is parsed strictly, without extra bytes before, between or after values. One deviation is
//! allowed because devices use it: entries of an authorization list and of a SET may be in any
//! order. Repeated entries are rejected.

use std::collections::BTreeMap;

use der::asn1::{AnyRef, OctetStringRef};
use der::{Decode, Enumerated, Reader as _, SliceReader, Tag};

use crate::attestation::Reason;

/// Most entries of an authorization list; Android defines about 60.
const MOST_ENTRIES: usize = 100;
/// Most packages that share an application id, and most signers of them.
const MOST_PACKAGES: usize = 32;

const PURPOSE: u32 = 1;
const ALL_APPLICATIONS: u32 = 600;
const ORIGIN: u32 = 702;
const ROOT_OF_TRUST: u32 = 704;
const APPLICATION_ID: u32 = 709;

/// The place of a key, or of the component that describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Enumerated)]
#[repr(u8)]
pub(super) enum Level {
    /// The operating system.
    Software = 0,
    /// A trusted execution environment.
    TrustedEnvironment = 1,
    /// A secure element.
    StrongBox = 2,
}

/// The state in which the device was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumerated)]
#[repr(u8)]
pub(super) enum BootState {
    /// The manufacturer's system.
    Verified = 0,
    /// A system signed by the owner.
    SelfSigned = 1,
    /// The bootloader is unlocked, and any system can run.
    Unverified = 2,
    /// A system whose verification failed.
    Failed = 3,
}

/// The fields of a key description that are checked.
pub(super) struct KeyDescription<'a> {
    pub(super) attestation_level: Level,
    pub(super) key_level: Level,
    pub(super) challenge: &'a [u8],
    pub(super) software: AuthorizationList<'a>,
    pub(super) hardware: AuthorizationList<'a>,
}

/// Properties of a key, as stated by the software or by the hardware.
pub(super) struct AuthorizationList<'a>(BTreeMap<u32, AnyRef<'a>>);

/// The state in which the device was started, as stated by the hardware.
pub(super) struct RootOfTrust {
    pub(super) locked: bool,
    pub(super) state: BootState,
}

/// The application to which a key belongs.
pub(super) struct ApplicationId<'a> {
    /// Names of its packages. Packages with a common user id share their keys.
    pub(super) packages: Vec<&'a [u8]>,
    /// SHA-256 of each certificate that signs them.
    pub(super) signers: Vec<&'a [u8]>,
}

impl<'a> KeyDescription<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let read = || -> der::Result<Self> {
            AnyRef::from_der(bytes)?.sequence(|reader| {
                let _version: i32 = reader.decode()?;
                let attestation_level = reader.decode()?;
                let _keystore_version: i32 = reader.decode()?;
                let key_level = reader.decode()?;
                let challenge = reader.decode::<&OctetStringRef>()?.as_bytes();
                // An optional identifier of the device, which is ignored.
                let _unique_id: &OctetStringRef = reader.decode()?;
                Ok(Self {
                    attestation_level,
                    key_level,
                    challenge,
                    software: AuthorizationList::read(reader)?,
                    hardware: AuthorizationList::read(reader)?,
                })
            })
        };
        read().map_err(|_| Reason::KeyDescription)
    }
}

impl<'a> AuthorizationList<'a> {
    fn read(reader: &mut SliceReader<'a>) -> der::Result<Self> {
        let list: AnyRef<'a> = reader.decode()?;
        let mut entries = BTreeMap::new();
        list.sequence(|reader| -> der::Result<()> {
            while !reader.is_finished() {
                let entry: AnyRef<'a> = reader.decode()?;
                let tag = der::Tagged::tag(&entry);
                let Tag::ContextSpecific {
                    constructed: true,
                    number,
                } = tag
                else {
                    return Err(tag.value_error().into());
                };
                // With explicit tagging, the content is exactly one value.
                let value = AnyRef::from_der(entry.value())?;
                if entries.len() >= MOST_ENTRIES || entries.insert(number.value(), value).is_some()
                {
                    return Err(tag.value_error().into());
                }
            }
            Ok(())
        })?;
        Ok(Self(entries))
    }

    /// Returns the purposes of the key.
    pub(super) fn purposes(&self) -> Result<Vec<i32>, Reason> {
        let Some(set) = self.0.get(&PURPOSE) else {
            return Ok(Vec::new());
        };
        values(*set).map_err(|_| Reason::KeyDescription)
    }

    /// Returns the origin of the key; 0 means that the hardware generated it.
    pub(super) fn origin(&self) -> Result<Option<i32>, Reason> {
        let origin = self.0.get(&ORIGIN).map(|value| value.decode_as::<i32>());
        origin.transpose().map_err(|_| Reason::KeyDescription)
    }

    /// Returns whether every application of the device may use the key.
    pub(super) fn all_applications(&self) -> bool {
        self.0.contains_key(&ALL_APPLICATIONS)
    }

    pub(super) fn root_of_trust(&self) -> Result<Option<RootOfTrust>, Reason> {
        let root = self
            .0
            .get(&ROOT_OF_TRUST)
            .map(|value| RootOfTrust::read(*value));
        root.transpose().map_err(|_| Reason::KeyDescription)
    }

    pub(super) fn application_id(&self) -> Result<Option<ApplicationId<'a>>, Reason> {
        let id = self
            .0
            .get(&APPLICATION_ID)
            .map(|value| ApplicationId::read(*value));
        id.transpose().map_err(|_| Reason::KeyDescription)
    }
}

impl RootOfTrust {
    fn read(value: AnyRef<'_>) -> der::Result<Self> {
        value.sequence(|reader| {
            let _boot_key: &OctetStringRef = reader.decode()?;
            let root = Self {
                locked: reader.decode()?,
                state: reader.decode()?,
            };
            // Since version 3, a digest of the system follows.
            let _boot_hash: Option<&OctetStringRef> = reader.decode()?;
            Ok(root)
        })
    }
}

impl<'a> ApplicationId<'a> {
    fn read(value: AnyRef<'a>) -> der::Result<Self> {
        let inner = value.decode_as::<&'a OctetStringRef>()?.as_bytes();
        AnyRef::from_der(inner)?.sequence(|reader| {
            let packages = values::<AnyRef<'a>>(reader.decode()?)?;
            let packages = packages.into_iter().map(|package| {
                package.sequence(|reader| {
                    let name = reader.decode::<&'a OctetStringRef>()?.as_bytes();
                    let _version: i64 = reader.decode()?;
                    der::Result::Ok(name)
                })
            });
            let packages = packages.collect::<der::Result<_>>()?;
            let signers = values::<&'a OctetStringRef>(reader.decode()?)?;
            let signers = signers.into_iter().map(OctetStringRef::as_bytes).collect();
            Ok(Self { packages, signers })
        })
    }
}

/// Reads the members of a SET OF, in any order.
fn values<'a, T: Decode<'a, Error = der::Error>>(set: AnyRef<'a>) -> der::Result<Vec<T>> {
    let tag = der::Tagged::tag(&set);
    tag.assert_eq(Tag::Set)?;
    let mut reader = SliceReader::new(set.value())?;
    let mut values = Vec::new();
    while !reader.is_finished() {
        if values.len() >= MOST_PACKAGES {
            return Err(tag.length_error().into());
        }
        values.push(reader.decode()?);
    }
    reader.finish()?;
    Ok(values)
}
