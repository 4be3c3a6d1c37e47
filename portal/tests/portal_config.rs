//! The sample configuration, and what a configuration refuses and hides.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use tallybox_portal::config::{Config, DatabasePlace};
use tallybox_service::config::Loaded;

const SOURCES: &str = "sources:\n  - name: s\n    first: { mailbox: a, keys: { k: a.pem } }\n    \
                       second: { mailbox: b, keys: { k: b.pem } }\n";

fn load(text: &str) -> Result<Loaded<Config>, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portal.yaml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file).map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error} {error:?} {source:?}")
    })
}

#[test]
fn the_sample_is_valid_and_states_the_defaults() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/portal.yaml");
    let sample = Config::load(&file).unwrap().value;
    let minimal = load(&format!("evidence: e\n{SOURCES}")).unwrap().value;
    assert_eq!(
        (
            sample.late_minutes,
            sample.look_back_days,
            sample.concurrency
        ),
        (
            minimal.late_minutes,
            minimal.look_back_days,
            minimal.concurrency
        )
    );
    assert_eq!((sample.minimum, minimal.minimum), (100, 0));
    let url = |place: &DatabasePlace| format!("{:?}", place.url(Path::new("/etc/p")).unwrap());
    assert_eq!(
        url(&sample.database),
        "DatabaseUrl(sqlite:///etc/p/portal.sqlite?mode=rwc)"
    );
    assert_eq!(url(&minimal.database), url(&sample.database));
}

#[test]
fn mistakes_are_named() {
    let one_side = SOURCES.replace("keys: { k: b.pem }", "keys: {}");
    let twice = format!("{SOURCES}{}", SOURCES.replace("sources:\n", ""));
    for (text, problem) in [
        (
            format!("evidence: e\nsecret: x\n{SOURCES}"),
            "unknown key `secret`",
        ),
        (
            "evidence: e\nsources: []\n".to_owned(),
            "name at least one pair",
        ),
        (
            format!("evidence: e\n{one_side}"),
            "s: second: keys: name at least one",
        ),
        (format!("evidence: e\n{twice}"), "\"s\" is used twice"),
        (
            format!("evidence: e\nconcurrency: 0\n{SOURCES}"),
            "concurrency and look-back-days",
        ),
        (
            format!("evidence: e\n{}", SOURCES.replace("name: s", "name: ../s")),
            "has to be 1 to 100 characters",
        ),
    ] {
        let error = load(&text).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn the_password_of_a_database_is_never_shown() {
    let secret = "postgres://portal:hunter2@db/portal";
    let config = load(&format!("evidence: e\ndatabase: {secret}\n{SOURCES}")).unwrap();
    let url = config.value.database.url(&config.directory).unwrap();
    assert!(url.is_postgres());
    assert!(!format!("{config:?} {url:?}").contains("hunter2"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("database-url");
    let place = "evidence: e\ndatabase: { file: database-url }\n".to_owned() + SOURCES;
    let place = load(&place).unwrap().value.database;
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode));
        mode(0o644).unwrap();
        let exposed = place.url(folder.path()).unwrap_err();
        assert!(!format!("{exposed:?}").contains("hunter2"));
        mode(0o600).unwrap();
    }
    assert!(place.url(folder.path()).unwrap().is_postgres());

    let place = load(&format!(
        "evidence: e\ndatabase: {{ variable: TALLYBOX_NO_SUCH_VARIABLE }}\n{SOURCES}"
    ));
    let error = place
        .unwrap()
        .value
        .database
        .url(folder.path())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("TALLYBOX_NO_SUCH_VARIABLE is not set")
    );
}
