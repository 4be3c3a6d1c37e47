//! The command `workflow-manager announcement`.

use std::fmt;

use serde::{Serialize, Serializer};
use tallybox_model::extensions::{Announcement, document_name};
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;

use super::options::load_config;
use crate::announcement;
use crate::error::Error;

pub(super) fn run(options: &GlobalOptions) -> Result<Exit, Error> {
    let loaded = load_config(options)?;
    let announcement = announcement::from_config(&loaded)?;
    let config = loaded.value;
    if announcement == Announcement::default() {
        return Err(Error::Nothing(
            "nothing to announce: the configuration has neither roster nor packet-keys".to_owned(),
        ));
    }
    let document = announcement.to_json();
    tracing::info!(
        name = document_name(&config.instance),
        "publish the document under this name"
    );
    options.print(&Document(document))?;
    Ok(Exit::Done)
}

/// The bytes of the document.
struct Document(Vec<u8>);

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: serde_json::Value =
            serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

impl Summary for Document {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}
