//! The roster objects in the own bucket and in the mailboxes.
//!
//! | file | content |
//! |---|---|
//! | `listing` | the windows for which objects exist |
//! | `document` | encoding and decoding of rosters |
//! | `verdicts`, `listed`, `verdict_files` | the sealed record of each batch that our rosters list |
//! | `counted` | the packets that count in a window |
//! | `retry` | retries of reads |

pub(super) mod counted;
pub(super) mod document;
pub(super) mod listed;
pub(super) mod listing;
pub(super) mod retry;
pub(super) mod verdict_files;
pub(super) mod verdicts;
