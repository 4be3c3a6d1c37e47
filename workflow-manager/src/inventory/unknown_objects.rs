//! Objects with unknown names: counted, some listed, all ignored.

use serde::Serialize;

/// Limit of listed names.
const MAX_SAMPLES: usize = 5;
/// Limit of characters per name.
const MAX_NAME_CHARS: usize = 200;

/// Ignored objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnknownObjects {
    /// Number of objects.
    pub count: u64,
    /// The first names, with their buckets.
    pub samples: Vec<String>,
}

impl UnknownObjects {
    /// Counts an object.
    pub fn add(&mut self, bucket: &str, key: &str) {
        self.count += 1;
        if self.samples.len() < MAX_SAMPLES {
            let name: String = key.chars().take(MAX_NAME_CHARS).collect();
            self.samples.push(format!("{bucket}: {name}"));
        }
    }

    /// Adds the objects of another scan.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        let free = MAX_SAMPLES.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(free));
    }
}
