//! Publication with fixed bytes.

use super::*;

pub(super) async fn publishing(bucket: &dyn Bucket) {
    let bytes = Bytes::from_static(b"the bytes");
    assert_eq!(
        publish_bytes(bucket, "p/q", bytes.clone(), false)
            .await
            .unwrap(),
        Published::New
    );
    assert_eq!(
        publish_bytes(bucket, "p/q", bytes.clone(), false)
            .await
            .unwrap(),
        Published::Same
    );
    let other = publish_bytes(bucket, "p/q", Bytes::from_static(b"other"), true).await;
    let Err(BucketError::Conflict {
        key, ours, theirs, ..
    }) = other
    else {
        panic!("{other:?}")
    };
    assert_eq!(
        (key.as_str(), ours[..] == Sha256::digest(b"other")[..]),
        ("p/q", true)
    );
    assert_eq!(theirs[..], Sha256::digest(b"the bytes")[..]);
    assert_eq!(
        read_all(bucket, "p/q", 9).await.unwrap(),
        bytes,
        "nothing was changed"
    );
}

/// Publishes into a bucket that once reports an absent object as existing. The first run must not
/// report success; a later run creates the object.
pub(super) async fn publishing_after_a_phantom(bucket: &SharedBucket) {
    let bytes = Bytes::from_static(b"the bytes");
    let phantom = Phantoms::wrap(SharedBucket::clone(bucket), |_| true);
    let unsettled = publish_bytes(&*phantom, "p/phantom", bytes.clone(), true).await;
    assert!(
        matches!(&unsettled, Err(BucketError::NotSettled { key, .. }) if key == "p/phantom"),
        "{unsettled:?}"
    );
    assert!(is_not_found(bucket.size("p/phantom").await, "p/phantom"));
    let second = publish_bytes(&*phantom, "p/phantom", bytes.clone(), true).await;
    assert_eq!(second.unwrap(), Published::New);
    assert_eq!(read_all(&**bucket, "p/phantom", 9).await.unwrap(), bytes);

    let mailbox = WriteOnly::wrap(Phantoms::wrap(SharedBucket::clone(bucket), |_| true));
    for expected in [Published::Assumed, Published::New, Published::Assumed] {
        let published = publish_bytes(&*mailbox, "p/unseen", bytes.clone(), true).await;
        assert_eq!(published.unwrap(), expected);
    }
    assert_eq!(read_all(&**bucket, "p/unseen", 9).await.unwrap(), bytes);
}

pub(super) async fn publishing_streams(bucket: &dyn Bucket) {
    let bytes = pattern(LARGE_BYTES);
    let size = bytes.len() as u64;
    let sum: [u8; 32] = Sha256::digest(&bytes).into();
    let source = || stream::iter(in_chunks(&bytes, 100_000));

    let shorter = publish_stream(bucket, "s", &sum, size, true, source().take(5)).await;
    assert!(
        matches!(
            shorter,
            Err(BucketError::NotReproduced {
                actual_size: 500_000,
                ..
            })
        ),
        "{shorter:?}"
    );
    let longer = publish_stream(bucket, "s", &sum, size - 1, true, source()).await;
    assert!(
        matches!(longer, Err(BucketError::NotReproduced { .. })),
        "{longer:?}"
    );
    let other = publish_stream(bucket, "s", &[7; 32], size, true, source()).await;
    assert!(
        matches!(
            other,
            Err(BucketError::NotReproduced {
                expected: [7, ..],
                ..
            })
        ),
        "{other:?}"
    );
    let broken = source()
        .take(3)
        .chain(stream::iter([Err(BucketError::not_found(
            "elsewhere",
            "part",
        ))]));
    assert!(is_not_found(
        publish_stream(bucket, "s", &sum, size, true, broken).await,
        "part"
    ));
    assert!(
        all(bucket).await.is_empty(),
        "nothing is published that is not as announced"
    );

    assert_eq!(
        publish_stream(bucket, "s", &sum, size, true, source())
            .await
            .unwrap(),
        Published::New
    );
    assert_eq!(
        publish_stream(bucket, "s", &sum, size, true, source())
            .await
            .unwrap(),
        Published::Same
    );
    let different = Bytes::from_static(b"different");
    let theirs: [u8; 32] = Sha256::digest(&different).into();
    let conflict =
        publish_stream(bucket, "s", &theirs, 9, true, stream::iter([Ok(different)])).await;
    assert!(
        matches!(conflict, Err(BucketError::Conflict { .. })),
        "{conflict:?}"
    );
    assert_eq!(digest(bucket, "s").await.unwrap(), (sum, size));
}
