//! The evidence objects that do not verify, in the results of `rebuild` and `verify`.

use std::fmt;

use serde::Serialize;
use tallybox_service::exit::Exit;

use crate::evidence::Fault;

/// How many objects a result lists.
const LISTED: usize = 100;

/// The objects that do not verify.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FaultList {
    /// The number of objects.
    #[serde(rename = "faults")]
    pub count: u64,
    /// The first of them.
    pub objects: Vec<FaultLine>,
}

/// One object that does not verify.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FaultLine {
    /// The key of the object.
    pub object: String,
    /// The machine-readable kind of fault.
    pub kind: &'static str,
    /// What is wrong.
    pub message: String,
    /// The likely cause and the next step.
    pub next_step: String,
}

impl FaultList {
    /// Adds an object.
    pub(crate) fn add(&mut self, object: &str, fault: &Fault) {
        self.count += 1;
        if self.objects.len() < LISTED {
            self.objects.push(FaultLine {
                object: object.to_owned(),
                kind: fault.kind(),
                message: fault.to_string(),
                next_step: fault.next_step(),
            });
        }
    }

    /// Returns the exit code.
    pub(crate) fn exit(&self) -> Exit {
        if self.count == 0 {
            Exit::Done
        } else {
            Exit::Rejected
        }
    }
}

impl fmt::Display for FaultList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return Ok(());
        }
        write!(f, "\n\nobjects that do not verify: {}", self.count)?;
        for line in &self.objects {
            write!(
                f,
                "\n\n  {} ({})\n  {}\n  next: {}",
                line.object, line.kind, line.message, line.next_step
            )?;
        }
        Ok(())
    }
}
