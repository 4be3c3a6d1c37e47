//! One window: reads its sum parts, verifies and adds them, and writes the evidence.

use std::sync::Arc;

use futures::try_join;
use tallybox_model::role::Role;
use tallybox_transport::batch::BatchError;
use tallybox_transport::{BucketError, Disposition, publish_bytes, read_all};

use super::directory::{Directory, Task};
use super::outcome::{Ending, Outcome, Trouble};
use super::plan::Work;
use super::{BUDGET_KIB, SumCollector};
use crate::error::Error;
use crate::evidence::{Evidence, EvidenceName, MAX_EVIDENCE_BYTES};
use crate::pair::{Finding, Findings, PartFiles, PartKind, WindowSum, read_files};
use crate::store::{SumState, WindowRow};

impl SumCollector {
    /// Processes a window. An error says nothing about the window: the next run tries again.
    pub(super) async fn process(
        &self,
        directory: &Directory<'_>,
        task: Task,
    ) -> Result<Outcome, Error> {
        // A window of unusual size takes the whole budget.
        let kib = u32::try_from(task.bytes >> 10).unwrap_or(BUDGET_KIB);
        let permits = Arc::clone(&self.budget).acquire_many_owned(kib.clamp(1, BUDGET_KIB));
        // The semaphore is never closed, so this always waits for memory.
        let _memory = permits.await.ok();
        let window = task.window;
        match task.work {
            Work::Nothing => Ok(left(Ending::Unchanged)),
            Work::OneSide { writer, row } => {
                let name = directory.evidence(window, 0);
                Ok(self.one_side(&name, writer, row))
            }
            Work::OtherSource(row) => Ok(other_source(&row, &directory.source.name)),
            Work::Pair { is_refused } => {
                let name = directory.evidence(window, 0);
                let mut outcome = self.pair(directory, name.clone()).await?;
                // A row that says so already keeps its date.
                if outcome.ending == Ending::Refused && !is_refused {
                    let now = self.clock.millis();
                    outcome.rows.push(empty_row(&name, SumState::Refused, now));
                }
                Ok(outcome)
            }
            Work::Compare(row) => self.compare(directory, row).await,
        }
    }

    /// A window of which only one processor has published its sum part.
    fn one_side(&self, name: &EvidenceName, writer: Role, row: Option<WindowRow>) -> Outcome {
        let now = self.clock.millis();
        let mut outcome = left(Ending::OneSide);
        let object = name.part(writer).to_string();
        if row.is_none_or(|row| row.evidence != object) {
            outcome.rows.push(WindowRow {
                evidence: object.clone(),
                ..empty_row(name, SumState::OneSide, now)
            });
        }
        if name.window.end().millis() + self.limits.late_millis < now {
            let peer = writer.peer();
            outcome.troubles.push(Trouble {
                kind: "late",
                message: format!(
                    "only the {writer} processor has published its sum part, {object}"
                ),
                next_step: format!(
                    "ask the operator of the {peer} processor whether the window was summed and \
                     contained enough reports; `workflow-manager status` names what it waits for"
                ),
            });
        }
        outcome
    }

    /// Adds the sum parts of a window, or says why that is not possible.
    async fn pair(&self, directory: &Directory<'_>, name: EvidenceName) -> Result<Outcome, Error> {
        match self.read_and_verify(directory, &name).await? {
            Ok((evidence, sum)) => self.publish(evidence, sum).await,
            Err(findings) => Ok(refused(&findings)),
        }
    }

    /// Compares the sum parts in the mailboxes with the evidence. If both have changed and can be
    /// added, they are a correction. A single changed part is a finding.
    async fn compare(&self, directory: &Directory<'_>, row: WindowRow) -> Result<Outcome, Error> {
        let name = directory.evidence(row.window, row.version);
        let old = match self.read_evidence(&name).await? {
            Ok(old) => old,
            Err(trouble) => {
                return Ok(Outcome {
                    troubles: vec![trouble],
                    ..left(Ending::Refused)
                });
            }
        };
        let new = match self.read_parts(directory, &name).await? {
            Ok(parts) => parts,
            Err(findings) => return Ok(changed(&row, &[], &findings)),
        };
        let differs = |writer: &Role| new[writer.index()] != old.parts[writer.index()];
        let writers: Vec<Role> = Role::ALL.into_iter().filter(differs).collect();
        if writers.len() < Role::ALL.len() {
            return Ok(changed(&row, &writers, &Findings(Vec::new())));
        }
        let next = directory.evidence(row.window, row.version + 1);
        match self.read_and_verify(directory, &next).await? {
            Ok((evidence, sum)) => {
                let mut outcome = self.publish(evidence, sum).await?;
                if outcome.ending != Ending::Refused {
                    outcome.ending = Ending::Corrected;
                    outcome.rows.push(WindowRow {
                        state: SumState::Superseded,
                        ..row
                    });
                }
                Ok(outcome)
            }
            Err(findings) => Ok(changed(&row, &writers, &findings)),
        }
    }

    async fn read_evidence(&self, name: &EvidenceName) -> Result<Result<Evidence, Trouble>, Error> {
        let key = name.to_string();
        let object = match read_all(self.evidence.as_ref(), &key, MAX_EVIDENCE_BYTES).await {
            Err(BucketError::NotFound { .. }) => {
                return Ok(Err(Trouble {
                    kind: "evidence-missing",
                    message: format!("{key}: the evidence of a stored sum does not exist"),
                    next_step: "restore the evidence from a backup".to_owned(),
                }));
            }
            object => object?,
        };
        Ok(Evidence::decode(name, &object).map_err(|fault| Trouble {
            kind: "damaged-evidence",
            message: format!("{key}: {fault}"),
            next_step: fault.next_step(),
        }))
    }

    /// Writes the evidence of a sum, and returns its row.
    async fn publish(&self, evidence: Evidence, sum: WindowSum) -> Result<Outcome, Error> {
        let key = evidence.name.to_string();
        let written = publish_bytes(self.evidence.as_ref(), &key, evidence.encode(), false).await;
        match written {
            Ok(_) => {}
            Err(error @ BucketError::Conflict { .. }) => {
                return Ok(Outcome {
                    troubles: vec![Trouble {
                        kind: "evidence-conflict",
                        message: error.to_string(),
                        next_step: "other sum parts of this window were added before; nothing was \
                                    overwritten. Run `portal rebuild` to restore the database from \
                                    the evidence, and ask both operators why the parts changed"
                            .to_owned(),
                    }],
                    ..left(Ending::Refused)
                });
            }
            Err(error) => return Err(error.into()),
        }
        let now = self.clock.millis();
        let row = evidence.name.row(sum, self.limits.minimum, now);
        let ending = match row.state {
            SumState::BelowMinimum => Ending::BelowMinimum,
            _ => Ending::Added,
        };
        Ok(Outcome {
            rows: vec![row],
            ..left(ending)
        })
    }

    /// Reads both sum parts, verifies and adds them. A part that does not verify is read a second
    /// time, because a single corrupted read does not prove a forgery.
    async fn read_and_verify(
        &self,
        directory: &Directory<'_>,
        name: &EvidenceName,
    ) -> Result<Result<(Evidence, WindowSum), Findings>, Error> {
        let mut is_second = false;
        loop {
            let parts = match self.read_parts(directory, name).await? {
                Ok(parts) => parts,
                Err(findings) => return Ok(Err(findings)),
            };
            let name = name.clone();
            let evidence = Evidence { name, parts };
            let keys = Arc::clone(&directory.source.keys);
            let verified = tokio::task::spawn_blocking(move || {
                let sum = evidence.verify(&keys);
                sum.map(|sum| (evidence, sum))
            });
            match verified.await? {
                Err(findings) if !is_second && findings.0.iter().any(is_damage) => {
                    is_second = true;
                }
                verified => return Ok(verified),
            }
        }
    }

    /// Reads the files of both sum parts.
    async fn read_parts(
        &self,
        directory: &Directory<'_>,
        name: &EvidenceName,
    ) -> Result<Result<[PartFiles; 2], Findings>, Error> {
        let read = |writer: Role| async move {
            let mailbox = directory.source.mailboxes[writer.index()].as_ref();
            let kind = PartKind::of(name.part(writer));
            let files = read_files(mailbox, &kind.objects).await;
            files.map_err(|source| Finding::Unverified { writer, source })
        };
        match try_join!(read(Role::First), read(Role::Second)) {
            Ok((first, second)) => Ok(Ok([first, second])),
            // An unreachable bucket says nothing about the window.
            Err(Finding::Unverified {
                source: BatchError::Bucket(error),
                ..
            }) if error.disposition() == Disposition::Retry => Err(error.into()),
            Err(finding) => Ok(Err(finding.into())),
        }
    }
}

fn is_damage(finding: &Finding) -> bool {
    match finding {
        Finding::Unverified { source, .. } => source.is_damage(),
        _ => false,
    }
}

fn left(ending: Ending) -> Outcome {
    Outcome {
        ending,
        rows: Vec::new(),
        troubles: Vec::new(),
    }
}

fn refused(findings: &Findings) -> Outcome {
    Outcome {
        troubles: findings.0.iter().map(Trouble::from).collect(),
        ..left(Ending::Refused)
    }
}

/// Returns the row of a window without a sum.
fn empty_row(name: &EvidenceName, state: SumState, added: i64) -> WindowRow {
    WindowRow {
        instance: name.instance.clone(),
        aggregation: name.aggregation.clone(),
        window: name.window,
        version: name.version,
        state,
        reports: 0,
        rejected: 0,
        batches: 0,
        epsilon: 0.0,
        sums: Vec::new(),
        evidence: String::new(),
        added,
    }
}

/// The sum parts of some processors are no longer those in the evidence.
fn changed(row: &WindowRow, writers: &[Role], findings: &Findings) -> Outcome {
    let trouble = |writer: &Role| Trouble {
        kind: "changed",
        message: format!(
            "the {writer} processor's sum part in the mailbox is no longer the one that was added \
             (version {})",
            row.version
        ),
        next_step: format!(
            "the published sum stays; ask the operator of the {writer} processor why the part was \
             replaced. A correction needs new parts of both processors"
        ),
    };
    let mut troubles: Vec<Trouble> = writers.iter().map(trouble).collect();
    troubles.extend(findings.0.iter().map(Trouble::from));
    Outcome {
        ending: if troubles.is_empty() {
            Ending::Unchanged
        } else {
            Ending::Refused
        },
        rows: Vec::new(),
        troubles,
    }
}

fn other_source(row: &WindowRow, source: &str) -> Outcome {
    Outcome {
        troubles: vec![Trouble {
            kind: "other-source",
            message: format!(
                "the sum parts of source {source:?} are of a window whose sum is already known \
                 from another source: {}",
                row.evidence
            ),
            next_step: "remove one of the two sources from the configuration, or give one of the \
                        ingestors another name: every instance belongs to one source"
                .to_owned(),
        }],
        ..left(Ending::Refused)
    }
}
