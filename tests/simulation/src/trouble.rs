//! What can go wrong in a run: each kind is switched on or off as a whole, by the seed or by who replays it.

use std::fmt;
use std::str::FromStr;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// Operations fail without effect.
    Failures,
    /// Operations take effect, and the caller sees an error.
    LostAnswers,
    /// Processes die at any operation, before or after its effect.
    Crashes,
    /// Queues deliver twice, lose messages, forget acknowledgements.
    Messages,
    /// Listings miss what was made in the last minutes.
    StaleListings,
    /// One organisation's operations take minutes.
    SlowPeer,
    /// Reports reach the spool long after the window they are named for.
    LateReports,
    /// A processor is down for many windows.
    Down,
    /// Clocks are wrong, and step.
    Clocks,
    /// Keys change in mid-window, and reach one processor late.
    Rotation,
    /// Mailboxes delete what is old.
    Retention,
    /// Reports that must not count.
    Hostile,
    /// Reports that are posted again.
    Replays,
    /// Two processes do the same work at once.
    Rivals,
    /// Who writes to a mailbox cannot read it, and objects of no bytes do not exist.
    Clouds,
    /// An ingestor that puts packets into a second batch, or a batch under a second date.
    Copies,
    /// A processor that puts other rosters and validations into the place of its own.
    Tampering,
    /// Rosters begin some windows after the start, and not when each side would have it.
    LateSwitch,
    /// A processor without rosters: both do as ENPA does.
    NoExtension,
    /// A processor takes its announcement of rosters back.
    ExtensionOff,
    /// Mailboxes say for a while that an object exists which is not there.
    Phantoms,
    /// Mailboxes give a wrong byte, once.
    BadReads,
    /// An operator sums windows of any length by hand.
    ByHand,
    /// A processor that takes nearly all packets out of the sums.
    Choosing,
    /// A processor whose packet key's file holds another key for some hours.
    WrongKey,
    /// Somebody who can write to a processor's own bucket changes what is in it.
    Editing,
    /// A processor that sends validations of many more messages than the batch has packets.
    Oversized,
    /// Windows without rosters pass the horizon while they are looked at.
    ShortHorizon,
    /// An ingestor that seals one side's shares to a key that this side does not hold any more.
    StaleKeys,
}

/// All kinds with their names.
const NAMES: [(Trouble, &str); 29] = [
    (Trouble::Failures, "failures"),
    (Trouble::LostAnswers, "lost-answers"),
    (Trouble::Crashes, "crashes"),
    (Trouble::Messages, "messages"),
    (Trouble::StaleListings, "stale-listings"),
    (Trouble::SlowPeer, "slow-peer"),
    (Trouble::LateReports, "late-reports"),
    (Trouble::Down, "down"),
    (Trouble::Clocks, "clocks"),
    (Trouble::Rotation, "rotation"),
    (Trouble::Retention, "retention"),
    (Trouble::Hostile, "hostile"),
    (Trouble::Replays, "replays"),
    (Trouble::Rivals, "rivals"),
    (Trouble::Clouds, "clouds"),
    (Trouble::Copies, "copies"),
    (Trouble::Tampering, "tampering"),
    (Trouble::LateSwitch, "late-switch"),
    (Trouble::NoExtension, "no-extension"),
    (Trouble::ExtensionOff, "extension-off"),
    (Trouble::Phantoms, "phantoms"),
    (Trouble::BadReads, "bad-reads"),
    (Trouble::ByHand, "by-hand"),
    (Trouble::Choosing, "choosing"),
    (Trouble::WrongKey, "wrong-key"),
    (Trouble::Editing, "editing"),
    (Trouble::Oversized, "oversized"),
    (Trouble::ShortHorizon, "short-horizon"),
    (Trouble::StaleKeys, "stale-keys"),
];

impl Trouble {
    /// Every kind.
    #[must_use]
    pub fn all() -> Vec<Self> {
        NAMES.iter().map(|(trouble, _)| *trouble).collect()
    }

    /// Whether it is drawn from a stream of its own, so that it changes nothing about the rest of a seed's world.
    #[must_use]
    pub fn has_own_dice(self) -> bool {
        matches!(
            self,
            Self::Editing | Self::Oversized | Self::StaleKeys | Self::ShortHorizon
        )
    }

    /// Troubles of which a world needs one for this one to happen; none: it happens in any world.
    #[must_use]
    pub fn needs(self) -> &'static [Self] {
        match self {
            // It is about windows without rosters.
            Self::StaleKeys => &[Self::NoExtension, Self::LateSwitch],
            _ => &[],
        }
    }

    /// A trouble that it brings along.
    #[must_use]
    pub fn brings(self) -> Option<Self> {
        // Of windows with rosters more is promised than a short horizon keeps.
        (self == Self::ShortHorizon).then_some(Self::NoExtension)
    }

    /// How often it happens, as a part of how often others do, in 1000; of one that needs another, how often it happens
    /// where that one does.
    #[must_use]
    pub fn share(self) -> u64 {
        match self {
            // Little can be promised of such a world.
            Self::NoExtension | Self::ShortHorizon => 150,
            Self::LateSwitch | Self::Tampering | Self::Choosing | Self::WrongKey | Self::Editing | Self::Oversized => {
                400
            }
            Self::StaleKeys => 800,
            _ => 1000,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(trouble, _)| trouble == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Trouble {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(trouble, _)| *trouble).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            format!("no trouble is called {text:?}; there are {}", names.join(", "))
        })
    }
}
