//! What a processor sees of its peer's announcement.

use std::sync::Arc;

use async_trait::async_trait;
use tallybox_model::extensions::{Extensions, RosterExtension, Sighting};
use tallybox_model::time::BatchTime;
use tallybox_workflow_manager::announcement::PeerAnnouncement;

use crate::schedule::{Answer, Asked, Life, Millis, Schedule};

/// The peer's announcement as one life of a process sees it.
#[derive(Debug)]
pub struct SimAnnouncement {
    /// From when on the peer does rosters.
    pub since: Option<BatchTime>,
    /// When it takes that back.
    pub off: Option<Millis>,
    /// Virtual time.
    pub schedule: Arc<Schedule>,
    /// Whose look it is.
    pub life: Arc<Life>,
}

#[async_trait]
impl PeerAnnouncement for SimAnnouncement {
    async fn look(&self) -> Sighting {
        let asked = Asked {
            verb: "look",
            place: "announcement",
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

    fn place(&self) -> String {
        "announcement".to_owned()
    }
}
