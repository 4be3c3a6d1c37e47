//! A dishonest processor whose validation batches have many more messages than the batch has
//! packets. A processor that reads them to the end lets its peer decide how much memory it needs.

use tallybox_model::id::PacketId;
use tallybox_model::packet::ValidationPacket;
use tallybox_model::path::{BatchName, BatchPart};
use tallybox_model::role::Role;

use crate::dice::Dice;
use crate::dishonest_processor::{Tampering, TamperingKind, rewrite};
use crate::machine::Storage;
use crate::operator::parts;
use crate::scenario::Scenario;
use crate::schedule::Millis;
use crate::violations::Violations;

/// The minimum number of added messages, which every processor has to refuse: the permitted
/// surplus, and a reserve for packets without a message.
const MIN_ADDED_MESSAGES: u64 = 1024 + 64;

/// Adds messages to the object that was just written to the victim's mailbox, if it is a validation
/// batch.
pub async fn oversize(
    storage: &Storage,
    victim: Role,
    violations: &Violations,
    (dice, now): (&mut Dice, Millis),
) -> Option<Tampering> {
    let (tamperer, mailbox) = (victim.peer(), &storage.validation[victim.index()]);
    let (name, BatchPart::Signature) = BatchName::validation_part(&mailbox.fresh()?, tamperer)?
    else {
        return None;
    };
    if violations.doubtful().contains(&name.id) {
        // The validation batch may itself be a replacement of one that was already read.
        return None;
    }
    let more = MIN_ADDED_MESSAGES + dice.below(2000);
    let added: Vec<PacketId> = (0..more)
        .map(|_| PacketId::from_bytes(dice.bytes()))
        .collect();
    rewrite(mailbox, &name, tamperer, now, |messages| {
        // The written messages stay in place; the added ones have identifiers that no packet has.
        messages.extend(added.into_iter().map(|id| ValidationPacket {
            id,
            f_r: 1,
            g_r: 2,
            h_r: 3,
        }));
        Some(())
    })
    .await?;
    Some(Tampering {
        kind: TamperingKind::Oversized(name),
        victim,
        at: now,
    })
}

/// Verifies that no processor sums a batch for which its peer has sent too many messages.
pub async fn oversized_in_no_sum(
    scenario: &Scenario,
    storage: &Storage,
    violations: &Violations,
    problems: &mut Vec<String>,
) {
    if scenario.retention.is_some() {
        // A validation batch may have been read, deleted by the retention and written again, before
        // it was enlarged.
        return;
    }
    for role in Role::ALL {
        let sums = parts(storage, role, problems).await;
        let act = violations.tampered.iter().filter(|act| act.victim == role);
        for (act, name) in act.filter_map(|act| match &act.kind {
            TamperingKind::Oversized(name) => Some((act, name)),
            _ => None,
        }) {
            let signature = name.validation(role.peer()).signature;
            // Another replacement may have followed.
            let is_current = storage.validation[role.index()].made_at(&signature) == Some(act.at);
            for (key, _) in sums
                .iter()
                .filter(|(_, sum)| is_current && sum.batch_uuids.contains(&name.id))
            {
                problems.push(format!(
                    "the {role} processor sums batch {name} in {key}, although its peer sent too many messages for it"
                ));
            }
        }
    }
}
