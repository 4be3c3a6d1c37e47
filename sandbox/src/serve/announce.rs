//! The announcement at the start: addresses, keys, and commands for client developers.

use std::fmt;

use serde::Serialize;
use tallybox_model::registry::{EncodingKind, MetricEntry};
use tallybox_service::output::Summary;

use super::{ServeOptions, Serving};
use crate::keys::CLIENT_CONFIG_KEY_ID;
use crate::layout::LOCALITY;

/// Addresses, keys and directory of a running sandbox.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Announcement {
    event: &'static str,
    base: String,
    debug: String,
    locality: &'static str,
    config_key_id: &'static str,
    config_key: String,
    config_key_file: String,
    metrics: Vec<String>,
    /// The metric with the fewest bins, and an answer to it.
    example: [String; 2],
    directory: String,
    /// The rate of the sandbox clock relative to real time.
    rate: u32,
    chaos: bool,
}

impl Announcement {
    pub(super) fn from_serving(serving: &Serving, options: &ServeOptions) -> Self {
        let world = &serving.world;
        let file = world
            .layout
            .keys()
            .join(format!("{CLIENT_CONFIG_KEY_ID}.spki.pem"));
        let debug = serving
            .debug_address
            .map(|address| format!("http://{address}"));
        let registry = serving.lookup.ingestor.registry.current();
        let shortest = registry
            .metrics
            .iter()
            .min_by_key(|(_, entry)| entry.encoding.bins);
        Self {
            event: "started",
            base: format!("http://{}", serving.address),
            debug: debug.unwrap_or_default(),
            locality: LOCALITY,
            config_key_id: CLIENT_CONFIG_KEY_ID,
            config_key: world.keys.client_config.verifying_key().to_spki_base64(),
            config_key_file: file.display().to_string(),
            metrics: registry.metrics.keys().map(ToString::to_string).collect(),
            example: shortest.map_or_else(Default::default, |(name, entry)| {
                [name.to_string(), answer(entry)]
            }),
            directory: world.layout.root().display().to_string(),
            rate: serving.setting.rate,
            chaos: options.chaos,
        }
    }
}

impl Summary for Announcement {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            base,
            debug,
            directory,
            config_key_id,
            config_key,
            config_key_file,
            ..
        } = self;
        let minutes = self.rate / 60;
        // A chaos run needs no instructions for clients.
        if self.chaos {
            return write!(
                f,
                "\
Every program is a child process, and one is killed every few seconds.

  post to      {base}/v1/{LOCALITY}/reports
  status       {debug}/debug/reports/ID
  directory    {directory}

One second is {minutes} minutes here. Ctrl-C stops the kills; a final report follows."
            );
        }
        let metrics = self.metrics.join("\n               ");
        let [metric, value] = &self.example;
        write!(
            f,
            "\
A staging ingestor, with both processors and a portal.

  post to      {base}/v1/{LOCALITY}/reports
  locality     {LOCALITY}
  config key   {config_key_id}, public half (SPKI, base64):
               {config_key}
  directory    {directory}
  metrics      {metrics}

Try it:

  curl {base}/v1/{LOCALITY}/config
  curl {base}/openapi.json
  cargo run --release -p tallybox-client --features cli -- \\
      send {base} --locality {LOCALITY} \\
      --key {config_key_id}={config_key_file} \\
      --metric {metric} --value {value}

Then query its status by the id that was sent:

  curl {debug}/debug/reports/ID
  curl {debug}/debug/reports         # the last 100 reports
  {debug}/                           in a browser

One second is {minutes} minutes here: hourly windows take seconds. Ctrl-C ends."
        )
    }
}

/// Returns an answer to a metric in the form that `tallybox-client send` accepts: one bit per bin,
/// a number, or a number for a group.
fn answer(entry: &MetricEntry) -> String {
    match entry.encoding.kind {
        EncodingKind::BitVector => (0..entry.encoding.bins)
            .map(|bin| if bin == 1 { '1' } else { '0' })
            .collect(),
        EncodingKind::Histogram | EncodingKind::BoundedInteger => "1".to_owned(),
        EncodingKind::GroupedInteger => "0:1".to_owned(),
    }
}
