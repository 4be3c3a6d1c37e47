//! The list of revoked certificates: a file in the format of Google's status list, which is
//! reloaded when it changes.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tallybox_model::cause::chain;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::certificate::{Serial, significant};
use super::policy::unhex;
use crate::attestation::Reason;

/// Most bytes of a list; Google's list has about 100 kB.
const MAX_LIST_BYTES: u64 = 32 << 20;
/// Interval between checks of the file, in milliseconds.
const CHECK_INTERVAL_MILLIS: u64 = 1000;

/// A revocation list that follows its file.
#[derive(Debug)]
pub(super) struct RevocationList {
    file: PathBuf,
    max_age: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    serials: Arc<HashSet<Serial>>,
    /// Modification time and length of the file when it was read.
    stamp: Stamp,
    /// Time of the last check of the file.
    checked_at: Option<i64>,
    /// Time at which the file was last readable.
    readable_at: Option<i64>,
    /// True if the last check failed.
    failing: bool,
}

/// The properties of a file that change when it is written.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
}

/// The content of the file: each entry names a certificate that is not trusted, temporarily or
/// permanently. Other members of entries and of the list are ignored.
#[derive(Deserialize)]
struct StatusList {
    entries: BTreeMap<String, IgnoredAny>,
}

impl RevocationList {
    /// Reads the file.
    pub(super) fn open(file: PathBuf, max_age_hours: u32) -> std::io::Result<Self> {
        let (stamp, serials) = read(&file)?;
        Ok(Self {
            file,
            max_age: i64::from(max_age_hours) * 3_600_000,
            state: Mutex::new(State {
                serials: Arc::new(serials),
                stamp,
                checked_at: None,
                readable_at: None,
                failing: false,
            }),
        })
    }

    /// Returns an error if one of the certificates is on the list, or if the list is older than the
    /// age limit.
    pub(super) fn check<'s>(
        &self,
        serials: impl IntoIterator<Item = &'s Serial>,
        now: i64,
    ) -> Result<(), Reason> {
        let revoked = self.current(now)?;
        if serials.into_iter().any(|serial| revoked.contains(serial)) {
            return Err(Reason::Revoked);
        }
        Ok(())
    }

    fn current(&self, now: i64) -> Result<Arc<HashSet<Serial>>, Reason> {
        // The fields behind the lock are assigned only after the file has been read, so a panic
        // leaves them consistent.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state
            .checked_at
            .is_none_or(|checked_at| checked_at.abs_diff(now) >= CHECK_INTERVAL_MILLIS)
        {
            state.checked_at = Some(now);
            self.refresh(&mut state, now);
        }
        // The file was readable at the start of the program, so the first check counts as success.
        let readable_at = *state.readable_at.get_or_insert(now);
        if now.saturating_sub(readable_at) > self.max_age {
            return Err(Reason::RevocationUnknown);
        }
        Ok(Arc::clone(&state.serials))
    }

    fn refresh(&self, state: &mut State, now: i64) {
        let outcome = match stamp(&self.file) {
            Ok(stamp) if stamp == state.stamp => Ok(()),
            Ok(_) => read(&self.file).map(|(stamp, serials)| {
                state.stamp = stamp;
                state.serials = Arc::new(serials);
            }),
            Err(error) => Err(error),
        };
        let failing = outcome.is_err();
        match outcome {
            Ok(()) => state.readable_at = Some(now),
            Err(error) if !state.failing => {
                let file = self.file.display();
                tracing::warn!(
                    %file,
                    error = chain(&error),
                    "revocation list cannot be read; the last one is used up to its age limit"
                );
            }
            Err(_) => {}
        }
        state.failing = failing;
    }
}

fn stamp(file: &Path) -> std::io::Result<Stamp> {
    stamp_from(&std::fs::metadata(file)?)
}

fn stamp_from(metadata: &std::fs::Metadata) -> std::io::Result<Stamp> {
    Ok(Stamp {
        modified: metadata.modified()?,
        length: metadata.len(),
    })
}

/// Reads the list. The stamp is taken before the content is read, so a change in the meantime leads
/// to another read.
fn read(file: &Path) -> std::io::Result<(Stamp, HashSet<Serial>)> {
    let file = File::open(file)?;
    let stamp = stamp_from(&file.metadata()?)?;
    let mut bytes = Vec::new();
    file.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LIST_BYTES {
        return Err(invalid("the file is larger than 32 MiB"));
    }
    let list: StatusList = serde_json::from_slice(&bytes)
        .map_err(|_| invalid("the file is not a JSON status list"))?;
    let serials = list.entries.keys().map(|text| serial(text));
    let serials: Option<_> = serials.collect();
    serials
        .map(|serials| (stamp, serials))
        .ok_or_else(|| invalid("the name of an entry is not a hexadecimal serial number"))
}

fn invalid(problem: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, problem)
}

/// Parses a hexadecimal serial number. Leading zeros and case are ignored.
fn serial(text: &str) -> Option<Serial> {
    if text.is_empty() {
        return None;
    }
    let zero = if text.len().is_multiple_of(2) {
        ""
    } else {
        "0"
    };
    Some(significant(&unhex(&format!("{zero}{text}"))?).into())
}
