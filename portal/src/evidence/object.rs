//! The content of an evidence object.

use std::fmt::Write as _;

use bytes::Bytes;
use tallybox_model::digest::Digest;
use tallybox_model::path::{BatchObjects, BatchPart};
use tallybox_model::role::Role;

use super::archive;
use super::check::Fault;
use super::name::EvidenceName;
use crate::pair::PartFiles;

/// The name of the file of digests, the first one in the archive.
const SUMS: &str = "SHA256SUMS";
/// Length of a digest in hexadecimal digits and two blanks.
const DIGEST: usize = 66;

/// The files of both sum parts of a window, as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The name of the evidence object.
    pub name: EvidenceName,
    /// The files, in order of the processors' index.
    pub parts: [PartFiles; 2],
}

impl Evidence {
    /// Encodes the object. Equal files give equal bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let objects = Role::ALL.map(|writer| self.name.part(writer).objects());
        let mut files: Vec<(&str, &[u8])> = Vec::new();
        for writer in Role::ALL {
            for part in BatchPart::ALL {
                let content = self.parts[writer.index()].get(part);
                // An absent object and an empty one mean the same.
                if !content.is_empty() {
                    files.push((file_name(&objects[writer.index()], part), content));
                }
            }
        }
        let mut sums = first_line(&self.name);
        for (name, content) in &files {
            // Writing to a string cannot fail.
            let _ = writeln!(sums, "{}  {name}", Digest::sha256(content));
        }
        files.insert(0, (SUMS, sums.as_bytes()));
        archive::encode(&files).into()
    }

    /// Decodes an object, and checks that every byte is as [`Self::encode`] writes it.
    ///
    /// # Errors
    /// [`Fault::Digest`] if a file differs from its digest; otherwise [`Fault::Damaged`].
    pub fn decode(name: &EvidenceName, object: &Bytes) -> Result<Self, Fault> {
        let damaged = |problem: &str| Fault::Damaged(problem.to_owned());
        let mut files = archive::decode(object).map_err(damaged)?.into_iter();
        let Some((_, sums)) = files.next().filter(|(name, _)| name == SUMS) else {
            return Err(damaged("the archive does not begin with SHA256SUMS"));
        };
        let mut files: Vec<(String, Bytes)> = files.collect();
        let parts = Role::ALL.map(|writer| {
            let objects = name.part(writer).objects();
            let mut take = |part| {
                let wanted = file_name(&objects, part);
                let found = files.iter().position(|(name, _)| name == wanted);
                found.map_or_else(Bytes::new, |index| files.remove(index).1)
            };
            PartFiles {
                signature: take(BatchPart::Signature),
                header: take(BatchPart::Header),
                packets: take(BatchPart::Packets),
            }
        });
        if let Some((other, _)) = files.first() {
            return Err(damaged(&format!(
                "file {other:?} does not belong to {name}"
            )));
        }
        let evidence = Self {
            name: name.clone(),
            parts,
        };
        if evidence.encode() == *object {
            return Ok(evidence);
        }
        Err(evidence.difference(&sums))
    }

    /// Returns what is wrong with an object that is not encoded as these files would be.
    fn difference(&self, sums: &[u8]) -> Fault {
        let sums = String::from_utf8_lossy(sums);
        for writer in Role::ALL {
            let objects = self.name.part(writer).objects();
            for part in BatchPart::ALL {
                let content = self.parts[writer.index()].get(part);
                let file = file_name(&objects, part);
                let line = sums.lines().find(|line| line.get(DIGEST..) == Some(file));
                let stated = line.and_then(|line| line.get(..DIGEST - 2));
                let found = (!content.is_empty()).then(|| Digest::sha256(content).to_hex());
                if stated != found.as_deref() {
                    return Fault::Digest {
                        file: file.to_owned(),
                    };
                }
            }
        }
        Fault::Damaged("the archive is not encoded as evidence is".to_owned())
    }

    /// Returns the size of the evidence object of parts whose objects have these sizes, in the
    /// order of [`BatchPart::ALL`]; absent objects have size 0.
    #[must_use]
    pub fn encoded_len(name: &EvidenceName, sizes: &[[u64; 3]; 2]) -> u64 {
        let mut sums = first_line(name).len() as u64;
        let mut present = Vec::new();
        for writer in Role::ALL {
            let objects = name.part(writer).objects();
            for (part, size) in BatchPart::ALL.into_iter().zip(sizes[writer.index()]) {
                if size > 0 {
                    sums += (DIGEST + file_name(&objects, part).len() + 1) as u64;
                    present.push(size);
                }
            }
        }
        archive::encoded_len(std::iter::once(sums).chain(present))
    }
}

/// Returns the first line of the file of digests. `sha256sum` takes it as a comment.
fn first_line(name: &EvidenceName) -> String {
    format!(
        "# Tallybox evidence, format 1: {}/{}\n",
        name.instance, name.aggregation
    )
}

/// Returns the last component of an object's name.
fn file_name(objects: &BatchObjects, part: BatchPart) -> &str {
    let name = objects.get(part);
    name.rsplit_once('/').map_or(name, |(_, file)| file)
}
