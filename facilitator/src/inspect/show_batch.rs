//! Formats the content of a batch's objects.

use super::header::HeaderFacts;
use super::packets::{PacketDetails, PacketFacts, ShareFacts};
use super::report::{BatchFacts, SignatureFacts};
use super::sheet::Sheet;
use super::show::{SHOWN_ITEMS, short};
use super::signer::Verification;
use tallybox_crypto::ecies;
use tallybox_crypto::prio2::Prio2;
use tallybox_model::digest::Digest;
use tallybox_model::role::Role;
use tallybox_service::chart::Tone;
use tallybox_service::progress::grouped;

pub(super) fn show_batch(batch: &BatchFacts, sheet: &mut Sheet) {
    if let Some(header) = &batch.header {
        show_header(header, sheet);
    }
    match batch.path_agrees {
        Some(true) => sheet.row("path", "matches the header"),
        Some(false) => sheet.toned(Tone::Bad, "path", "does not match the header"),
        None if batch.header.is_some() => sheet.row(
            "path",
            "not a batch's name, so it was not compared with the header",
        ),
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
        let dates = header
            .dates()
            .map(|(start, end)| format!("{start} to {end}"));
        let name = if header.sum_part.is_some() {
            "window"
        } else {
            "times"
        };
        sheet.row(
            name,
            dates.unwrap_or_else(|| format!("{start} ms to {end} ms")),
        );
    }
    let HeaderFacts {
        bins,
        epsilon,
        prime,
        number_of_servers,
        hamming_weight,
        ..
    } = header;
    let weight =
        hamming_weight.map_or_else(String::new, |weight| format!(", Hamming weight {weight}"));
    let parameters = format!(
        "{bins} bins, epsilon {epsilon}, prime {prime}, {number_of_servers} servers{weight}"
    );
    sheet.row("parameters", parameters);
    if let Some(sum) = &header.sum_part {
        let clients = sum.total_individual_clients;
        sheet.row(
            "clients",
            u64::try_from(clients).map_or_else(|_| clients.to_string(), grouped),
        );
        let batches: Vec<String> = sum.batches.iter().map(ToString::to_string).collect();
        sheet.list(&format!("{} batches", batches.len()), &batches, SHOWN_ITEMS);
        let mut values: Vec<String> = sum
            .sum
            .iter()
            .take(SHOWN_ITEMS)
            .map(ToString::to_string)
            .collect();
        if sum.sum.len() > SHOWN_ITEMS {
            values.push(format!(
                "and {} more (--json has all)",
                sum.sum.len() - SHOWN_ITEMS
            ));
        }
        sheet.row("sum", values.join(" "));
    }
    sheet.row(
        "header",
        format!(
            "{} bytes, sha256 {}",
            grouped(header.bytes),
            short(&header.sha256)
        ),
    );
}

fn show_packets(packets: &PacketFacts, bins: Option<i32>, sheet: &mut Sheet) {
    let bytes = grouped(packets.bytes);
    let (label, what) = match &packets.details {
        PacketDetails::Messages { .. } => ("messages", ""),
        PacketDetails::Invalid { .. } => ("invalid", " packets that do not count"),
        PacketDetails::Shares(_) | PacketDetails::None {} => ("packets", ""),
    };
    let number = format!("{}{what}", grouped(packets.packets));
    match packets.codec {
        Some(codec) => {
            let blocks = if packets.blocks == 1 {
                "1 block".to_owned()
            } else {
                format!("{} blocks", grouped(packets.blocks))
            };
            sheet.row(
                label,
                format!("{number}, {bytes} bytes in {blocks}, codec {codec}"),
            );
        }
        None => sheet.row(label, format!("{number}, {bytes} bytes")),
    }
    let repeated = packets.repeated.filter(|repeated| *repeated > 0);
    if let Some(repeated) = repeated {
        sheet.toned(
            Tone::Bad,
            "repeated",
            format!(
                "{} packets whose identifier occurs earlier in the file",
                grouped(repeated)
            ),
        );
    }
    if packets.bad_uuids > 0 {
        sheet.toned(
            Tone::Bad,
            "bad ids",
            format!(
                "{} packets without a valid UUID",
                grouped(packets.bad_uuids)
            ),
        );
    }
    match &packets.details {
        PacketDetails::Shares(shares) if packets.packets > 0 => show_shares(shares, bins, sheet),
        PacketDetails::Messages { out_of_field } if *out_of_field > 0 => {
            sheet.toned(
                Tone::Bad,
                "bad messages",
                format!("{} are outside the field", grouped(*out_of_field)),
            );
        }
        PacketDetails::Invalid { sorted: false } => {
            sheet.row("order", "the identifiers are not sorted")
        }
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
        let text = format!(
            "{} packets have a point outside the field or at a root of unity",
            grouped(unusable)
        );
        sheet.toned(Tone::Bad, "bad points", text);
    }
    let key = |(key, count): (&String, &u64)| {
        let key = if key.is_empty() { "no key named" } else { key };
        format!("{key}: {}", grouped(*count))
    };
    let keys: Vec<String> = shares.keys.iter().map(key).collect();
    sheet.list("keys", &keys, SHOWN_ITEMS);
    let length = |(length, count): (&u64, &u64)| {
        format!(
            "{} bytes{}: {}",
            grouped(*length),
            reader(*length, bins),
            grouped(*count)
        )
    };
    let lengths: Vec<String> = shares.payload_bytes.iter().map(length).collect();
    sheet.list("payloads", &lengths, SHOWN_ITEMS);
    if shares.unlisted > 0 {
        sheet.row(
            "",
            format!(
                "and {} packets with other keys or lengths",
                grouped(shares.unlisted)
            ),
        );
    }
}

/// Returns the processor to which a payload of this length belongs.
fn reader(length: u64, bins: Option<i32>) -> String {
    let prio2 = bins
        .and_then(|bins| usize::try_from(bins).ok())
        .and_then(|bins| Prio2::new(bins).ok());
    let Some(prio2) = prio2 else {
        return String::new();
    };
    let sealed = |role: &Role| {
        prio2
            .share_length(role.index())
            .ok()
            .map(|bytes| (bytes + ecies::OVERHEAD) as u64)
    };
    let role = Role::ALL
        .into_iter()
        .find(|role| sealed(role) == Some(length));
    role.map_or_else(
        || " (no share has this length)".to_owned(),
        |role| format!(" (shares of the {role} processor)"),
    )
}

fn show_digest(batch: &BatchFacts, sheet: &mut Sheet) {
    let digest = batch.packets.as_ref().and_then(|packets| packets.sha256);
    match (batch.digest_matches, digest) {
        (Some(true), digest) => {
            let digest = digest.map_or_else(|| short(&Digest::empty()), |digest| short(&digest));
            sheet.toned(
                Tone::Good,
                "digest",
                format!("the packets match the header, sha256 {digest}"),
            );
        }
        (Some(false), Some(digest)) => {
            let wanted = batch
                .header
                .as_ref()
                .map_or_else(String::new, |header| short(&header.packet_file_digest));
            let text = format!(
                "the packets have sha256 {}, but the header contains {wanted}",
                short(&digest)
            );
            sheet.toned(Tone::Bad, "digest", text);
        }
        (_, Some(digest)) => sheet.row(
            "digest",
            format!("sha256 {}, no header to compare with", short(&digest)),
        ),
        (_, None) => {}
    }
}

fn show_signature(signature: &SignatureFacts, sheet: &mut Sheet) {
    let key = &signature.key_identifier;
    match &signature.verification {
        Verification::Verifies(signer) => {
            let text = format!(
                "verifies with {key} of {} ({})",
                signer.party, signer.fingerprint
            );
            sheet.toned(Tone::Good, "signature", text);
        }
        Verification::OtherKey(signer) => {
            let text = format!(
                "signed with {key}, but verifies with {} of {}",
                signer.key, signer.party
            );
            sheet.toned(Tone::Bad, "signature", text);
        }
        Verification::DoesNotVerify(signer) => {
            let text = format!(
                "does not verify with {key} of {} ({})",
                signer.party, signer.fingerprint
            );
            sheet.toned(Tone::Bad, "signature", text);
        }
        Verification::UnknownKey => {
            sheet.toned(Tone::Bad, "signature", format!("by {key}: unknown key"))
        }
        Verification::NoKeyConfigured => sheet.row(
            "signature",
            format!("by {key}: no key is configured or given"),
        ),
        Verification::NoHeader => sheet.row(
            "signature",
            format!("by {key}, but the signed header does not exist"),
        ),
    }
}
