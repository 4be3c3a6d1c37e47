//! Reads a program's YAML configuration into its type, with errors that name the position and never
//! the value.
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ConfigError;
use crate::yaml;

/// Largest configuration file that is read, in bytes.
pub const CONFIG_LIMIT: u64 = 1 << 20;

/// A configuration value and the directory against which its relative paths are resolved.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The parsed configuration.
    pub value: T,
    /// The directory of the configuration file: `.` if its path has no directory.
    pub directory: PathBuf,
}

impl<T> Loaded<T> {
    /// Resolves a path from the configuration file. Absolute paths are unchanged; relative paths
    /// start at the directory of the configuration file, independent of the working directory.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        resolve(&self.directory, path.as_ref())
    }

    /// Converts the value and keeps the directory, for programs that turn the file's form into a
    /// validated one.
    ///
    /// # Errors
    /// The error that `check` returns.
    pub fn try_map<U, E>(self, check: impl FnOnce(T) -> Result<U, E>) -> Result<Loaded<U>, E> {
        Ok(Loaded {
            value: check(self.value)?,
            directory: self.directory,
        })
    }
}

/// Resolves `path` against `directory`; an absolute path is unchanged.
pub fn resolve(directory: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() || directory == Path::new(".") {
        path.to_path_buf()
    } else {
        directory.join(path)
    }
}

/// Reads the YAML file at `path` into `T`.
///
/// Unknown keys are rejected if `T` has `deny_unknown_fields`, which every configuration type of
/// this project has. Duplicate keys, several documents and boolean words such as `yes` are always
/// rejected.
///
/// # Errors
/// [`ConfigError`], which names file, line, column and key, and never a value from the file. A
/// manual `Deserialize` implementation should keep values out of its messages, too; this function
/// removes a plain value that such a message quotes.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Loaded<T>, ConfigError> {
    let bytes = read(path)?;
    let text = String::from_utf8(bytes).map_err(|error| ConfigError::NotText {
        path: path.to_path_buf(),
        valid: error.utf8_error().valid_up_to(),
    })?;
    let value = yaml::parse(&text).map_err(|fault| ConfigError::Invalid {
        path: path.to_path_buf(),
        line: fault.line,
        column: fault.column,
        key: fault.key,
        problem: fault.problem,
    })?;
    Ok(Loaded {
        value,
        directory: directory_of(path),
    })
}

/// Reads the whole file, if it has at most [`CONFIG_LIMIT`] bytes.
fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One byte beyond the limit shows that the file is too large.
        File::open(path)?
            .take(CONFIG_LIMIT + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| ConfigError::Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    if bytes.len() as u64 > CONFIG_LIMIT {
        return Err(ConfigError::TooLarge {
            path: path.to_path_buf(),
            limit: CONFIG_LIMIT,
        });
    }
    Ok(bytes)
}

/// Returns the directory of a file; never an empty path.
fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The file of a secret key, and the identifier of the key in packets, signatures and manifests.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NamedKey {
    /// The key identifier, as in packets, signatures and manifests.
    pub id: String,
    /// The file, in any of the encodings in `docs/formats.md`.
    pub file: PathBuf,
}

/// A single value or a list of values.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// A single value.
    One(T),
    /// A list of values.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// Returns the values as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(many) => many,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::error::Error as _;
    use std::fs;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Sample {
        instance: String,
        role: Side,
        #[serde(default)]
        minimum_contributions: u64,
        #[serde(default)]
        keys: Vec<Key>,
        #[serde(default)]
        peers: BTreeMap<String, PathBuf>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Side {
        First,
        Second,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Key {
        id: String,
        #[serde(deserialize_with = "six_letters")]
        secret: String,
    }

    /// A hand-written check that violates the rule above: its message quotes the value.
    fn six_letters<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() == 6 {
            Ok(text)
        } else {
            Err(serde::de::Error::custom(format!(
                "{text} has not six letters"
            )))
        }
    }

    fn try_load(text: impl AsRef<[u8]>) -> Result<Loaded<Sample>, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("first.yaml");
        fs::write(&path, text).unwrap();
        load(&path)
    }

    /// Returns every text that an error could print.
    fn shown(error: &ConfigError) -> String {
        format!("{error} {error:?} {:?}", error.source())
    }

    #[test]
    fn reads_a_file_and_resolves_against_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("first.yaml");
        fs::write(
            &path,
            "# sample\ninstance: interop\nrole: first\nminimum-contributions: 1\nkeys:\n  - { id: k1, secret: abcdef }\npeers: { p: keys/p.pem }\n",
        )
        .unwrap();
        let loaded: Loaded<Sample> = load(&path).unwrap();
        assert_eq!(loaded.value.instance, "interop");
        assert_eq!(loaded.value.role, Side::First);
        assert_eq!(
            loaded.value.keys,
            [Key {
                id: "k1".into(),
                secret: "abcdef".into()
            }]
        );
        assert_eq!(
            loaded.resolve(&loaded.value.peers["p"]),
            directory.path().join("keys/p.pem")
        );
        assert_eq!(loaded.resolve("/etc/p.pem"), Path::new("/etc/p.pem"));
        let mapped = loaded
            .try_map(|sample| Ok::<_, ()>(sample.minimum_contributions))
            .unwrap();
        assert_eq!(
            (mapped.value, mapped.directory),
            (1, directory.path().to_path_buf())
        );
    }

    #[test]
    fn a_bare_file_name_stands_in_the_current_directory() {
        assert_eq!(directory_of(Path::new("first.yaml")), Path::new("."));
        assert_eq!(
            resolve(Path::new("."), Path::new("keys/a")),
            Path::new("keys/a")
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let error =
            try_load("instance: interop\nrole: first\nminimum-contribution: 1\n").unwrap_err();
        let ConfigError::Invalid {
            line,
            column,
            problem,
            ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!((*line, *column), (3, 1));
        assert!(
            problem.contains("unknown key `minimum-contribution`"),
            "{problem}"
        );
        assert!(
            problem.contains("did you mean `minimum-contributions`"),
            "{problem}"
        );
        assert!(error.to_string().contains("first.yaml:3:1: "), "{error}");
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = try_load("role: first\n").unwrap_err();
        assert!(
            error.to_string().ends_with("missing key `instance`"),
            "{error}"
        );
    }

    #[test]
    fn a_nested_fault_has_the_whole_key() {
        let error = try_load(
            "instance: i\nrole: first\nkeys:\n  - { id: k1, secret: abcdef }\n  - { id: k2 }\n",
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains("first.yaml:5:"), "{error}");
        assert!(error.contains("keys[1]: missing key `secret`"), "{error}");
    }

    #[test]
    fn values_are_never_shown() {
        for text in [
            "instance: i\nrole: hunter2secret\n",
            "instance: i\nrole: first\nminimum-contributions: hunter2secret\n",
            "instance: i\nrole: first\nminimum-contributions: \"hunter2secret\"\n",
            "instance: i\nrole: first\nkeys: hunter2secret\n",
            "instance: i\nrole: first\nkeys: [hunter2secret]\n",
            "instance: i\nrole: first\nkeys:\n  - { id: k1, secret: hunter2secret }\n",
            "instance: i\nrole: first\nkeys:\n  - { id: k1, secret: \"hunter2secret\" }\n",
            "instance: i\nrole: first\nkeys:\n  - { id: k1, secret: \"hunter2s\\x65cret\" }\n",
            "instance: i\nrole: first\nkeys:\n  - id: k1\n    secret: |\n      hunter2secret\n",
            "instance: i\nrole: first\nkeys:\n  - id: k1\n    secret: !!binary aHVudGVyMnNlY3JldA==\n",
            "instance: [hunter2secret\nrole: first\n",
            "instance: hunter2secret: x\nrole: first\n",
            "instance: *hunter2secret\nrole: first\n",
            "instance: !hunter2secret x\nrole: !hunter2secret first\n",
            "instance: \"hunter2secret\nrole: first\n",
            "hunter2secret",
            "- hunter2secret",
            "instance: i\nrole: {hunter2secret: 1}\n",
        ] {
            let error = try_load(text).expect_err(text);
            assert!(matches!(error, ConfigError::Invalid { .. }), "{error:?}");
            let shown = shown(&error);
            assert!(!shown.contains("hunter2"), "{text:?} gives {shown}");
        }
    }

    #[test]
    fn loose_yaml_is_refused() {
        for text in [
            "instance: a\ninstance: b\nrole: first\n",
            "instance: a\nrole: first\n---\ninstance: b\nrole: first\n",
            "",
            "instance: [1]\nrole: first\n",
        ] {
            assert!(matches!(
                try_load(text).expect_err(text),
                ConfigError::Invalid { .. }
            ));
        }
    }

    #[test]
    fn alias_bombs_and_depth_end_in_an_error() {
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for (name, previous) in ('b'..='j').zip('a'..) {
            bomb.push_str(&format!(
                "{name}: &{name} [{}]\n",
                vec![format!("*{previous}"); 9].join(",")
            ));
        }
        assert!(try_load(&bomb).is_err());
        assert!(try_load("[".repeat(100_000)).is_err());
    }

    #[test]
    fn size_and_encoding_are_checked_first() {
        let big = vec![b'#'; usize::try_from(CONFIG_LIMIT).unwrap() + 1];
        assert!(matches!(
            try_load(big).unwrap_err(),
            ConfigError::TooLarge { .. }
        ));
        assert!(matches!(
            try_load(b"ab\xff").unwrap_err(),
            ConfigError::NotText { valid: 2, .. }
        ));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load::<Sample>(Path::new("/nowhere/first.yaml")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/first.yaml"));
        assert!(error.source().is_some());
        assert!(matches!(
            load::<Sample>(&std::env::temp_dir()).unwrap_err(),
            ConfigError::Unreadable { .. }
        ));
    }
}
