//! Lays a report out for people.

use super::header::HeaderFacts;
use super::packets::{PacketDetails, PacketFacts, ShareFacts};
use super::report::{BatchFacts, Facts, Finding, Report, SignatureFacts};
use super::sheet::Sheet;
use super::signer::Verification;
use super::{FolderFacts, KeyFacts, ManifestFacts, PreparedFacts};
use crate::aggregate::FixedSumPart;
use crate::prepared::FixedObject;
use std::fmt;
use tallybox_crypto::ecies;
use tallybox_crypto::prio2::Prio2;
use tallybox_model::digest::Digest;
use tallybox_model::role::Role;
use tallybox_service::chart::{Screen, Tone};
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

/// Elements of a sum, and batches, that are shown.
const SHOWN: usize = 12;

impl Summary for Report {
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lay_out(Screen::stdout()))
    }
}

impl Report {
    /// The report as text for a screen.
    #[must_use]
    pub fn lay_out(&self, screen: Screen) -> String {
        let mut sheet = Sheet::new(screen);
        for finding in &self.found {
            show(finding, &mut sheet);
        }
        sheet.finish()
    }
}

fn show(finding: &Finding, sheet: &mut Sheet) {
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
                sheet.row("says", text);
            }
        }
    }
    for note in &finding.notes {
        sheet.toned(Tone::Faint, "note", note);
    }
    for problem in &finding.problems {
        let place = if problem.object == finding.object { String::new() } else { format!("{}: ", last(&problem.object)) };
        let message = format!("{}: {place}{}", problem.reason, problem.message);
        sheet.toned(Tone::Bad, &problem.exit.to_string(), message);
    }
    if finding.problems.is_empty() {
        verdict(finding, sheet);
    }
}

/// What it comes to that there is no problem.
fn verdict(finding: &Finding, sheet: &mut Sheet) {
    if let Facts::Batch(batch) = &finding.facts
        && let Some(signature) = &batch.signature
    {
        match (&signature.verification, batch.digest_matches) {
            (Verification::Verifies(_), Some(true)) => {
                sheet.toned(Tone::Good, "good", "signature and digest verify, path and header belong together");
            }
            (Verification::NoKeyConfigured, _) => {
                sheet.toned(Tone::Faint, "unverified", "give --config FILE to have the signature verified");
            }
            _ => {}
        }
    }
}

fn show_batch(batch: &BatchFacts, sheet: &mut Sheet) {
    if let Some(header) = &batch.header {
        show_header(header, sheet);
    }
    match batch.path_agrees {
        Some(true) => sheet.row("path", "agrees with the header"),
        Some(false) => sheet.toned(Tone::Bad, "path", "does not agree with the header"),
        None if batch.header.is_some() => sheet.row("path", "is no batch's, so it was not compared"),
        None => {}
    }
    if let Some(packets) = &batch.packets {
        let bins = batch.header.as_ref().map(|header| header.bins);
        show_packets(packets, bins, sheet);
    }
    show_digest(batch, sheet);
    if let Some(signature) = &batch.signature {
        show_signature(signature, sheet);
    }
}

fn show_header(header: &HeaderFacts, sheet: &mut Sheet) {
    sheet.row("aggregation", &header.name);
    if let Some(batch) = header.batch_uuid {
        sheet.row("batch", batch.to_string());
    }
    if let Some((start, end)) = header.times {
        let dates = header.dates().map(|(start, end)| format!("{start} to {end}"));
        let name = if header.sum_part.is_some() { "window" } else { "times" };
        sheet.row(name, dates.unwrap_or_else(|| format!("{start} ms to {end} ms")));
    }
    let HeaderFacts { bins, epsilon, prime, number_of_servers, hamming_weight, .. } = header;
    let weight = hamming_weight.map_or_else(String::new, |weight| format!(", Hamming weight {weight}"));
    let parameters = format!("{bins} bins, epsilon {epsilon}, prime {prime}, {number_of_servers} servers{weight}");
    sheet.row("parameters", parameters);
    if let Some(sum) = &header.sum_part {
        let clients = sum.total_individual_clients;
        sheet.row("clients", u64::try_from(clients).map_or_else(|_| clients.to_string(), grouped));
        let batches: Vec<String> = sum.batches.iter().map(ToString::to_string).collect();
        sheet.list(&format!("{} batches", batches.len()), &batches, SHOWN);
        let mut values: Vec<String> = sum.sum.iter().take(SHOWN).map(ToString::to_string).collect();
        if sum.sum.len() > SHOWN {
            values.push(format!("and {} more (--json has all)", sum.sum.len() - SHOWN));
        }
        sheet.row("sum", values.join(" "));
    }
    sheet.row("header", format!("{} bytes, sha256 {}", grouped(header.bytes), short(&header.sha256)));
}

fn show_packets(packets: &PacketFacts, bins: Option<i32>, sheet: &mut Sheet) {
    let bytes = grouped(packets.bytes);
    let (label, what) = match &packets.details {
        PacketDetails::Messages { .. } => ("messages", ""),
        PacketDetails::Invalid { .. } => ("invalid", " packets were not counted"),
        PacketDetails::Shares(_) | PacketDetails::None {} => ("packets", ""),
    };
    let number = format!("{}{what}", grouped(packets.packets));
    match packets.codec {
        Some(codec) => {
            let blocks = if packets.blocks == 1 { "1 block".to_owned() } else { format!("{} blocks", grouped(packets.blocks)) };
            sheet.row(label, format!("{number}, {bytes} bytes in {blocks}, codec {codec}"));
        }
        None => sheet.row(label, format!("{number}, {bytes} bytes")),
    }
    let repeated = packets.repeated.filter(|repeated| *repeated > 0);
    if let Some(repeated) = repeated {
        sheet.toned(Tone::Bad, "repeated", format!("{} packets stand earlier in the file", grouped(repeated)));
    }
    if packets.bad_uuids > 0 {
        sheet.toned(Tone::Bad, "bad ids", format!("{} packets have no UUID", grouped(packets.bad_uuids)));
    }
    match &packets.details {
        PacketDetails::Shares(shares) if packets.packets > 0 => show_shares(shares, bins, sheet),
        PacketDetails::Messages { out_of_field } if *out_of_field > 0 => {
            sheet.toned(Tone::Bad, "bad messages", format!("{} are not in the field", grouped(*out_of_field)));
        }
        PacketDetails::Invalid { sorted: false } => sheet.row("order", "the identifiers are not sorted"),
        _ => {}
    }
}

fn show_shares(shares: &ShareFacts, bins: Option<i32>, sheet: &mut Sheet) {
    let points = &shares.evaluation_points;
    let points = match points.distinct {
        1 => "one evaluation point for all packets".to_owned(),
        more if points.or_more => format!("more than {} evaluation points", grouped(more)),
        more => format!("{} evaluation points", grouped(more)),
    };
    sheet.row("points", points);
    if let Some(unusable) = shares.unusable_points.filter(|unusable| *unusable > 0) {
        let text = format!("{} packets have a point outside the field or at a root of unity", grouped(unusable));
        sheet.toned(Tone::Bad, "bad points", text);
    }
    let key = |(key, count): (&String, &u64)| {
        let key = if key.is_empty() { "no key named" } else { key };
        format!("{key}: {}", grouped(*count))
    };
    let keys: Vec<String> = shares.keys.iter().map(key).collect();
    sheet.list("keys", &keys, SHOWN);
    let length = |(length, count): (&u64, &u64)| {
        format!("{} bytes{}: {}", grouped(*length), reader(*length, bins), grouped(*count))
    };
    let lengths: Vec<String> = shares.payload_bytes.iter().map(length).collect();
    sheet.list("payloads", &lengths, SHOWN);
    if shares.unlisted > 0 {
        sheet.row("", format!("and {} packets with other keys or lengths", grouped(shares.unlisted)));
    }
}

/// Which processor a payload of this length is for.
fn reader(length: u64, bins: Option<i32>) -> String {
    let prio2 = bins.and_then(|bins| usize::try_from(bins).ok()).and_then(|bins| Prio2::new(bins).ok());
    let Some(prio2) = prio2 else { return String::new() };
    let sealed = |role: &Role| prio2.share_length(role.index()).ok().map(|bytes| (bytes + ecies::OVERHEAD) as u64);
    let role = Role::ALL.into_iter().find(|role| sealed(role) == Some(length));
    role.map_or_else(|| " (no share of these bins)".to_owned(), |role| format!(" (shares of the {role} processor)"))
}

fn show_digest(batch: &BatchFacts, sheet: &mut Sheet) {
    let digest = batch.packets.as_ref().and_then(|packets| packets.sha256);
    match (batch.digest_matches, digest) {
        (Some(true), digest) => {
            let digest = digest.map_or_else(|| short(&Digest::empty()), |digest| short(&digest));
            sheet.toned(Tone::Good, "digest", format!("the packets match the header, sha256 {digest}"));
        }
        (Some(false), Some(digest)) => {
            let wanted = batch.header.as_ref().map_or_else(String::new, |header| short(&header.packet_file_digest));
            let text = format!("the packets have sha256 {}, the header names {wanted}", short(&digest));
            sheet.toned(Tone::Bad, "digest", text);
        }
        (_, Some(digest)) => sheet.row("digest", format!("sha256 {}, no header to compare with", short(&digest))),
        (_, None) => {}
    }
}

fn show_signature(signature: &SignatureFacts, sheet: &mut Sheet) {
    let key = &signature.key_identifier;
    match &signature.verification {
        Verification::Verifies(signer) => {
            let text = format!("verifies with {key} of {} ({})", signer.party, signer.fingerprint);
            sheet.toned(Tone::Good, "signature", text);
        }
        Verification::OtherKey(signer) => {
            let text = format!("names {key}, verifies with {} of {}", signer.key, signer.party);
            sheet.toned(Tone::Bad, "signature", text);
        }
        Verification::DoesNotVerify(signer) => {
            let text = format!("does not verify with {key} of {} ({})", signer.party, signer.fingerprint);
            sheet.toned(Tone::Bad, "signature", text);
        }
        Verification::UnknownKey => sheet.toned(Tone::Bad, "signature", format!("by {key}: unknown key")),
        Verification::NoKeyConfigured => sheet.row("signature", format!("by {key}: no key configured")),
        Verification::NoHeader => sheet.row("signature", format!("by {key}, over a header that is not there")),
    }
}

fn show_prepared(prepared: &PreparedFacts, sheet: &mut Sheet) {
    let key = prepared.sealing_key.as_deref().unwrap_or("unknown");
    sheet.row("sealed", format!("{} bytes with key {key}", grouped(prepared.bytes)));
    if let Some(digest) = &prepared.ingestion_header {
        sheet.row("made of", format!("the ingestion batch whose header has sha256 {}", short(digest)));
    }
    let Some(opened) = &prepared.opened else { return };
    sheet.row("batch", opened.batch.to_string());
    sheet.row("bins", opened.bins.to_string());
    let text = format!("{} read, {} with a message to the peer", grouped(opened.packets), grouped(opened.messages));
    sheet.row("packets", text);
    let reasons: Vec<String> = opened
        .rejections
        .iter()
        .map(|(reason, count)| {
            let reason = serde_json::to_value(reason).ok();
            let reason = reason.as_ref().and_then(serde_json::Value::as_str).unwrap_or("other");
            format!("{reason}: {}", grouped(count))
        })
        .collect();
    sheet.list("rejected", &reasons, SHOWN);
    let validation = &opened.validation;
    sheet.row("fixed", format!("validation batch of encoder generation {}", validation.generation));
    show_object("  packets", &validation.packets, sheet);
    show_object("  header", &validation.header, sheet);
    sheet.toned(Tone::Good, "good", format!("all {} chunks and the footer open", grouped(opened.chunks)));
}

fn show_object(label: &str, object: &FixedObject, sheet: &mut Sheet) {
    sheet.row(label, format!("{} bytes, sha256 {}", grouped(object.bytes), short(&object.sha256)));
}

fn show_fixed(fixed: &FixedSumPart, sheet: &mut Sheet) {
    sheet.row("encoders", format!("generation {}", fixed.generation));
    sheet.row("accepted", format!("{} packets", grouped(fixed.accepted)));
    sheet.row("header", &fixed.header.object);
    show_object("", &fixed.header, sheet);
    sheet.row("invalid", &fixed.invalid_packets.object);
    show_object("", &fixed.invalid_packets, sheet);
    sheet.row("batches", fixed.batches.len().to_string());
    for batch in fixed.batches.iter().take(SHOWN) {
        sheet.object(&format!("  {batch}"));
    }
    if fixed.batches.len() > SHOWN {
        sheet.row("", format!("and {} more (--json has all)", fixed.batches.len() - SHOWN));
    }
}

fn show_manifest(manifest: &ManifestFacts, sheet: &mut Sheet) {
    sheet.row("format", manifest.format.to_string());
    for (name, place) in &manifest.places {
        sheet.row("place", format!("{name}: {place}"));
    }
    for key in &manifest.keys {
        let fingerprint = key.fingerprint.as_deref().unwrap_or("malformed");
        sheet.row("key", format!("{} ({fingerprint}), {}", key.id, key.purpose));
        if let Some(expiration) = &key.expiration {
            sheet.row("", format!("expires {expiration}"));
        }
        if let Some(configured) = &key.configured {
            sheet.toned(Tone::Good, "", format!("configured as {configured}"));
        }
    }
}

fn show_key(key: &KeyFacts, sheet: &mut Sheet) {
    let encoding = key.encoding.map_or_else(|| "SEC1 PEM, only read".to_owned(), |encoding| encoding.to_string());
    sheet.row("encoding", encoding);
    let name = if key.public_key.is_some() { "fingerprint" } else { "id" };
    sheet.row(name, &key.fingerprint);
    if key.secret {
        sheet.row("secret", "not shown");
    }
    if let Some(configured) = &key.configured {
        sheet.toned(Tone::Good, "configured", format!("as {configured}"));
    }
}

fn show_folder(folder: &FolderFacts, sheet: &mut Sheet) {
    sheet.row("objects", format!("{}, {} bytes", grouped(folder.objects), grouped(folder.bytes)));
    for batches in &folder.batches {
        let writer = batches.writer.map_or_else(String::new, |writer| format!(" by the {writer} processor"));
        let (signed, unsigned) = (grouped(batches.signed), grouped(batches.unsigned));
        let (words, bytes) = (batches.family.words(), grouped(batches.bytes));
        let unsigned = if batches.unsigned > 0 { format!(", {unsigned} not (yet)") } else { String::new() };
        let text = format!("{words}{writer}: {signed} signed{unsigned}, {bytes} bytes");
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

/// The first 16 digits: enough to compare by eye; `--json` has all.
pub(super) fn short(digest: &Digest) -> String {
    digest.to_hex().chars().take(16).collect()
}

fn last(object: &str) -> &str {
    object.rsplit('/').next().unwrap_or(object)
}
