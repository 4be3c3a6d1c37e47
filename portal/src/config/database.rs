//! The place of the database. The URL of a PostgreSQL server contains a password, so it may be in
//! an environment variable or a file, and never appears in a message.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tallybox_service::config::resolve;
use tallybox_service::key_file::read_secret;

use crate::error::Error;

/// The place of the database in a configuration file.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum DatabasePlace {
    /// The path of an SQLite file, or a `postgres://` URL.
    Text(String),
    /// An environment variable that contains the URL: `{ variable: NAME }`.
    Variable(DatabaseVariable),
    /// A file that contains the URL, and that only the portal may read: `{ file: PATH }`.
    File(DatabaseFile),
}

/// The name of an environment variable.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DatabaseVariable {
    /// The name.
    pub variable: String,
}

/// The path of a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DatabaseFile {
    /// The path.
    pub file: PathBuf,
}

impl Default for DatabasePlace {
    fn default() -> Self {
        Self::Text("portal.sqlite".to_owned())
    }
}

impl fmt::Debug for DatabasePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // May be a URL with a password.
            Self::Text(text) if is_postgres(text) => f.write_str("Text(postgres URL)"),
            Self::Text(path) => f.debug_tuple("Text").field(path).finish(),
            Self::Variable(place) => place.fmt(f),
            Self::File(place) => place.fmt(f),
        }
    }
}

impl DatabasePlace {
    /// Returns the URL of the database. A relative path is relative to `directory`.
    ///
    /// # Errors
    /// [`Error::Usage`] if the variable is not set or contains no PostgreSQL URL; [`Error::File`]
    /// if the file cannot be read.
    pub fn url(&self, directory: &Path) -> Result<DatabaseUrl, Error> {
        let (text, place) = match self {
            Self::Text(text) if is_postgres(text) => (text.clone(), "database".to_owned()),
            Self::Text(path) => return Ok(DatabaseUrl::sqlite(&resolve(directory, path.as_ref()))),
            Self::Variable(DatabaseVariable { variable }) => {
                let text = std::env::var(variable).map_err(|_| {
                    Error::Usage(format!(
                        "database: the environment variable {variable} is not set"
                    ))
                })?;
                (text, format!("the environment variable {variable}"))
            }
            Self::File(DatabaseFile { file }) => {
                let file = resolve(directory, file);
                let text = read_secret(&file, "database URL", |text| {
                    Ok::<_, std::convert::Infallible>(text.to_owned())
                })?;
                (text, file.display().to_string())
            }
        };
        let text = text.trim();
        if !is_postgres(text) {
            return Err(Error::Usage(format!(
                "database: {place} does not contain a postgres:// URL"
            )));
        }
        Ok(DatabaseUrl(text.to_owned()))
    }
}

fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// The URL of a database, which may contain a password.
#[derive(Clone)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Returns the URL of an SQLite file, which is created if it is absent.
    #[must_use]
    pub fn sqlite(file: &Path) -> Self {
        // The characters that end a path in a URL, or begin an escape.
        let mut path = String::new();
        for character in file.to_string_lossy().chars() {
            match character {
                '%' | '?' | '#' | ' ' => path.push_str(&format!("%{:02X}", u32::from(character))),
                other => path.push(other),
            }
        }
        Self(format!("sqlite://{path}?mode=rwc"))
    }

    /// Creates the URL of a PostgreSQL database.
    #[must_use]
    pub fn postgres(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// Returns whether the database is a PostgreSQL server.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        is_postgres(&self.0)
    }

    /// Returns the whole URL, for the driver only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_postgres() {
            f.write_str("DatabaseUrl(postgres)")
        } else {
            write!(f, "DatabaseUrl({})", self.0)
        }
    }
}
