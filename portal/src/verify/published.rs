//! Published sums: CSV files with the columns of `portal sum --format csv`, compared with the
//! evidence.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::report::Verified;
use tallybox_service::key_file::FileError;

use crate::error::Error;
use crate::evidence::{EvidenceName, Fault};
use crate::pair::WindowSum;
use crate::report::FaultList;

/// The columns that are compared. Other columns are derived from them.
#[derive(Debug, Deserialize)]
struct Line {
    metric: String,
    instance: String,
    window_start: String,
    window_end: String,
    bin: usize,
    count: u64,
    sum: u64,
}

/// A window: metric, instance, start and end.
type Key = [String; 4];

/// A published bin and the file that contains it.
#[derive(Debug)]
struct Bin {
    file: String,
    bin: usize,
    count: u64,
    sum: u64,
}

/// The published sums that have not been compared yet.
#[derive(Debug, Default)]
pub(super) struct Published {
    windows: BTreeMap<Key, Vec<Bin>>,
    agreeing: u64,
}

impl Published {
    /// Reads all CSV files of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let failed = |source| FileError::unreadable(folder, source);
        let mut published = Self::default();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_some_and(|extension| extension == "csv") {
                published.read_file(&file)?;
            }
        }
        Ok(published)
    }

    fn read_file(&mut self, file: &Path) -> Result<(), Error> {
        let name = file.display().to_string();
        let failed = |source| Error::Published {
            file: name.clone(),
            source,
        };
        let mut reader = csv::Reader::from_path(file).map_err(failed)?;
        for line in reader.deserialize() {
            let line: Line = line.map_err(failed)?;
            let key = [
                line.metric,
                line.instance,
                line.window_start,
                line.window_end,
            ];
            self.windows.entry(key).or_default().push(Bin {
                file: name.clone(),
                bin: line.bin,
                count: line.count,
                sum: line.sum,
            });
        }
        Ok(())
    }

    /// Compares what is published of a window with its sum.
    pub(super) fn compare(&mut self, name: &EvidenceName, sum: &WindowSum, faults: &mut FaultList) {
        let key = [
            name.aggregation.to_string(),
            name.instance.to_string(),
            name.window.start().to_string(),
            name.window.end().to_string(),
        ];
        for bin in self.windows.remove(&key).unwrap_or_default() {
            let found = sum.sums.get(bin.bin).copied();
            if found == Some(bin.sum) && sum.count == bin.count {
                self.agreeing += 1;
                continue;
            }
            let proven = found.map_or("no such bin".to_owned(), |sum| sum.to_string());
            let fault = Fault::Published {
                file: bin.file,
                bin: bin.bin,
                published: format!("{} of {}", bin.sum, bin.count),
                proven: format!("{proven} of {}", sum.count),
            };
            faults.add(&name.to_string(), &fault);
        }
    }

    /// Notes the published windows without evidence.
    pub(super) fn finish(self, verified: &mut Verified) {
        verified.published = self.agreeing;
        for (key, bins) in self.windows {
            let file = bins.into_iter().next().map(|bin| bin.file);
            let fault = Fault::Unproven {
                file: file.unwrap_or_default(),
            };
            verified.faults.add(&key.join(" "), &fault);
        }
    }
}
