//! Formats a report for people.

use super::report::{Facts, InspectionReport, ObjectFinding};
use super::sheet::Sheet;
use super::show_batch::show_batch;
use super::signer::Verification;
use super::{FolderFacts, KeyFacts, ManifestFacts, PreparedFacts};
use crate::prepared::FixedFile;
use crate::sum::FixedSumPart;
use std::fmt;
use tallybox_model::digest::Digest;
use tallybox_service::chart::{Screen, Tone};
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

/// How many elements of a sum, and how many batches, are shown.
pub(super) const SHOWN_ITEMS: usize = 12;

impl Summary for InspectionReport {
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lay_out(Screen::stdout()))
    }
}

impl InspectionReport {
    /// Formats the report as text for a screen.
    #[must_use]
    pub fn lay_out(&self, screen: Screen) -> String {
        let mut sheet = Sheet::new(screen);
        for finding in &self.found {
            show(finding, &mut sheet);
        }
        sheet.finish()
    }
}

fn show(finding: &ObjectFinding, sheet: &mut Sheet) {
    sheet.heading(&finding.title);
    sheet.object(&finding.object);
    match &finding.facts {
        Facts::Batch(batch) => show_batch(batch, sheet),
        Facts::Prepared(prepared) => show_prepared(prepared, sheet),
        Facts::Fixed(fixed) => show_fixed(fixed, sheet),
        Facts::Manifest(manifest) => show_manifest(manifest, sheet),
        Facts::Key(key) => show_key(key, sheet),
        Facts::Folder(folder) => show_folder(folder, sheet),
        Facts::Text { bytes, text } => {
            sheet.row("size", format!("{} bytes", grouped(*bytes)));
            if let Some(text) = text {
                sheet.row("content", text);
            }
        }
    }
    for note in &finding.notes {
        sheet.toned(Tone::Faint, "note", note);
    }
    for problem in &finding.problems {
        let object = if problem.object == finding.object {
            String::new()
        } else {
            format!("{}: ", last(&problem.object))
        };
        let message = format!("{}: {object}{}", problem.reason, problem.message);
        sheet.toned(Tone::Bad, &problem.exit.to_string(), message);
    }
    if finding.problems.is_empty() {
        show_conclusion(finding, sheet);
    }
}

/// Shows the conclusion if there is no problem.
fn show_conclusion(finding: &ObjectFinding, sheet: &mut Sheet) {
    if let Facts::Batch(batch) = &finding.facts
        && let Some(signature) = &batch.signature
    {
        match (&signature.verification, batch.digest_matches) {
            (Verification::Verifies(_), Some(true)) => {
                sheet.toned(
                    Tone::Good,
                    "good",
                    "signature and digest verify, and the header matches the path",
                );
            }
            (Verification::NoKeyConfigured, _) => {
                sheet.toned(
                    Tone::Faint,
                    "unverified",
                    "give --key ID=FILE or --config FILE to verify the signature",
                );
            }
            _ => {}
        }
    }
}

fn show_prepared(prepared: &PreparedFacts, sheet: &mut Sheet) {
    let key = prepared.sealing_key.as_deref().unwrap_or("unknown");
    sheet.row(
        "sealed",
        format!("{} bytes with key {key}", grouped(prepared.bytes)),
    );
    if let Some(digest) = &prepared.ingestion_header {
        sheet.row(
            "source",
            format!(
                "the ingestion batch whose header has sha256 {}",
                short(digest)
            ),
        );
    }
    let Some(opened) = &prepared.opened else {
        return;
    };
    sheet.row("batch", opened.batch.to_string());
    sheet.row("bins", opened.bins.to_string());
    let text = format!(
        "{} read, {} with a verification message",
        grouped(opened.packets),
        grouped(opened.messages)
    );
    sheet.row("packets", text);
    let reasons: Vec<String> = opened
        .rejections
        .iter()
        .map(|(reason, count)| {
            let reason = serde_json::to_value(reason).ok();
            let reason = reason
                .as_ref()
                .and_then(serde_json::Value::as_str)
                .unwrap_or("other");
            format!("{reason}: {}", grouped(count))
        })
        .collect();
    sheet.list("rejected", &reasons, SHOWN_ITEMS);
    let validation = &opened.validation;
    sheet.row(
        "fixed",
        format!(
            "validation batch of encoder generation {}",
            validation.generation
        ),
    );
    show_object("  packets", &validation.packets, sheet);
    show_object("  header", &validation.header, sheet);
    sheet.toned(
        Tone::Good,
        "good",
        format!(
            "all {} chunks and the footer can be decrypted",
            grouped(opened.chunks)
        ),
    );
}

fn show_object(label: &str, object: &FixedFile, sheet: &mut Sheet) {
    sheet.row(
        label,
        format!(
            "{} bytes, sha256 {}",
            grouped(object.bytes),
            short(&object.sha256)
        ),
    );
}

fn show_fixed(fixed: &FixedSumPart, sheet: &mut Sheet) {
    sheet.row("encoders", format!("generation {}", fixed.generation));
    sheet.row("accepted", format!("{} packets", grouped(fixed.accepted)));
    sheet.row("header", &fixed.header.object);
    show_object("", &fixed.header, sheet);
    sheet.row("invalid", &fixed.invalid_packets.object);
    show_object("", &fixed.invalid_packets, sheet);
    sheet.row("batches", fixed.batches.len().to_string());
    for batch in fixed.batches.iter().take(SHOWN_ITEMS) {
        sheet.object(&format!("  {batch}"));
    }
    if fixed.batches.len() > SHOWN_ITEMS {
        sheet.row(
            "",
            format!(
                "and {} more (--json has all)",
                fixed.batches.len() - SHOWN_ITEMS
            ),
        );
    }
}

fn show_manifest(manifest: &ManifestFacts, sheet: &mut Sheet) {
    sheet.row("format", manifest.format.to_string());
    for (name, location) in &manifest.locations {
        sheet.row("location", format!("{name}: {location}"));
    }
    for key in &manifest.keys {
        let fingerprint = key.fingerprint.as_deref().unwrap_or("malformed");
        sheet.row(
            "key",
            format!("{} ({fingerprint}), {}", key.id, key.purpose),
        );
        if let Some(expiration) = &key.expiration {
            sheet.row("", format!("expires {expiration}"));
        }
        if let Some(configured) = &key.configured {
            sheet.toned(Tone::Good, "", format!("configured as {configured}"));
        }
    }
}

fn show_key(key: &KeyFacts, sheet: &mut Sheet) {
    let encoding = key.encoding.map_or_else(
        || "SEC1 PEM (read, never written)".to_owned(),
        |encoding| encoding.to_string(),
    );
    sheet.row("encoding", encoding);
    let name = if key.public_key.is_some() {
        "fingerprint"
    } else {
        "id"
    };
    sheet.row(name, &key.fingerprint);
    if let Some(packet) = &key.packet_key {
        sheet.row("key id", &packet.id);
        sheet.row("instance", &packet.instance);
        sheet.row("bins", packet.bins.to_string());
        sheet.row("created", &packet.created);
    }
    if key.secret {
        sheet.row("secret", "not shown");
    }
    if let Some(configured) = &key.configured {
        sheet.toned(Tone::Good, "configured", format!("as {configured}"));
    }
}

fn show_folder(folder: &FolderFacts, sheet: &mut Sheet) {
    sheet.row(
        "objects",
        format!(
            "{}, {} bytes",
            grouped(folder.objects),
            grouped(folder.bytes)
        ),
    );
    for batches in &folder.batches {
        let writer = batches
            .writer
            .map_or_else(String::new, |writer| format!(" by the {writer} processor"));
        let (signed, unsigned) = (grouped(batches.signed), grouped(batches.unsigned));
        let (label, bytes) = (batches.family.label(), grouped(batches.bytes));
        let unsigned = if batches.unsigned > 0 {
            format!(", {unsigned} unsigned (yet)")
        } else {
            String::new()
        };
        let text = format!("{label}{writer}: {signed} signed{unsigned}, {bytes} bytes");
        sheet.row("batches", text);
        sheet.object(&format!("  first: {}", batches.first));
    }
    for (kind, count) in &folder.own {
        sheet.row("own", format!("{kind}: {}", grouped(*count)));
    }
    for stem in &folder.unsigned {
        sheet.object(&format!("  not signed: {stem}"));
    }
    if folder.others > 0 {
        sheet.row("others", grouped(folder.others));
        for object in &folder.some_others {
            sheet.object(&format!("  {object}"));
        }
    }
}

/// Returns the first 16 digits, enough for a visual comparison; `--json` has all.
pub(super) fn short(digest: &Digest) -> String {
    digest.to_hex().chars().take(16).collect()
}

fn last(object: &str) -> &str {
    object.rsplit('/').next().unwrap_or(object)
}
