//! Retries of reads. An agreed set depends on dozens of small objects; if one read in fifty failed,
//! hardly any task would complete without retries.

/// The most attempts for one read.
pub(super) const READ_ATTEMPTS: usize = 4;

/// Awaits the expression, and evaluates it again at once while a bucket fails temporarily. Each
/// attempt needs a new future.
//
// This is a macro because a future that borrows from a closure is not `Send`.
macro_rules! retry_read {
    ($read:expr) => {{
        let mut tries = 1;
        loop {
            match $read.await {
                Err(error)
                    if tries < $crate::roster::retry::READ_ATTEMPTS
                        && crate::error::Error::is_passing(&error) =>
                {
                    tracing::debug!(
                        error = tallybox_service::cause::chain(&error),
                        "read failed; trying again"
                    );
                    tries += 1;
                }
                other => break other,
            }
        }
    }};
}
pub(super) use retry_read;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use tallybox_transport::BucketError;

    fn unavailable() -> Error {
        Error::Bucket(BucketError::Unavailable {
            key: "key".to_owned(),
            bucket: "own".to_owned(),
            source: "timeout".into(),
        })
    }

    #[tokio::test]
    async fn what_fails_for_a_moment_is_read_again_and_nothing_else() {
        for (failures, tries, good) in [
            (0, 1, true),
            (3, READ_ATTEMPTS, true),
            (READ_ATTEMPTS, READ_ATTEMPTS, false),
        ] {
            let mut tried = 0;
            let read = retry_read!(async {
                tried += 1;
                if tried <= failures {
                    Err(unavailable())
                } else {
                    Ok(())
                }
            });
            assert_eq!((tried, read.is_ok()), (tries, good), "{failures} failures");
        }
        let mut tried = 0;
        let read: Result<(), Error> = retry_read!(async {
            tried += 1;
            Err(Error::NoRosters)
        });
        assert!(read.is_err() && tried == 1);
    }
}
