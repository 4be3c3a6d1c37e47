//! Names of objects, and listings.

use super::*;

pub(super) async fn keys(bucket: &dyn Bucket) {
    let odd = [
        ".hidden",
        "a..b",
        "a-b_c.d",
        "a.b/c",
        "c=d,e+f",
        "k:l@m",
        "sp ace/x y",
        "trailing.",
        "~tilde",
        "ünï/日本",
        "%41",
    ];
    for key in odd {
        assert_eq!(put(bucket, key, b"x").await, Created::New, "{key}");
        assert_eq!(bucket.size(key).await.unwrap(), 1, "{key}");
    }
    let mut expected = odd.to_vec();
    expected.sort_unstable();
    assert_eq!(all(bucket).await, expected);
    for key in odd {
        bucket.delete(key).await.unwrap();
    }
    for key in [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        "a\0",
        "a\nb",
        "a\\b",
        ".tallybox-staged-x",
    ] {
        let invalid = |result| matches!(result, Err(BucketError::InvalidKey { .. }));
        assert!(invalid(bucket.get(key).await.map(drop)), "{key:?}");
        assert!(
            invalid(bucket.get_range(key, 0..1).await.map(drop)),
            "{key:?}"
        );
        assert!(invalid(bucket.size(key).await.map(drop)), "{key:?}");
        assert!(invalid(bucket.create(key, None).await.map(drop)), "{key:?}");
        assert!(invalid(bucket.delete(key).await), "{key:?}");
    }
    for prefix in ["/", "/a", "a//", "..", "a/../b"] {
        let listed = bucket.list(prefix, ListRange::default()).await;
        assert!(
            matches!(listed.map(drop), Err(BucketError::InvalidKey { .. })),
            "{prefix:?}"
        );
        assert!(
            matches!(
                bucket.list_directories(prefix).await,
                Err(BucketError::InvalidKey { .. })
            ),
            "{prefix:?}"
        );
    }
    assert!(all(bucket).await.is_empty());
}

/// Keys in byte order: `-` and `.` precede `/`, which precedes digits and letters.
pub(super) const SORTED: [&str; 8] = [
    "a-b",
    "a.b",
    "a/2020/10/31/20/29/x",
    "a/2020/10/31/20/30/x",
    "a/2020/10/31/20/30/y",
    "a/2020/11/01/00/00/x",
    "a0",
    "b/c",
];
/// The number of leading keys whose names begin with the name of a directory that they precede.
pub(super) const SIBLINGS: usize = 2;

pub(super) async fn listings(bucket: &dyn Bucket, sorted: &[&str]) {
    for key in sorted.iter().rev() {
        put(bucket, key, b"xyz").await;
    }
    assert_eq!(all(bucket).await, sorted);
    let entries: Vec<_> = bucket
        .list("", ListRange::default())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(entries.iter().all(|entry| entry.size == 3));
    for prefix in ["a", "a/"] {
        assert_eq!(
            listed(bucket, prefix, ListRange::default()).await,
            SORTED[2..6],
            "{prefix}"
        );
    }
    assert_eq!(
        listed(bucket, "a/2020/10/31/20/30", ListRange::default()).await,
        SORTED[3..5]
    );
    assert!(
        listed(bucket, "a/2020/1", ListRange::default())
            .await
            .is_empty(),
        "a directory is whole components"
    );

    // For every pair of bounds, the listing equals a plain comparison of keys. The bounds are keys,
    // parts of keys, and other texts. A server that walks through directories and starts after the
    // name of one omits the directory's content. Therefore the bounds have all depths, with and
    // without a trailing slash.
    let cuts = [
        "a",
        "a-",
        "a-b/c",
        "a/",
        "a/2020/1-",
        "a/2020/10.b/31",
        "a/2020/10",
        "a/2020/10/",
        "a/2020/10/31/20/29",
        "a/2020/10/31/20/29/",
        "a/2020/10/31/20/30/",
        "a/2020/11/01/00/00/",
        "a/2020/10/31/20/30/x",
        "a/2020/10/31/20/5",
        "a0",
        "b/c/d",
        "zz",
    ];
    let bounds = || {
        std::iter::once(None).chain(cuts.iter().chain(sorted).map(|cut| Some((*cut).to_owned())))
    };
    for start_at in bounds() {
        for end_before in bounds() {
            let range = ListRange {
                start_at: start_at.clone(),
                end_before,
            };
            let wanted = |key: &&str| {
                range.start_at.as_deref().is_none_or(|start| *key >= start)
                    && range.end_before.as_deref().is_none_or(|end| *key < end)
            };
            let expected: Vec<_> = sorted.iter().copied().filter(wanted).collect();
            assert_eq!(
                listed(bucket, "", range.clone()).await,
                expected,
                "{range:?}"
            );
            let expected: Vec<_> = expected
                .into_iter()
                .filter(|key| key.starts_with("a/2020/10/"))
                .collect();
            assert_eq!(
                listed(bucket, "a/2020/10", range.clone()).await,
                expected,
                "{range:?}"
            );
        }
    }
}

pub(super) async fn directories(bucket: &dyn Bucket) {
    for key in [
        "top",
        "b/x",
        "a/one/x",
        "a/one.two/x",
        "a/file",
        "a/two/deep/x",
    ] {
        put(bucket, key, b"x").await;
    }
    assert_eq!(bucket.list_directories("").await.unwrap(), ["a", "b"]);
    for prefix in ["a", "a/"] {
        assert_eq!(
            bucket.list_directories(prefix).await.unwrap(),
            ["a/one", "a/one.two", "a/two"]
        );
    }
    assert_eq!(
        bucket.list_directories("a/two").await.unwrap(),
        ["a/two/deep"]
    );
    assert!(bucket.list_directories("a/o").await.unwrap().is_empty());
}
