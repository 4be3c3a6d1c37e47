//! The results that pages, exports and commands read: one row for each window, and the findings.

mod rows;

pub use rows::{FindingRow, SumState, WindowRow};
