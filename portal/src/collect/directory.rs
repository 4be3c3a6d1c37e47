//! The windows of one aggregation and instance: list, plan, process several at a time, store.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::progress::Progress;
use tallybox_transport::BucketError;

use super::listing::{Listed, list_evidence, list_parts};
use super::outcome::{Outcome, is_ours};
use super::plan::{Known, Work, plan};
use super::source::Source;
use super::{CollectOptions, Collected, SumCollector};
use crate::error::Error;
use crate::evidence::{Evidence, EvidenceName};
use crate::store::{FindingRow, WindowFilter, WindowRow};

/// Number of windows that are stored in one transaction.
const STORED_TOGETHER: usize = 200;

/// One aggregation and instance of a source.
#[derive(Clone, Debug)]
pub(super) struct Directory<'s> {
    pub(super) source: &'s Source,
    pub(super) instance: Instance,
    pub(super) aggregation: AggregationId,
}

impl Directory<'_> {
    /// Returns the name of the evidence of a window.
    pub(super) fn evidence(&self, window: Window, version: u32) -> EvidenceName {
        EvidenceName {
            source: self.source.name.clone(),
            instance: self.instance.clone(),
            aggregation: self.aggregation.clone(),
            window,
            version,
        }
    }

    fn finding(&self, window: Window, trouble: &super::Trouble, now: i64) -> FindingRow {
        FindingRow {
            instance: self.instance.clone(),
            aggregation: self.aggregation.clone(),
            window,
            kind: trouble.kind.to_owned(),
            message: trouble.message.clone(),
            next_step: trouble.next_step.clone(),
            first_seen: now,
            resolved: None,
        }
    }
}

/// A window and what has to be done for it.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) window: Window,
    pub(super) bytes: u64,
    pub(super) work: Work,
}

impl SumCollector {
    /// Processes the windows of one aggregation and instance.
    pub(super) async fn directory(
        &self,
        directory: &Directory<'_>,
        options: CollectOptions,
        progress: &Progress,
        collected: &mut Collected,
    ) -> Result<(), Error> {
        let open = self
            .store
            .findings_of(&directory.instance, &directory.aggregation, true)
            .await?;
        let tasks = match self.plan(directory, options, &open).await {
            Ok(tasks) => tasks,
            Err(error @ Error::Bucket(_)) => {
                let place = EvidenceName::directory(
                    &directory.source.name,
                    &directory.instance,
                    &directory.aggregation,
                );
                collected.fail(&place, &error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let outcomes = stream::iter(tasks)
            .map(|task| async move { (task.clone(), self.process(directory, task).await) })
            .buffer_unordered(self.limits.concurrency);
        let mut chunks = outcomes.ready_chunks(STORED_TOGETHER);
        while let Some(chunk) = chunks.next().await {
            let mut done = Vec::new();
            for (task, outcome) in chunk {
                progress.advance(0, task.bytes);
                match outcome {
                    Ok(outcome) => done.push((task.window, outcome)),
                    Err(error @ (Error::Bucket(_) | Error::Thread(_))) => {
                        let name = directory.evidence(task.window, 0).part(Role::First);
                        collected.fail(&name.to_string(), &error);
                    }
                    Err(error) => return Err(error),
                }
            }
            self.record(directory, done, &open, collected).await?;
        }
        Ok(())
    }

    /// Lists the sum parts, and returns what has to be done.
    async fn plan(
        &self,
        directory: &Directory<'_>,
        options: CollectOptions,
        open: &[FindingRow],
    ) -> Result<Vec<Task>, Error> {
        let since = self.since(directory, options).await?;
        let listed = self.list(directory, since).await?;
        let evidence = EvidenceName::directory(
            &directory.source.name,
            &directory.instance,
            &directory.aggregation,
        );
        let evidence = list_evidence(self.evidence.as_ref(), &evidence, since).await?;
        let mut rows = self.latest_versions(directory, since).await?;
        let mut tasks = Vec::new();
        for (window, listed) in listed {
            let row = rows.remove(&window);
            let version = row.as_ref().map_or(0, |row| row.version);
            let name = directory.evidence(window, version);
            let size = evidence.get(&(window, version)).copied();
            let known = Known {
                listed,
                row,
                same_size: size == Some(Evidence::encoded_len(&name, &listed.sizes)),
                has_findings: open
                    .iter()
                    .any(|finding| finding.window == window && is_ours(&finding.kind)),
            };
            let work = plan(known, &directory.source.name, options.recheck);
            if work != Work::Nothing {
                tasks.push(Task {
                    window,
                    bytes: listed.bytes(),
                    work,
                });
            }
        }
        Ok(tasks)
    }

    /// Lists both mailboxes.
    async fn list(
        &self,
        directory: &Directory<'_>,
        since: Option<BatchTime>,
    ) -> Result<BTreeMap<Window, Listed>, BucketError> {
        let folder = format!("{}/{}", directory.instance, directory.aggregation);
        let mut listed = BTreeMap::new();
        for writer in Role::ALL {
            let mailbox = directory.source.mailboxes[writer.index()].as_ref();
            list_parts(mailbox, &folder, writer, since, &mut listed).await?;
        }
        Ok(listed)
    }

    /// Returns the start of the first window to look for. The first run for an aggregation looks
    /// for all.
    async fn since(
        &self,
        directory: &Directory<'_>,
        options: CollectOptions,
    ) -> Result<Option<BatchTime>, Error> {
        let now = BatchTime::of_clock(self.clock.millis());
        let since = now.plus_minutes(-self.limits.look_back_minutes);
        if options.all {
            return Ok(None);
        }
        let any = WindowFilter {
            aggregation: Some(directory.aggregation.clone()),
            instances: vec![directory.instance.clone()],
            limit: Some(1),
            ..WindowFilter::default()
        };
        let is_first = self.store.windows(&any).await?.is_empty();
        Ok(since.filter(|_| !is_first))
    }

    /// Returns the row of the latest version of each window.
    async fn latest_versions(
        &self,
        directory: &Directory<'_>,
        since: Option<BatchTime>,
    ) -> Result<BTreeMap<Window, WindowRow>, Error> {
        let filter = WindowFilter {
            aggregation: Some(directory.aggregation.clone()),
            instances: vec![directory.instance.clone()],
            from: since,
            ..WindowFilter::default()
        };
        // In order of the version, so that the latest one remains.
        let rows = self.store.windows(&filter).await?.into_iter();
        Ok(rows.map(|row| (row.window, row)).collect())
    }

    /// Stores the rows of processed windows, opens their findings, and resolves those that no
    /// longer hold.
    async fn record(
        &self,
        directory: &Directory<'_>,
        done: Vec<(Window, Outcome)>,
        open: &[FindingRow],
        collected: &mut Collected,
    ) -> Result<(), Error> {
        let rows = done.iter().flat_map(|(_, outcome)| outcome.rows.clone());
        self.store.add(&rows.collect::<Vec<_>>()).await?;
        let now = self.clock.millis();
        for (window, outcome) in done {
            collected.count(outcome.ending);
            for trouble in &outcome.troubles {
                let finding = directory.finding(window, trouble, now);
                if self.store.add_finding(&finding).await? {
                    collected.found(finding);
                }
            }
            let resolved = open.iter().filter(|finding| {
                let holds = outcome.troubles.iter().any(|trouble| trouble.is(finding));
                finding.window == window && is_ours(&finding.kind) && !holds
            });
            let resolved = stream::iter(resolved.map(Ok::<_, Error>));
            let resolve = |finding| self.store.resolve_finding(finding, now);
            let resolved: Vec<bool> = resolved.and_then(resolve).try_collect().await?;
            collected.resolved += resolved.iter().filter(|was_open| **was_open).count() as u64;
        }
        Ok(())
    }
}
