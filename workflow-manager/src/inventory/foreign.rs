//! Objects that do not belong where they are: counted, some named, all passed over.

use serde::Serialize;

/// How many names are kept.
const SAMPLES: usize = 5;
/// Bytes of a name that are kept.
const NAME: usize = 200;

/// What was passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// How many.
    pub count: u64,
    /// The first of them, with their buckets.
    pub samples: Vec<String>,
}

impl Foreign {
    /// Counts one.
    pub fn add(&mut self, bucket: &str, key: &str) {
        self.count += 1;
        if self.samples.len() < SAMPLES {
            let name: String = key.chars().take(NAME).collect();
            self.samples.push(format!("{bucket}: {name}"));
        }
    }

    /// Counts those of another look.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        let room = SAMPLES.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
    }
}
