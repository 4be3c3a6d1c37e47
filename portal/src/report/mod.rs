//! The results of commands, as text, JSON and CSV.

mod csv;
mod refusal;
mod sum;

pub(crate) use refusal::Refusal;
pub(crate) use sum::SumReport;
