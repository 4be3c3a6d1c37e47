//! The targets, one file each. The function `run` of a target processes one input.

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        $(mod $name;)+

        /// All targets with their names.
        pub const ALL: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name::run)),+];
    };
}

targets!(
    aggregate,
    attestation,
    bucket_urls,
    client_config,
    codecs,
    config,
    container,
    data_share_packets,
    ecies_open,
    headers,
    ids,
    ingestion_header,
    inspect,
    intake,
    keys,
    manifests,
    object_names,
    p256x8,
    posts,
    prepared,
    prio2,
    records,
    registry,
    report_bodies,
    rosters,
    schemas,
    signed_documents,
    spool,
    tasks,
    times,
    validation_packets,
);
