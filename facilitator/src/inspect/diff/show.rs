//! Formats a difference for people.

use super::{Difference, FieldDifferences, FileFacts, PacketDifferences, PartDifference};
use crate::inspect::sheet::Sheet;
use crate::inspect::show::short;
use serde_json::Value;
use std::fmt;
use tallybox_model::digest::Digest;
use tallybox_model::id::PacketId;
use tallybox_service::chart::{Screen, Tone};
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

/// The number of columns up to which a field and both values share one line.
const ONE_LINE_COLUMNS: usize = 54;

impl Summary for Difference {
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lay_out(Screen::stdout()))
    }
}

impl Difference {
    /// Formats the difference as text for a screen.
    #[must_use]
    pub fn lay_out(&self, screen: Screen) -> String {
        let mut sheet = Sheet::new(screen);
        sheet.heading(&format!("{}: A and B", self.what));
        sheet.object(&format!("A  {}", self.a));
        sheet.object(&format!("B  {}", self.b));
        for part in &self.parts {
            show(part, &mut sheet);
        }
        for note in &self.notes {
            sheet.toned(Tone::Faint, "note", note);
        }
        if self.outcome == Exit::Done {
            sheet.toned(Tone::Good, "same", "A and B have the same bytes");
        } else {
            sheet.toned(Tone::Bad, "conflict", "A and B differ");
        }
        sheet.finish()
    }
}

fn show(part: &PartDifference, sheet: &mut Sheet) {
    let file = |file: &FileFacts| {
        format!(
            "{} bytes, sha256 {}",
            grouped(file.bytes),
            short(&file.sha256)
        )
    };
    match (&part.a, &part.b) {
        (Some(a), Some(_)) if part.same_bytes => {
            sheet.row(part.part, format!("same bytes: {}", file(a)))
        }
        (Some(a), Some(b)) => {
            sheet.toned(Tone::Bad, part.part, format!("A  {}", file(a)));
            sheet.toned(Tone::Bad, "", format!("B  {}", file(b)));
        }
        (Some(a), None) => {
            sheet.toned(Tone::Bad, part.part, format!("only A has one: {}", file(a)))
        }
        (None, Some(b)) => {
            sheet.toned(Tone::Bad, part.part, format!("only B has one: {}", file(b)))
        }
        (None, None) => {}
    }
    if let Some(byte) = part.first_different_byte {
        let text = match byte {
            0 => "A and B differ from the first byte on".to_owned(),
            1 => "A and B differ from the second byte on".to_owned(),
            more => format!("the first {} bytes are equal", grouped(more)),
        };
        sheet.row("", text);
    }
    if let Some(fields) = &part.fields {
        show_fields(fields, part, sheet);
    }
    if let Some(packets) = &part.packets {
        show_packets(packets, sheet);
    }
}

fn show_fields(fields: &FieldDifferences, part: &PartDifference, sheet: &mut Sheet) {
    if fields.total == 0 && !part.same_bytes {
        sheet.row(
            "",
            "equal fields in another encoding (marker, schema, blocks)",
        );
    }
    let value = |value: &Option<Value>| match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => {
            Digest::from_hex(text).map_or_else(|| text.clone(), |digest| short(&digest))
        }
        Some(other) => other.to_string(),
    };
    for difference in &fields.listed {
        let (a, b) = (value(&difference.a), value(&difference.b));
        let field = &difference.field;
        if field.len() + a.len() + b.len() > ONE_LINE_COLUMNS {
            sheet.row("", format!("{field}: A {a}"));
            sheet.row("", format!("{:width$}  B {b}", "", width = field.len()));
        } else {
            sheet.row("", format!("{field}: A {a}, B {b}"));
        }
    }
    let listed = fields.listed.len() as u64;
    if fields.total > listed {
        sheet.row(
            "",
            format!("and {} more fields", grouped(fields.total - listed)),
        );
    }
}

fn show_packets(packets: &PacketDifferences, sheet: &mut Sheet) {
    let count = |sheet: &mut Sheet, number: u64, what: &str, some: &[PacketId]| {
        if number == 0 {
            return;
        }
        sheet.row("", format!("{} {what}", grouped(number)));
        for id in some {
            sheet.row("", format!("  {id}"));
        }
        if number > some.len() as u64 && !some.is_empty() {
            sheet.row("", "  ...");
        }
    };
    count(sheet, packets.same, "packets are equal", &[]);
    let fields: Vec<String> = packets
        .changed_fields
        .iter()
        .map(|(field, number)| format!("{field} {}", grouped(*number)))
        .collect();
    count(
        sheet,
        packets.changed,
        &format!("packets differ in: {}", fields.join(", ")),
        &packets.some_changed,
    );
    count(
        sheet,
        packets.only_a,
        "packets only in A",
        &packets.some_only_a,
    );
    count(
        sheet,
        packets.only_b,
        "packets only in B",
        &packets.some_only_b,
    );
    if packets.changed + packets.only_a + packets.only_b == 0 {
        let text = if packets.same_order {
            "equal packets in another encoding (marker, schema, blocks)"
        } else {
            "equal packets in another order, or with repetitions"
        };
        sheet.row("", text);
    }
    for problem in &packets.incomplete {
        sheet.toned(Tone::Bad, "", problem);
    }
}
