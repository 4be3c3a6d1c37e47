//! Tests that the plan fails at the chosen operation and at no other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use bytes::Bytes;

use crate::{Bucket, memory, publish_bytes, read_all};

/// Runs eight operations: publish (create, write, commit), size, delete, publish again.
async fn scenario(bucket: &dyn Bucket) -> Result<(), BucketError> {
    publish_bytes(bucket, "a", Bytes::from_static(b"one"), false).await?;
    bucket.size("a").await?;
    bucket.delete("a").await?;
    publish_bytes(bucket, "b", Bytes::from_static(b"two"), false).await?;
    Ok(())
}

#[tokio::test]
async fn counts_without_striking() {
    let faults = Faults::new(0, FaultKind::Die);
    scenario(&*faults.wrap(memory(""))).await.unwrap();
    assert_eq!(faults.operations(), 8);
}

#[tokio::test]
async fn every_operation_can_fail_and_a_rerun_succeeds() {
    for kind in [FaultKind::Fail, FaultKind::FailAfterEffect] {
        for n in 1..=8 {
            let faults = Faults::new(n, kind);
            let bucket = faults.wrap(memory(""));
            let error = scenario(&*bucket).await.unwrap_err();
            assert!(matches!(error, BucketError::Unavailable { .. }) && !died(&error));
            assert_eq!(faults.operations(), n);
            scenario(&*bucket).await.unwrap();
            assert_eq!(read_all(&*bucket, "b", 9).await.unwrap(), "two");
        }
    }
}

#[tokio::test]
async fn the_dead_do_nothing_more() {
    for n in 1..=8 {
        let inner = memory("");
        let faults = Faults::new(n, FaultKind::Die);
        let (one, other) = (faults.wrap(inner.clone()), faults.wrap(inner.clone()));
        assert!(died(&scenario(&*one).await.unwrap_err()));
        let error = other.size("b").await.unwrap_err();
        assert!(died(&error) && died(&std::io::Error::from(error)));
        scenario(&*inner).await.unwrap();
    }
}

#[tokio::test]
async fn an_effect_without_an_answer() {
    let inner = memory("");
    let bucket = Faults::new(3, FaultKind::FailAfterEffect).wrap(inner.clone());
    scenario(&*bucket).await.unwrap_err();
    assert_eq!(
        inner.size("a").await.unwrap(),
        3,
        "the commit has taken effect"
    );

    let inner = memory("");
    scenario(&*FaultyBucket::fail_after(inner.clone(), 2))
        .await
        .unwrap_err();
    assert!(matches!(
        inner.size("a").await,
        Err(BucketError::NotFound { .. })
    ));
}
