//! The simulated announcement of a peer's protocol extensions.

use std::sync::Arc;

use async_trait::async_trait;
use tallybox_model::extensions::{Extensions, RosterExtension, Sighting};
use tallybox_model::time::BatchTime;
use tallybox_workflow_manager::announcement::PeerAnnouncement;

use crate::schedule::{Answer, Asked, Life, Millis, Schedule};

/// The peer's announcement as one process sees it during one lifetime.
#[derive(Debug)]
pub struct SimAnnouncement {
    /// The time from which the peer announces rosters, if it does.
    pub since: Option<BatchTime>,
    /// The time at which the peer withdraws the announcement.
    pub off: Option<Millis>,
    /// The schedule, in which each query waits for its turn.
    pub schedule: Arc<Schedule>,
    /// The lifetime of the process that queries the announcement.
    pub life: Arc<Life>,
}

#[async_trait]
impl PeerAnnouncement for SimAnnouncement {
    async fn observe(&self) -> Sighting {
        let asked = Asked {
            verb: "look",
            store: "announcement",
            key: String::new(),
        };
        if self.schedule.ask(&self.life, asked).await != Answer::Done {
            return Sighting::Unknown;
        }
        let gone = self.off.is_some_and(|off| off <= self.schedule.now());
        match self.since.filter(|_| !gone) {
            Some(since) => Sighting::Announced(Extensions {
                roster: Some(RosterExtension { since, until: None }),
            }),
            None => Sighting::Absent,
        }
    }

    fn location(&self) -> String {
        "announcement".to_owned()
    }
}
