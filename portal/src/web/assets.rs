//! Static files, embedded in the program.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::error::WebError;

#[derive(RustEmbed)]
#[folder = "static"]
struct Assets;

const STYLE: &str = "portal.css";

/// Returns the address of the style sheet. The address changes with the content, so that browsers
/// may keep the file.
pub(crate) fn style_link() -> String {
    let tag = Assets::get(STYLE)
        .map(|file| tag(&file))
        .unwrap_or_default();
    format!("/static/{STYLE}?v={tag}")
}

fn tag(file: &rust_embed::EmbeddedFile) -> String {
    let digest = file.metadata.sha256_hash();
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Serves a static file, or 304 if the browser has it.
pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let content_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let Some(file) = Assets::get(&name) else {
        return WebError::NotFound("this file".to_owned()).into_response();
    };
    let etag = format!("\"{}\"", tag(&file));
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let caching = [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, "public, max-age=86400".to_owned()),
    ];
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == etag)) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, content_type)];
    (caching, content_type, file.data.into_owned()).into_response()
}
