//! The results of commands, as text, JSON and CSV.

mod csv;
mod faults;
mod refusal;
mod sum;

pub(crate) use faults::FaultList;
pub(crate) use refusal::Refusal;
pub(crate) use sum::SumReport;
