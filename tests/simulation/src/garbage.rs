//! Objects under batch names that the ingestor never signed. Anyone who can write to a mailbox can
//! create them.

use std::sync::Arc;

use tallybox_model::path::BatchName;
use tallybox_transport::{publish_bytes, read_all};

use crate::bucket::StoredBucket;
use crate::dice::Dice;
use crate::dishonest_processor::MAX_OBJECT_BYTES;
use crate::schedule::Millis;

/// The objects to write, and their batch name.
#[derive(Clone, Debug)]
pub struct Garbage {
    /// The identifier of a real batch under an earlier date.
    pub name: BatchName,
    /// Another batch whose objects are copied to this name; with `None`, the signature object is a
    /// few arbitrary bytes.
    pub original: Option<BatchName>,
    /// The processors whose mailboxes receive the objects.
    pub sides: [bool; 2],
}

impl Garbage {
    /// Draws the objects for the identifier of the batch `original`.
    pub fn draw(original: &BatchName, all: &[&BatchName], dice: &mut Dice) -> Self {
        let back = 60 * dice.between(1, 6);
        let copied = dice.pick(all).filter(|other| other.id != original.id);
        Self {
            name: BatchName {
                date: original.date.plus_minutes(-back).unwrap_or(original.date),
                ..original.clone()
            },
            original: copied
                .filter(|_| dice.chance(300))
                .map(|other| (*other).clone()),
            sides: *dice
                .pick(&[[true, true], [true, false], [false, true]])
                .unwrap_or(&[true, true]),
        }
    }

    /// Writes the objects, and returns true, unless a signature exists under the name.
    pub async fn write(&self, mailboxes: &[Arc<StoredBucket>; 2], now: Millis) -> bool {
        let to = self.name.ingestion();
        let is_taken = |mailbox: &Arc<StoredBucket>| mailbox.made_at(&to.signature).is_some();
        if mailboxes.iter().any(is_taken) {
            return false;
        }
        for (mailbox, gets) in mailboxes.iter().zip(self.sides) {
            if !gets {
                continue;
            }
            let mut files = Vec::new();
            if let Some(original) = &self.original {
                let from = original.ingestion();
                for (from, to) in [
                    (&from.packets, &to.packets),
                    (&from.header, &to.header),
                    (&from.signature, &to.signature),
                ] {
                    // The retention may have deleted the object.
                    if let Ok(bytes) = read_all(&*mailbox.inner, from, MAX_OBJECT_BYTES).await {
                        files.push((to, bytes));
                    }
                }
            }
            if files.len() < 3 {
                files = vec![(&to.signature, "garbage!".into())];
            }
            for (key, bytes) in files {
                if publish_bytes(&*mailbox.inner, key, bytes, false)
                    .await
                    .is_ok()
                {
                    mailbox.note(key, now);
                }
            }
        }
        true
    }
}
