//! The conformance suite, and tests of the behaviour specific to directories: staged files, links,
//! permissions, directories created and removed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use tempfile::{NamedTempFile, TempDir, tempdir};

use super::*;
use crate::conformance::conformance;
use crate::key::STAGING_PREFIX;
use crate::{Created, Published, publish_bytes, read_all};

const BYTES: Bytes = Bytes::from_static(b"bytes");

fn bucket() -> (TempDir, LocalBucket) {
    let directory = tempdir().unwrap();
    let bucket = LocalBucket::new(directory.path());
    (directory, bucket)
}

async fn keys(bucket: &LocalBucket) -> Vec<String> {
    let entries: Vec<_> = bucket
        .list("", ListRange::default())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    entries.into_iter().map(|entry| entry.key).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let parent = tempdir().unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    conformance(|| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(LocalBucket::new(
            parent.path().join(format!("{number}/deep/bucket")),
        ))
    })
    .await;
    assert!(count.into_inner() > 5);
}

#[tokio::test]
async fn a_staged_file_is_hidden_and_gone_in_the_end() {
    let (directory, bucket) = bucket();
    let mut upload = bucket.create("a/b", None).await.unwrap();
    upload.write(BYTES).await.unwrap();
    let staged = names(&directory.path().join("a"));
    assert!(
        staged.len() == 1 && staged[0].starts_with(STAGING_PREFIX),
        "{staged:?}"
    );
    assert!(keys(&bucket).await.is_empty());
    assert!(bucket.list_directories("").await.unwrap().is_empty());
    let hidden = bucket.get(&format!("a/{}", staged[0])).await;
    assert!(matches!(hidden, Err(BucketError::InvalidKey { .. })));
    assert_eq!(upload.commit().await.unwrap(), Created::New);
    assert_eq!(names(&directory.path().join("a")), ["b"]);
}

#[tokio::test]
async fn what_a_dead_writer_left_is_removed_and_nothing_else() {
    let (directory, bucket) = bucket();
    let dead = directory.path().join(format!("{STAGING_PREFIX}dead"));
    let other = directory.path().join(".tallybox-something-else");
    let deep = directory.path().join(format!("{STAGING_PREFIX}directory"));
    fs::write(&dead, "half").unwrap();
    fs::write(&other, "theirs").unwrap();
    fs::create_dir(&deep).unwrap();
    let living = LocalBucket::new(directory.path())
        .create("living", None)
        .await
        .unwrap();
    assert!(!dead.exists(), "no writer holds a lock on this file");
    publish_bytes(&bucket, "k", BYTES, false).await.unwrap();
    assert!(other.exists() && deep.exists());
    assert_eq!(
        living.commit().await.unwrap(),
        Created::New,
        "the file of a running writer remains"
    );
    assert_eq!(
        keys(&bucket).await,
        [".tallybox-something-else", "k", "living"]
    );
}

#[test]
fn a_living_writer_is_told_from_a_dead_one_by_its_lock() {
    let directory = tempdir().unwrap();
    let staged = stage::stage(directory.path()).unwrap();
    assert!(stage::left_behind(staged.path()).is_none());
    let (file, path) = staged.keep().unwrap();
    assert!(
        stage::left_behind(&path).is_none(),
        "locked as long as it is open"
    );
    drop(file);
    assert!(stage::left_behind(&path).is_some());
}

#[test]
fn where_there_are_no_locks_age_decides() {
    let file = NamedTempFile::new().unwrap();
    assert!(!stage::is_old(file.as_file()));
    let before = SystemTime::now() - Duration::from_secs(2 * 3600);
    file.as_file().set_modified(before).unwrap();
    assert!(stage::is_old(file.as_file()));
}

#[tokio::test]
async fn a_removed_directory_is_made_again() {
    let (directory, bucket) = bucket();
    publish_bytes(&bucket, "a/b/one", BYTES, false)
        .await
        .unwrap();
    fs::remove_dir_all(directory.path().join("a")).unwrap();
    assert_eq!(
        publish_bytes(&bucket, "a/b/one", BYTES, false)
            .await
            .unwrap(),
        Published::New
    );

    let upload = bucket.create("a/b/two", None).await.unwrap();
    fs::remove_dir_all(directory.path().join("a")).unwrap();
    let lost = upload.commit().await;
    assert!(
        matches!(lost, Err(BucketError::Unavailable { .. })),
        "not reported as an absent object: {lost:?}"
    );
}

/// A bucket whose mount is missing. The task is valid, so it is retried.
#[tokio::test]
async fn a_missing_mount_is_no_fault_of_the_key() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("mount");
    std::fs::write(&file, "").unwrap();
    for root in [file.clone(), file.join("bucket")] {
        let bucket = LocalBucket::new(root);
        let error = publish_bytes(&bucket, "a/b", BYTES, false)
            .await
            .unwrap_err();
        assert!(matches!(error, BucketError::Unavailable { .. }), "{error}");
        assert_eq!(error.disposition(), crate::Disposition::Retry);
        assert!(matches!(
            bucket.get("a/b").await,
            Err(BucketError::NotFound { .. })
        ));
    }
}

#[tokio::test]
async fn no_object_under_or_over_another() {
    let (_directory, bucket) = bucket();
    publish_bytes(&bucket, "a/b", BYTES, false).await.unwrap();
    for key in ["a/b/c", "a/b/c/d"] {
        let under = bucket.create(key, None).await.map(drop);
        assert!(
            matches!(under, Err(BucketError::InvalidKey { .. })),
            "{key}: {under:?}"
        );
    }
    let over = publish_bytes(&bucket, "a", BYTES, false).await;
    assert!(
        matches!(over, Err(BucketError::InvalidKey { .. })),
        "{over:?}"
    );
    let long = publish_bytes(&bucket, &"n".repeat(300), BYTES, false).await;
    assert!(
        matches!(long, Err(BucketError::InvalidKey { .. })),
        "{long:?}"
    );
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_read_is_an_error() {
    let (directory, bucket) = bucket();
    let path = directory.path().join("k");
    fs::write(&path, vec![1; 2_000_000]).unwrap();
    let object = bucket.get("k").await.unwrap();
    fs::write(&path, [1; 10]).unwrap();
    let read: Result<Vec<_>, _> = object.body.try_collect().await;
    assert!(matches!(read, Err(BucketError::Unavailable { .. })));
}

#[tokio::test]
async fn a_listing_may_be_left_early() {
    let (directory, bucket) = bucket();
    for number in 0..3 * LISTED_AHEAD {
        fs::write(directory.path().join(number.to_string()), "").unwrap();
    }
    let mut listing = bucket.list("", ListRange::default()).await.unwrap();
    assert_eq!(listing.next().await.unwrap().unwrap().key, "0");
    drop(listing);
    assert_eq!(keys(&bucket).await.len(), 3 * LISTED_AHEAD);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[tokio::test]
    async fn links_are_followed_and_circles_are_not() {
        let (directory, bucket) = bucket();
        let elsewhere = tempdir().unwrap();
        fs::write(elsewhere.path().join("file"), "12").unwrap();
        fs::create_dir(directory.path().join("d")).unwrap();
        symlink(elsewhere.path(), directory.path().join("link")).unwrap();
        symlink(
            elsewhere.path().join("file"),
            directory.path().join("single"),
        )
        .unwrap();
        symlink(directory.path(), directory.path().join("d/circle")).unwrap();
        symlink("self", directory.path().join("self")).unwrap();
        symlink("nowhere", directory.path().join("broken")).unwrap();
        assert_eq!(keys(&bucket).await, ["link/file", "single"]);
        assert_eq!(bucket.list_directories("").await.unwrap(), ["link"]);
        assert_eq!(read_all(&bucket, "link/file", 9).await.unwrap(), "12");
        publish_bytes(&bucket, "link/new", BYTES, false)
            .await
            .unwrap();
        assert_eq!(fs::read(elsewhere.path().join("new")).unwrap(), *BYTES);
        // A broken link occupies the name as well: nothing is written through it.
        assert!(
            publish_bytes(&bucket, "broken", BYTES, false)
                .await
                .is_err()
        );
        assert!(!directory.path().join("nowhere").exists());
    }

    #[tokio::test]
    async fn only_files_are_objects() {
        use std::os::unix::net::UnixListener;
        let (directory, bucket) = bucket();
        let _socket = UnixListener::bind(directory.path().join("socket")).unwrap();
        fs::create_dir_all(directory.path().join("empty/deep")).unwrap();
        assert!(keys(&bucket).await.is_empty());
        assert!(bucket.list_directories("").await.unwrap().is_empty());
        assert!(matches!(
            bucket.get("socket").await,
            Err(BucketError::NotFound { .. })
        ));
    }

    #[tokio::test]
    async fn others_may_read_what_the_umask_allows() {
        let (directory, bucket) = bucket();
        publish_bytes(&bucket, "k", BYTES, false).await.unwrap();
        fs::write(directory.path().join("ordinary"), "").unwrap();
        let mode = |name| {
            fs::metadata(directory.path().join(name))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!(mode("k"), mode("ordinary"));
        assert_eq!(fs::metadata(directory.path().join("k")).unwrap().nlink(), 1);
    }
}
