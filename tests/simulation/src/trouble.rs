//! The faults that a run can inject. The seed, or the person who repeats a run, switches each kind
//! on or off as a whole.

use std::fmt;
use std::str::FromStr;

/// A kind of injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// Operations fail without effect.
    Failures,
    /// Operations take effect, but the caller receives an error.
    LostAnswers,
    /// Processes crash at any operation, before or after its effect.
    Crashes,
    /// Queues deliver messages twice, lose messages, and lose acknowledgements.
    Messages,
    /// Listings do not contain the objects of the last minutes.
    StaleListings,
    /// The operations of one processor take minutes.
    SlowPeer,
    /// Reports reach the spool hours after the window for which they are named.
    LateReports,
    /// A processor is offline for many windows.
    Down,
    /// Clocks are wrong, and step forward and back.
    Clocks,
    /// Keys change in the middle of a window, and a processor receives its new packet key late.
    Rotation,
    /// Mailboxes delete objects that are older than the configuration allows.
    Retention,
    /// Clients send reports that must not count.
    Hostile,
    /// Clients post reports again.
    Replays,
    /// Two processes do the same work concurrently.
    Rivals,
    /// The writer of a mailbox may not read it, and objects of no bytes do not exist.
    Clouds,
    /// A dishonest ingestor puts packets into a second batch, or a batch under a second date.
    Copies,
    /// A dishonest processor replaces its rosters and validation batches with others.
    Tampering,
    /// Rosters begin some windows after the start, and each side announces a different time.
    LateSwitch,
    /// One processor has no rosters, so that both behave as ENPA does.
    NoExtension,
    /// A processor withdraws its announcement of rosters.
    ExtensionOff,
    /// Mailboxes report for some minutes that an absent object exists, and create nothing.
    Phantoms,
    /// Mailboxes return an object with a wrong byte, once for each batch or roster.
    BadReads,
    /// An operator sums windows of any length manually.
    ManualSum,
    /// A dishonest processor removes nearly all packets from the sums.
    Choosing,
    /// The file of a processor's packet key contains another key for some hours.
    WrongKey,
    /// An attacker with write access to a processor's own bucket edits its records.
    Editing,
    /// A dishonest processor sends validation batches with many more messages than the batch has
    /// packets.
    Oversized,
    /// Windows without rosters pass the horizon during the run.
    ShortHorizon,
    /// An ingestor seals one side's shares to a key that this side no longer has.
    StaleKeys,
}

/// All kinds with their names, in the order in which a seed draws them.
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
    (Trouble::ManualSum, "by-hand"),
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

    /// Returns whether this fault is drawn from a random stream of its own, so that its draw does
    /// not change the rest of the seed's run.
    #[must_use]
    pub fn has_own_dice(self) -> bool {
        matches!(
            self,
            Self::Editing | Self::Oversized | Self::StaleKeys | Self::ShortHorizon
        )
    }

    /// Returns the faults of which a run needs at least one for this fault to happen. With an empty
    /// slice, the fault can happen in any run.
    #[must_use]
    pub fn needs(self) -> &'static [Self] {
        match self {
            // The fault concerns windows without rosters, which only these two produce.
            Self::StaleKeys => &[Self::NoExtension, Self::LateSwitch],
            _ => &[],
        }
    }

    /// Returns a fault that a run has whenever it has this one.
    #[must_use]
    pub fn brings(self) -> Option<Self> {
        // With a short horizon the properties of windows with rosters would not hold.
        (self == Self::ShortHorizon).then_some(Self::NoExtension)
    }

    /// Returns how often this fault happens, in thousandths of how often the others do. For a fault
    /// that needs another one, the result is the frequency per thousand among the runs with that
    /// one.
    #[must_use]
    pub fn share(self) -> u64 {
        match self {
            // Few properties hold in such a run, so these faults are rare.
            Self::NoExtension | Self::ShortHorizon => 150,
            Self::LateSwitch
            | Self::Tampering
            | Self::Choosing
            | Self::WrongKey
            | Self::Editing => 400,
            Self::Oversized => 700,
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
            format!("unknown fault {text:?}; known faults: {}", names.join(", "))
        })
    }
}
