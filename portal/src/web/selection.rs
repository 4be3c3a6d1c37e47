//! The selection of a page: period, locality, ingestor, bin and view, as its address states them.

use tallybox_model::id::Instance;
use url::form_urlencoded;

use super::error::WebError;
use super::quantity::Quantity;
use super::source::{Filter, InstanceName};
use super::text::{DAY_MILLIS, iso_day, parse_day};

/// The parameters of a page or a download. Absent ones restrict nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// First day.
    pub(crate) from: Option<i64>,
    /// Last day.
    pub(crate) to: Option<i64>,
    pub(crate) locality: Option<String>,
    pub(crate) ingestor: Option<String>,
    /// The bin of the large chart.
    pub(crate) bin: Option<usize>,
    /// Count or share.
    pub(crate) show: Option<Quantity>,
    /// Whether the tables of all charts are open.
    pub(crate) table: bool,
    /// The form of a download.
    pub(crate) format: Option<String>,
}

impl Selection {
    /// Parses the query of an address.
    ///
    /// # Errors
    /// [`WebError::Parameter`], which names the parameter.
    pub(crate) fn parse(query: &str) -> Result<Self, WebError> {
        let mut selection = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let wrong = |expected| WebError::Parameter {
                name: name.chars().take(40).collect(),
                expected,
            };
            // A form sends its empty fields too.
            if value.is_empty() {
                continue;
            }
            let day = || parse_day(&value).ok_or_else(|| wrong("a date such as 2026-11-30"));
            match &*name {
                "from" => selection.from = Some(day()?),
                "to" => selection.to = Some(day()?),
                "locality" => selection.locality = Some(value.into_owned()),
                "ingestor" => selection.ingestor = Some(value.into_owned()),
                "bin" => {
                    let bin = value
                        .parse()
                        .map_err(|_| wrong("the number of a bin, from 0"));
                    selection.bin = Some(bin?);
                }
                "show" if value == "count" => selection.show = Some(Quantity::Count),
                "show" if value == "share" => selection.show = Some(Quantity::Share),
                "show" => return Err(wrong("count or share")),
                "view" if value == "table" => selection.table = true,
                "view" if value == "chart" => selection.table = false,
                "view" => return Err(wrong("chart or table")),
                "format" => selection.format = Some(value.into_owned()),
                _ => {
                    return Err(wrong(
                        "from, to, locality, ingestor, bin, show, view or format",
                    ));
                }
            }
        }
        match (selection.from, selection.to) {
            (Some(from), Some(to)) if to < from => Err(WebError::Parameter {
                name: "to".to_owned(),
                expected: "a day that is not before the first day",
            }),
            _ => Ok(selection),
        }
    }

    /// Returns the query of the address, with its question mark; empty if nothing is selected.
    pub(crate) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        };
        add("from", self.from.map(iso_day));
        add("to", self.to.map(iso_day));
        add("locality", self.locality.clone());
        add("ingestor", self.ingestor.clone());
        add("bin", self.bin.map(|bin| bin.to_string()));
        add("show", self.show.map(|show| show.name().to_owned()));
        add("view", self.table.then(|| "table".to_owned()));
        add("format", self.format.clone());
        let query = query.finish();
        if query.is_empty() {
            query
        } else {
            format!("?{query}")
        }
    }

    /// Returns the selection of another period.
    pub(crate) fn period(&self, from: Option<i64>, to: Option<i64>) -> Self {
        Self {
            from,
            to,
            ..self.clone()
        }
    }

    /// Returns the selection for a download in this form.
    pub(crate) fn download(&self, format: &str) -> Self {
        Self {
            format: Some(format.to_owned()),
            bin: None,
            show: None,
            table: false,
            ..self.clone()
        }
    }

    /// Returns the filter of the windows, given all instances.
    pub(crate) fn filter(&self, instances: &[InstanceName]) -> Filter {
        let chosen = instances.iter().filter(|name| {
            self.locality
                .as_ref()
                .is_none_or(|locality| *locality == name.locality)
                && self
                    .ingestor
                    .as_ref()
                    .is_none_or(|ingestor| *ingestor == name.ingestor)
        });
        let chosen: Vec<Instance> = chosen.map(|name| name.instance.clone()).collect();
        let restricted = self.locality.is_some() || self.ingestor.is_some();
        Filter {
            aggregation: None,
            instances: restricted.then_some(chosen),
            from: self.from.map(|day| day.saturating_mul(DAY_MILLIS)),
            before: self
                .to
                .map(|day| day.saturating_add(1).saturating_mul(DAY_MILLIS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_round_trips() {
        let text = "from=2026-10-01&to=2026-11-30&locality=a%26b&bin=2&show=share&view=table";
        let parsed = Selection::parse(text).map(|selection| selection.query());
        assert_eq!(parsed.ok(), Some(format!("?{text}")));
        for bad in [
            "from=yesterday",
            "to=2026-11-31",
            "bin=-1",
            "x=1",
            "show=all",
        ] {
            assert!(Selection::parse(bad).is_err(), "{bad}");
        }
        assert!(Selection::parse("from=2026-10-02&to=2026-10-01").is_err());
        assert_eq!(
            Selection::parse("locality=&from=").ok(),
            Some(Selection::default())
        );
    }
}
