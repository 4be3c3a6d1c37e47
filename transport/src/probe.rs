//! Checks of a bucket for operators: the permissions that are missing, the permissions that are
//! granted without need, and the behaviour on which the programs rely.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::{Bucket, BucketError, Created, Entry, ListRange, SharedBucket};
use tallybox_model::cause::chain;

/// The object that probes create. It remains in a mailbox that does not permit deletion.
pub const PROBE: &str = "tallybox-check";
/// The directory of objects that the probe of listings creates and deletes.
const PROBE_DIRECTORY: &str = "tallybox-check-list";
/// Maximum difference between the bucket's clock and the machine's, in milliseconds.
const MAX_CLOCK_DIFFERENCE_MILLIS: i64 = 5 * 60_000;

/// The use of a bucket by this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The own bucket: read, list, write and delete.
    Own,
    /// This program's mailbox, into which another organisation writes: read and list.
    Inbox,
    /// Another organisation's mailbox, into which this program writes.
    Outbox,
    /// A bucket that is only listed.
    Listed,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    /// The bucket behaves as required.
    Good,
    /// A required operation does not work.
    Failed,
    /// The bucket cannot be reached, so the outcome is unknown.
    Unreachable,
    /// An operation is permitted that is not needed and should be denied.
    TooMuch,
}

/// The result of one check of one bucket.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProbeFinding {
    /// The check.
    pub check: &'static str,
    /// The outcome.
    #[serde(rename = "verdict")]
    pub outcome: CheckResult,
    /// Details for people.
    pub detail: String,
}

/// The results of all checks of one bucket.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Probed {
    /// The bucket's name in the configuration.
    pub name: String,
    /// The bucket's location.
    pub location: String,
    /// The results.
    pub findings: Vec<ProbeFinding>,
}

impl Probed {
    /// Returns whether a check has this outcome.
    #[must_use]
    pub fn has(&self, outcome: CheckResult) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.outcome == outcome)
    }
}

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}: {}", self.name, self.location)?;
        for finding in &self.findings {
            let mark = match finding.outcome {
                CheckResult::Good => "good",
                CheckResult::Failed => "FAILED",
                CheckResult::Unreachable => "UNREACHABLE",
                CheckResult::TooMuch => "too much",
            };
            write!(
                f,
                "\n    {:<18} {mark:<12} {}",
                finding.check, finding.detail
            )?;
        }
        Ok(())
    }
}

/// Returns the worst outcome of all checks that prevents the program from working; `None` if all
/// outcomes allow it to work.
#[must_use]
pub fn worst(probed: &[Probed]) -> Option<CheckResult> {
    let found = |outcome| {
        probed
            .iter()
            .any(|bucket| bucket.has(outcome))
            .then_some(outcome)
    };
    found(CheckResult::Failed).or_else(|| found(CheckResult::Unreachable))
}

/// A repeated check of a long-running program that a bucket responds.
#[derive(Debug, Default)]
pub struct Reachable {
    responded: AtomicBool,
}

impl Reachable {
    /// Requests an object that need not exist. A missing directory counts as unreachable only if it
    /// existed before; otherwise, the first write creates it.
    ///
    /// # Errors
    /// The reason why the bucket does not respond or denies access.
    pub async fn ask(&self, bucket: &dyn Bucket) -> Result<(), BucketError> {
        match bucket.check_there().await {
            Ok(()) => self.responded.store(true, Ordering::SeqCst),
            Err(error) if self.responded.load(Ordering::SeqCst) => return Err(error),
            Err(_) => return Ok(()),
        }
        match bucket.size(PROBE).await {
            Ok(_) | Err(BucketError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Probes buckets, one after the other. Each has a name in the configuration and a purpose.
pub async fn probe_all<'a>(
    buckets: impl IntoIterator<Item = (&'a str, &'a SharedBucket, Purpose)>,
    now: i64,
) -> Vec<Probed> {
    let mut probed = Vec::new();
    for (name, bucket, purpose) in buckets {
        probed.push(probe(name, &**bucket, purpose, now).await);
    }
    probed
}

/// Probes a bucket according to its purpose. `now` is this machine's clock in milliseconds since
/// 1970.
pub async fn probe(name: &str, bucket: &dyn Bucket, purpose: Purpose, now: i64) -> Probed {
    let mut findings = vec![needed("directory", "exists", bucket.check_there().await)];
    // Without the directory, all other checks would fail for the same reason.
    if findings[0].outcome == CheckResult::Good {
        match purpose {
            Purpose::Own => own(bucket, now, &mut findings).await,
            Purpose::Inbox => {
                findings.extend([list(bucket).await, read(bucket).await]);
                findings.push(unneeded("create", create(bucket).await.map(drop)));
                findings.push(unneeded("delete", bucket.delete(PROBE).await));
            }
            Purpose::Outbox => {
                findings.push(create_if_absent(bucket).await);
                findings.push(unneeded("delete", bucket.delete(PROBE).await));
            }
            Purpose::Listed => findings.push(list(bucket).await),
        }
    }
    Probed {
        name: name.to_owned(),
        location: bucket.location(),
        findings,
    }
}

async fn own(bucket: &dyn Bucket, now: i64, findings: &mut Vec<ProbeFinding>) {
    findings.extend([
        list(bucket).await,
        create_if_absent(bucket).await,
        read(bucket).await,
        needed("delete", "allowed", bucket.delete(PROBE).await),
        date(bucket, now).await,
        list_from_bound(bucket).await,
    ]);
}

fn finding(check: &'static str, outcome: CheckResult, detail: impl Into<String>) -> ProbeFinding {
    let detail = detail.into();
    ProbeFinding {
        check,
        outcome,
        detail,
    }
}

/// Returns the finding for an operation that has to succeed.
fn needed<T>(check: &'static str, good: &str, result: Result<T, BucketError>) -> ProbeFinding {
    match result {
        Ok(_) => finding(check, CheckResult::Good, good),
        Err(error) => {
            let unreachable = matches!(error, BucketError::Unavailable { .. });
            let outcome = if unreachable {
                CheckResult::Unreachable
            } else {
                CheckResult::Failed
            };
            finding(check, outcome, chain(&error))
        }
    }
}

/// Returns the finding for an operation that should be denied.
fn unneeded(check: &'static str, result: Result<(), BucketError>) -> ProbeFinding {
    match result {
        Err(BucketError::PermissionDenied { .. }) => {
            finding(check, CheckResult::Good, "denied, as required")
        }
        Ok(()) => finding(
            check,
            CheckResult::TooMuch,
            "allowed, but not needed: revoke this permission",
        ),
        // Any other error gives no information about the permission.
        Err(error) => finding(check, CheckResult::Unreachable, chain(&error)),
    }
}

async fn list(bucket: &dyn Bucket) -> ProbeFinding {
    let first = async {
        bucket
            .list("", ListRange::default())
            .await?
            .next()
            .await
            .transpose()
    };
    needed("list", "allowed", first.await)
}

async fn read(bucket: &dyn Bucket) -> ProbeFinding {
    match bucket.get(PROBE).await {
        Ok(_) | Err(BucketError::NotFound { .. }) => finding("read", CheckResult::Good, "allowed"),
        Err(error) => needed::<()>("read", "", Err(error)),
    }
}

async fn create(bucket: &dyn Bucket) -> Result<Created, BucketError> {
    put(bucket, PROBE).await
}

async fn put(bucket: &dyn Bucket, key: &str) -> Result<Created, BucketError> {
    let text = Bytes::from_static(b"made by check-config --buckets\n");
    let mut upload = bucket.create(key, Some(text.len() as u64)).await?;
    upload.write(text).await?;
    upload.commit().await
}

/// Sends two requests to create an object. The bucket has to report for the second that the object
/// exists.
async fn create_if_absent(bucket: &dyn Bucket) -> ProbeFinding {
    let twice = async {
        create(bucket).await?;
        create(bucket).await
    };
    match twice.await {
        Ok(Created::Exists) => finding(
            "create-if-absent",
            CheckResult::Good,
            "an existing object is not replaced",
        ),
        Ok(Created::New) => finding(
            "create-if-absent",
            CheckResult::Failed,
            "the condition is ignored: a second request replaced the object; use a server that supports If-None-Match",
        ),
        Err(error) => needed::<()>("create-if-absent", "", Err(error)),
    }
}

async fn date(bucket: &dyn Bucket, now: i64) -> ProbeFinding {
    match bucket.date().await {
        Ok(date) if (date - now).abs() <= MAX_CLOCK_DIFFERENCE_MILLIS => {
            let seconds = (date - now) / 1000;
            finding(
                "date",
                CheckResult::Good,
                format!("{seconds} s from this machine's clock"),
            )
        }
        Ok(date) => {
            let seconds = (date - now) / 1000;
            let detail =
                format!("{seconds} s from this machine's clock: correct the clock that is wrong");
            finding("date", CheckResult::Failed, detail)
        }
        Err(error) => needed::<()>("date", "", Err(error)),
    }
}

async fn list_from_bound(bucket: &dyn Bucket) -> ProbeFinding {
    let directories = [0, 1].map(|minute| format!("{PROBE_DIRECTORY}/2026/01/01/00/{minute:02}"));
    let keys = directories
        .each_ref()
        .map(|directory| format!("{directory}/x"));
    let result = lists_all_from(bucket, &directories, &keys).await;
    for key in &keys {
        // A failed deletion is reported by the separate check of deletion.
        let _ = bucket.delete(key).await;
    }
    match result {
        Ok(true) => finding("list-from-bound", CheckResult::Good, "complete"),
        Ok(false) => finding(
            "list-from-bound",
            CheckResult::Failed,
            "a listing that starts at a bound omits objects or contains others: batches would be missed; use another \
             server",
        ),
        Err(error) => needed::<()>("list-from-bound", "", Err(error)),
    }
}

/// Returns whether a listing that starts at each directory's name contains the objects of that
/// directory and of later ones.
async fn lists_all_from(
    bucket: &dyn Bucket,
    directories: &[String; 2],
    keys: &[String; 2],
) -> Result<bool, BucketError> {
    for key in keys {
        put(bucket, key).await?;
    }
    for (index, directory) in directories.iter().enumerate() {
        let range = ListRange {
            start_at: Some(format!("{directory}/")),
            end_before: None,
        };
        let entries = bucket.list(PROBE_DIRECTORY, range).await?;
        let found: Vec<Entry> = entries.try_collect().await?;
        if !found.iter().map(|entry| &entry.key).eq(&keys[index..]) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::faults::{FaultKind, Faults, WriteOnly};
    use crate::{LocalBucket, memory};

    fn now() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    }

    fn details(probed: &Probed, outcome: CheckResult) -> Vec<&'static str> {
        let found = probed
            .findings
            .iter()
            .filter(|finding| finding.outcome == outcome);
        found.map(|finding| finding.check).collect()
    }

    #[tokio::test]
    async fn a_good_bucket_is_good_and_keeps_nothing() {
        let bucket = memory("own");
        let probed = probe("own", &*bucket, Purpose::Own, now()).await;
        assert_eq!(
            details(&probed, CheckResult::Good).len(),
            probed.findings.len(),
            "{probed}"
        );
        let left: Vec<Entry> = bucket
            .list("", ListRange::default())
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        // Every program that reads a bucket's date creates the clock object.
        assert!(
            left.iter().all(|entry| entry.key == crate::bucket::CLOCK),
            "{left:?}"
        );
        let late = probe("own", &*bucket, Purpose::Own, now() - 10 * 60_000).await;
        assert_eq!(details(&late, CheckResult::Failed), ["date"], "{late}");
    }

    #[tokio::test]
    async fn rights_that_are_missing_and_rights_that_should_be() {
        let mailbox = WriteOnly::wrap(memory("mailbox"));
        let outbox = probe("out", &*mailbox, Purpose::Outbox, now()).await;
        assert_eq!(
            details(&outbox, CheckResult::Good),
            ["directory", "create-if-absent", "delete"],
            "{outbox}"
        );
        let own = probe("own", &*mailbox, Purpose::Own, now()).await;
        assert_eq!(
            details(&own, CheckResult::Failed),
            ["list", "read", "delete", "list-from-bound"],
            "{own}"
        );
        let inbox = probe("in", &*memory("inbox"), Purpose::Inbox, now()).await;
        assert_eq!(
            details(&inbox, CheckResult::TooMuch),
            ["create", "delete"],
            "{inbox}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_told_from_what_is_refused() {
        let dead = Faults::new(1, FaultKind::Die).wrap(memory("dead"));
        let probed = probe("own", &*dead, Purpose::Own, now()).await;
        assert!(
            probed.has(CheckResult::Unreachable) && !probed.has(CheckResult::Failed),
            "{probed}"
        );
        let missing = LocalBucket::new("/nowhere/at/all");
        let probed = probe("own", &missing, Purpose::Own, now()).await;
        assert_eq!(
            details(&probed, CheckResult::Unreachable),
            ["directory"],
            "{probed}"
        );
    }

    #[tokio::test]
    async fn a_directory_that_has_gone_does_not_answer() {
        let (folder, reachable) = (tempfile::tempdir().unwrap(), Reachable::default());
        let root = folder.path().join("own");
        let bucket = LocalBucket::new(&root);
        assert!(
            reachable.ask(&bucket).await.is_ok(),
            "the first write creates it"
        );
        std::fs::create_dir(&root).unwrap();
        assert!(reachable.ask(&bucket).await.is_ok());
        std::fs::remove_dir(&root).unwrap();
        let error = reachable.ask(&bucket).await.unwrap_err();
        assert!(matches!(error, BucketError::Unavailable { .. }), "{error}");
        let dead = Faults::new(1, FaultKind::Die).wrap(memory("dead"));
        assert!(Reachable::default().ask(&*dead).await.is_err());
    }

    #[tokio::test]
    async fn a_bucket_that_replaces_objects_is_found() {
        #[derive(Debug)]
        struct Replaces(crate::SharedBucket);
        // Each creation first deletes the existing object, like a server that ignores the
        // condition.
        #[async_trait::async_trait]
        impl Bucket for Replaces {
            async fn get(&self, key: &str) -> Result<crate::Object, BucketError> {
                self.0.get(key).await
            }
            async fn get_range(
                &self,
                key: &str,
                range: std::ops::Range<u64>,
            ) -> Result<Bytes, BucketError> {
                self.0.get_range(key, range).await
            }
            async fn size(&self, key: &str) -> Result<u64, BucketError> {
                self.0.size(key).await
            }
            async fn create(
                &self,
                key: &str,
                hint: Option<u64>,
            ) -> Result<Box<dyn crate::Upload>, BucketError> {
                self.0.delete(key).await?;
                self.0.create(key, hint).await
            }
            async fn list(
                &self,
                prefix: &str,
                _: ListRange,
            ) -> Result<
                futures::stream::BoxStream<'static, Result<crate::Entry, BucketError>>,
                BucketError,
            > {
                self.0.list(prefix, ListRange::default()).await
            }
            async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
                self.0.list_directories(prefix).await
            }
            async fn delete(&self, key: &str) -> Result<(), BucketError> {
                self.0.delete(key).await
            }
            fn location(&self) -> String {
                self.0.location()
            }
            fn stores_empty_objects(&self) -> bool {
                true
            }
        }
        let probed = probe("own", &Replaces(memory("own")), Purpose::Own, now()).await;
        assert_eq!(
            details(&probed, CheckResult::Failed),
            ["create-if-absent", "list-from-bound"],
            "{probed}"
        );
    }
}
