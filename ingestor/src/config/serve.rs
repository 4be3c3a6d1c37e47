//! Checks of `serve` settings that depend on each other.

use super::{MOST_BATCH_BYTES, ServeConfig};

/// Upper bound of `body-reports`, whatever the size of the body.
const MOST_BODY_REPORTS: u64 = 1 << 16;

/// Upper bound of the timeouts for clients, in seconds: one day.
const MOST_SECONDS: u64 = 86_400;

pub(super) fn check(serve: &ServeConfig) -> Result<(), String> {
    let refuse = |problem: &str| Err(format!("serve.{problem}"));
    if serve.tls.is_none() && serve.behind_proxy.is_none() && !serve.listen.ip().is_loopback() {
        return refuse(
            "listen is not a loopback address: plain HTTP would expose reports to the network; set tls, or \
             behind-proxy if a proxy terminates TLS",
        );
    }
    if let Some(origin) = serve.cors_origins.iter().find(|origin| !is_origin(origin)) {
        return Err(format!(
            "serve.cors-origins: {origin:?} is not an origin: write `*`, or scheme, host and optional port, such \
             as https://example.org, without a path"
        ));
    }
    if serve.slabs_at_once == 0 || serve.connections == 0 || serve.body_reports == 0 {
        return refuse("slabs-at-once, connections and body-reports have to be 1 or more");
    }
    let seconds = 1..=MOST_SECONDS;
    let times = [
        serve.request_secs,
        serve.idle_secs,
        serve.first_request_secs,
    ];
    if !times.iter().all(|time| seconds.contains(time)) {
        return refuse("request-secs, idle-secs and first-request-secs have to be 1 to 86400");
    }
    if serve.body_bytes_per_second == 0 {
        return refuse("body-bytes-per-second has to be 1 or more");
    }
    if serve.body_reports > MOST_BODY_REPORTS {
        return refuse("body-reports has to be 65536 or less");
    }
    if serve.slab_bytes == 0 || serve.slab_bytes > MOST_BATCH_BYTES / 2 {
        return refuse("slab-bytes has to be 1 to 33554432");
    }
    // A compressed body is in memory together with its decompressed form.
    if serve.body_bytes == 0 || serve.memory_bytes < 2 * serve.body_bytes {
        return refuse("memory-bytes has to be at least twice body-bytes");
    }
    if serve.memory_per_network() < serve.body_bytes {
        return refuse("memory-bytes-per-network has to be at least body-bytes");
    }
    if serve.config_valid_secs <= serve.config_max_age_secs {
        return refuse("config-valid-secs has to be greater than config-max-age-secs");
    }
    Ok(())
}

/// Returns whether `text` is `*`, or scheme, host and optional port as browsers send them.
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let plain = |host: &str| {
        !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_graphic() && !"/?#@\\".contains(c))
    };
    text == "*" || host.is_some_and(plain) && !text.chars().any(|c| c.is_ascii_uppercase())
}
