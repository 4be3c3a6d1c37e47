//! The reports that clients have posted, and those that were acknowledged.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tallybox_client::post::{PostOutcome, Prepared};
use tallybox_model::report::ReportUpload;
use tokio::time::{Instant, sleep};

use super::site::Site;

/// The two sealed shares of a report.
pub type Pair = [Vec<u8>; 2];

/// The reports to post next, and those that were posted and acknowledged.
#[derive(Default)]
pub struct PostedReports {
    next: u64,
    unacknowledged: VecDeque<Prepared>,
    pub posted: BTreeSet<Pair>,
    pub acknowledged: BTreeSet<Pair>,
    /// The number of acknowledgements by servers. Reports that were in the spool from the start are
    /// not counted.
    pub acknowledged_live: u64,
    abandoned: u64,
}

impl fmt::Debug for PostedReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} reports, {} acknowledged, {} of them by servers, {} abandoned",
            self.posted.len(),
            self.acknowledged.len(),
            self.acknowledged_live,
            self.abandoned
        )
    }
}

fn pair(upload: &ReportUpload) -> Pair {
    upload.payloads().map(<[u8]>::to_vec)
}

impl PostedReports {
    /// Adds reports that are in the spool from the start, and those of them that clients post again
    /// because they did not receive the response.
    pub fn with(mut self, filled: Vec<ReportUpload>, repeated: Vec<ReportUpload>) -> Self {
        self.next = filled.len() as u64;
        self.acknowledged.extend(filled.iter().map(pair));
        self.posted.clone_from(&self.acknowledged);
        self.unacknowledged
            .extend(repeated.into_iter().map(Prepared::from));
        self
    }

    /// Returns the next report to post: in most cases one that was not acknowledged, if there is
    /// one.
    fn draw(&mut self, site: &Site, rng: &mut ChaCha20Rng) -> Prepared {
        if let Some(unacknowledged) = rng
            .random_bool(0.7)
            .then(|| self.unacknowledged.pop_front())
            .flatten()
        {
            return unacknowledged;
        }
        let upload = site.upload(self.next);
        self.next += 1;
        self.posted.insert(pair(&upload));
        upload.into()
    }

    /// Records the outcome of a report.
    fn note(&mut self, outcome: PostOutcome, pair: Pair, rng: &mut ChaCha20Rng) {
        match outcome {
            PostOutcome::Accepted | PostOutcome::AlreadyAccepted => {
                self.acknowledged_live += 1;
                self.acknowledged.insert(pair);
            }
            // Most real clients retry; the others abandon their reports.
            PostOutcome::TryLater { report, .. } if rng.random_bool(0.8) => {
                self.unacknowledged.push_back(*report)
            }
            PostOutcome::TryLater { .. } => self.abandoned += 1,
            other => panic!("{other:?}"),
        }
    }
}

/// Posts new reports, and reports that were not acknowledged, to both replicas until the time
/// `end`.
pub async fn post(site: Arc<Site>, reports: Arc<Mutex<PostedReports>>, seed: u64, end: Instant) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let reporters = [0, 1].map(|replica| site.reporter(replica));
    while Instant::now() < end {
        let post: Vec<Prepared> = {
            let mut reports = reports.lock().unwrap();
            let many = rng.random_range(1..9);
            (0..many).map(|_| reports.draw(&site, &mut rng)).collect()
        };
        let pairs: Vec<Pair> = post.iter().map(|report| pair(report.upload())).collect();
        let outcomes = reporters[rng.random_range(0..2)].send_all(post).await;
        {
            let mut reports = reports.lock().unwrap();
            for (outcome, pair) in outcomes.into_iter().zip(pairs) {
                reports.note(outcome, pair, &mut rng);
            }
        }
        sleep(Duration::from_millis(rng.random_range(0..300))).await;
    }
}
