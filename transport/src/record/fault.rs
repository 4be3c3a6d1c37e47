//! Why an object is not a valid record.

/// The reason why an object is not a valid record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// The object does not end with a trailer: it is truncated, or was written by another program.
    #[error("the object does not end with the trailer of a record")]
    NoTrailer,
    /// The key in the trailer is not configured: it was removed too early, is not distributed yet,
    /// or the record is forged.
    #[error("the object was created with record key {id}, which is not configured")]
    UnknownKey {
        /// The key id in the record.
        id: String,
    },
    /// The bytes were changed, or the object belongs to another name, instance or role.
    #[error("the authentication code does not match the object's name and bytes")]
    Changed,
}
