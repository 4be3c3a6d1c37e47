//! Reads that are tried again: an agreed set rests on dozens of small objects, and a bucket that fails one read in fifty
//! would let hardly any task come to its end.

/// How often a read is tried.
pub(super) const TRIES: usize = 4;

/// Reads, and reads again at once as long as what fails is the bucket: a future that is made anew for each try.
//
// A macro, since what a closure lends to a future cannot be sent between threads.
macro_rules! patiently {
    ($read:expr) => {{
        let mut tries = 1;
        loop {
            match $read.await {
                Err(error) if tries < $crate::roster::patience::TRIES && crate::error::Error::is_passing(&error) => {
                    tracing::debug!(error = tallybox_service::cause::chain(&error), "read again");
                    tries += 1;
                }
                other => break other,
            }
        }
    }};
}
pub(super) use patiently;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use tallybox_transport::BucketError;

    fn unavailable() -> Error {
        Error::Bucket(BucketError::Unavailable {
            key: "key".to_owned(),
            bucket: "own".to_owned(),
            source: "weather".into(),
        })
    }

    #[tokio::test]
    async fn what_fails_for_a_moment_is_read_again_and_nothing_else() {
        for (failures, tries, good) in [(0, 1, true), (3, TRIES, true), (TRIES, TRIES, false)] {
            let mut tried = 0;
            let read = patiently!(async {
                tried += 1;
                if tried <= failures { Err(unavailable()) } else { Ok(()) }
            });
            assert_eq!((tried, read.is_ok()), (tries, good), "{failures} failures");
        }
        let mut tried = 0;
        let read: Result<(), Error> = patiently!(async {
            tried += 1;
            Err(Error::NoRosters)
        });
        assert!(read.is_err() && tried == 1);
    }
}
