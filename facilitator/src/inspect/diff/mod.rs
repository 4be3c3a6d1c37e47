//! Compares two objects or batches: their facts, their packets, their bytes.

mod bytes;
mod fields;
mod packets;

use super::batch::Batch;
use super::facts::{Fact, Facts, Value};
use super::family::with_article;
use super::inspector::Inspector;
use super::located::{Item, Located, not_found};
use super::report::{InspectionReport, ObjectFinding, ObjectProblem};
use super::target::Target;
use crate::error::Error;
use fields::differences;
use serde_json::Value as Json;
use tallybox_model::digest::Digest;
use tallybox_service::exit::Exit;
use tallybox_transport::digest;

impl Inspector {
    /// Compares two objects, batches, sum parts or records that fix sum parts.
    ///
    /// # Errors
    /// [`Error::Bucket`] if one of them does not exist, and [`Error::Setting`] if they are of
    /// different kinds.
    pub async fn diff(&self, a: &Target, b: &Target) -> Result<InspectionReport, Error> {
        let left = self.side(a).await?;
        let right = self.side(b).await?;
        let (what, compared) = match (&left, &right) {
            (Item::Batch(left_batch), Item::Batch(right_batch))
                if left_batch.family == right_batch.family =>
            {
                (label(&left), common_files(left_batch, right_batch))
            }
            (Item::Object(a_found), Item::Object(b_found)) if label(&left) == label(&right) => {
                let a_facts = with_digest(a, a_found).await?;
                let mut b_facts = with_digest(b, b_found).await?;
                // What is found out about the same bytes may depend on their name.
                if a_facts.get("sha256") == b_facts.get("sha256") {
                    b_facts.clone_from(&a_facts);
                }
                (label(&left), (a_facts, b_facts))
            }
            _ => {
                let sides = published(&left).zip(published(&right));
                let mismatch = || mismatch((a, &left), (b, &right));
                (
                    "sum part and fixed sum part".to_owned(),
                    sides.ok_or_else(mismatch)?,
                )
            }
        };
        let (total, fields) = differences(&compared.0, &compared.1);
        let title = format!("{what} A, compared with B");
        let mut finding = ObjectFinding::new("difference", title, &a.shown, Facts::default());
        finding
            .facts
            .add(Fact::new("compared-with", b.shown.as_str()).row("B"));
        finding.facts.add(Fact::group("fields", fields));
        finding.notes.extend(malformed("A", &left));
        finding.notes.extend(malformed("B", &right));
        if total == 0 {
            finding.note("A and B have the same bytes");
        } else {
            let problem =
                ObjectProblem::new(Exit::Conflict, "different", &a.shown, "A and B differ");
            finding.problems.push(problem);
            let facts = &mut finding.facts;
            self.add_details((a, &left), (b, &right), facts).await?;
        }
        Ok(InspectionReport::new(&a.shown, vec![finding]))
    }

    /// Resolves a target: a batch by any of its objects or their common prefix, or another object.
    async fn side(&self, target: &Target) -> Result<Item, Error> {
        let Target { bucket, key, shown } = target;
        let mut found = Located::find(bucket, key).await?;
        if found.len() > 1 {
            found.retain(|located| matches!(located, Located::Batch(_)));
        }
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => self.read(bucket, only).await,
            (Some(_), false) => Err(Error::Setting(format!(
                "{shown} is the common prefix of several batches; give the path of one of them"
            ))),
            (None, _) => Err(not_found(bucket, key)),
        }
    }

    /// Adds what a comparison of the facts does not reveal: the different packets of two batches,
    /// and the first different byte of two other objects.
    async fn add_details(
        &self,
        (a, left): (&Target, &Item),
        (b, right): (&Target, &Item),
        found: &mut Facts,
    ) -> Result<(), Error> {
        match (left, right) {
            (Item::Object(left), Item::Object(right)) => {
                let left = (&a.bucket, left.object.as_str());
                let right = (&b.bucket, right.object.as_str());
                let position = bytes::first_difference(left, right).await?;
                found.add(Fact::new("first-different-byte", position));
            }
            (Item::Batch(left), Item::Batch(right)) => {
                let inputs = (
                    left.open_packets(&a.bucket).await?,
                    right.open_packets(&b.bucket).await?,
                );
                if let ((Some((left_input, _)), Some((right_input, _))), Some(family)) =
                    (inputs, left.family)
                {
                    let reader = self.packet_reader(Some(family));
                    let joining = tokio::task::spawn_blocking(move || {
                        packets::join(&reader, family, left_input, right_input)
                    });
                    let internal = |error| Error::Internal(format!("comparing packets: {error}"));
                    let differences = joining.await.map_err(internal)??;
                    found.add(Fact::group("packets", differences.facts()));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn label(side: &Item) -> String {
    match side {
        Item::Batch(batch) => match batch.family {
            Some(family) => family.title(None),
            None => "signature".to_owned(),
        },
        Item::Object(finding) if finding.kind == "fixed-sum-part" => "fixed sum part".to_owned(),
        Item::Object(_) => "object".to_owned(),
    }
}

fn mismatch((a, left): (&Target, &Item), (b, right): (&Target, &Item)) -> Error {
    let [left, right] = [left, right].map(|side| with_article(&label(side)));
    Error::Setting(format!("{} is {left}, but {} is {right}", a.shown, b.shown))
}

/// Returns a note for each malformed part of a batch.
fn malformed(name: &str, side: &Item) -> Vec<String> {
    let Item::Batch(batch) = side else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    for problem in &batch.problems {
        if problem.reason == "malformed" {
            notes.push(format!("{name}: malformed: {}", problem.message));
        }
    }
    notes
}

/// Returns the facts about the files of two batches. If one side is a single file, only that file
/// is compared.
fn common_files(left: &Batch, right: &Batch) -> (Facts, Facts) {
    let mut a = left.facts();
    let mut b = right.facts();
    if !left.is_whole() || !right.is_whole() {
        let exists_in = |facts: &Facts, name: &str| {
            !matches!(facts.get(name), None | Some(Value::Json(Json::Null)))
        };
        a.0.retain(|fact| exists_in(&b, fact.name));
        b.0.retain(|fact| exists_in(&a, fact.name));
        a.0.retain(|fact| exists_in(&b, fact.name));
    }
    (a, b)
}

/// Returns the facts about an object, with the length and the digest of its bytes.
async fn with_digest(target: &Target, finding: &ObjectFinding) -> Result<Facts, Error> {
    let (sha256, bytes) = digest(&*target.bucket, &finding.object).await?;
    let mut facts = Facts(Vec::from(Fact::file(bytes, Some(Digest(sha256)))));
    let others = finding.facts.0.iter().filter(|fact| fact.name != "bytes");
    facts.0.extend(others.cloned());
    Ok(facts)
}

/// Returns what a sum part and the record that fixes it have in common; `None` for other objects.
fn published(side: &Item) -> Option<Facts> {
    let (facts, packets) = match side {
        Item::Batch(batch) => (batch.facts(), "packets"),
        Item::Object(finding) => (finding.facts.clone(), "invalid-packets"),
    };
    let header = group(&facts, "header")?;
    let summary = group(&header, "sum-part").unwrap_or_else(|| facts.clone());
    let Some(Value::Json(Json::Array(names))) = summary.get("batches") else {
        return None;
    };
    // The record contains the names of batches, the sum part their identifiers.
    let id = |name: &Json| name.as_str()?.rsplit('/').next().map(str::to_owned);
    let batches: Vec<String> = names.iter().filter_map(id).collect();
    let absent = || Facts(Vec::from(Fact::file(0, Some(Digest::empty()))));
    let packets = group(&facts, packets).map_or_else(absent, file);
    let mut common = Facts::default();
    common.add(Fact::new("batches", batches));
    common.add(Fact::group("header", file(header)));
    common.add(Fact::group("invalid-packets", packets));
    Some(common)
}

fn group(facts: &Facts, name: &str) -> Option<Facts> {
    match facts.get(name) {
        Some(Value::Group(facts)) => Some(facts.clone()),
        _ => None,
    }
}

/// Retains the facts about a file's bytes.
fn file(mut facts: Facts) -> Facts {
    facts
        .0
        .retain(|fact| ["bytes", "sha256"].contains(&fact.name));
    facts
}
