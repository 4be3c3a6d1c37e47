//! The form that selects period, locality and ingestor. A plain GET form: the address of the page is
//! the selection, so it can be kept and sent.

use std::collections::BTreeSet;

use super::Data;
use crate::web::pages::table::Link;
use crate::web::quantity::Quantity;
use crate::web::text::iso_day;

/// Periods that have a link, in days.
const PERIODS: [i64; 4] = [7, 14, 30, 60];

/// The form.
pub(super) struct FilterForm {
    pub(super) action: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) localities: Vec<Choice>,
    pub(super) ingestors: Vec<Choice>,
    pub(super) bins: Vec<Choice>,
    pub(super) show: Option<&'static str>,
    pub(super) table: bool,
    pub(super) periods: Vec<(Link, bool)>,
}

/// An option of a list.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) chosen: bool,
}

/// Most bins in the list.
const MAX_BINS: usize = 100;

impl FilterForm {
    pub(super) fn new(data: &Data<'_>) -> Self {
        let selection = &data.selection;
        let all = |part: fn(&crate::web::source::InstanceName) -> &String| -> BTreeSet<&String> {
            data.instances.iter().map(part).collect()
        };
        let choices = |all: BTreeSet<&String>, chosen: &Option<String>| {
            let choice = |text: &String| Choice {
                value: text.clone(),
                text: text.clone(),
                chosen: chosen.as_ref() == Some(text),
            };
            all.into_iter().map(choice).collect()
        };
        let day = |day: Option<i64>| day.map(iso_day).unwrap_or_default();
        Self {
            action: format!("/metrics/{}", data.name),
            from: day(selection.from.or(data.days.days.first().map(|day| day.day))),
            to: day(selection.to.or(data.days.days.last().map(|day| day.day))),
            localities: choices(all(|name| &name.locality), &selection.locality),
            ingestors: choices(all(|name| &name.ingestor), &selection.ingestor),
            bins: bins(data),
            show: selection.show.map(Quantity::name),
            table: selection.table,
            periods: periods(data),
        }
    }
}

fn bins(data: &Data<'_>) -> Vec<Choice> {
    let bins = data.entry.encoding.bins as usize;
    if data.quantity == Quantity::Mean || bins > MAX_BINS {
        return Vec::new();
    }
    let choice = |bin: usize| Choice {
        value: bin.to_string(),
        text: crate::web::quantity::bin_label(&data.entry.encoding, bin),
        chosen: bin == data.bin,
    };
    (0..bins).map(choice).collect()
}

fn periods(data: &Data<'_>) -> Vec<(Link, bool)> {
    let Some(last) = data.days.days.last().map(|day| day.day) else {
        return Vec::new();
    };
    let period = |length: i64| {
        let from = last - length + 1;
        let selection = data.selection.period(Some(from), Some(last));
        let chosen = data.selection.from == Some(from) && data.selection.to == Some(last);
        (
            Link::new(format!("{length} days"), data.address(&selection)),
            chosen,
        )
    };
    PERIODS.into_iter().map(period).collect()
}
