//! Why a request has no answer, and the page or problem document that says so.

use askama::Template;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::source::SourceError;

/// Reasons why a request fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    /// Nothing has this address. The fault of a link or its reader.
    #[error("{0} does not exist; begin at the overview")]
    NotFound(String),
    /// A parameter of the address is wrong. The reader's fault.
    #[error("the parameter {name:?} has to be {expected}")]
    Parameter {
        name: String,
        expected: &'static str,
    },
    /// The data cannot be read. The operator's fault.
    #[error(transparent)]
    PageSource(#[from] SourceError),
    /// A template failed. The portal's fault.
    #[error("the page cannot be written")]
    Template(#[from] askama::Error),
    /// A download cannot be written. The portal's fault.
    #[error("the CSV file cannot be written")]
    Csv(#[from] csv::Error),
    /// A download cannot be written. The portal's fault.
    #[error("the JSON document cannot be written")]
    Json(#[from] serde_json::Error),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    message: String,
}

impl WebError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Parameter { .. } => StatusCode::BAD_REQUEST,
            Self::PageSource(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Template(_) | Self::Csv(_) | Self::Json(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "Page not found",
            Self::Parameter { .. } => "Wrong parameter",
            Self::PageSource(_) => "Data not available",
            Self::Template(_) | Self::Csv(_) | Self::Json(_) => "Internal error",
        }
    }

    fn log(&self) {
        if self.status().is_server_error() {
            tracing::error!(error = tallybox_model::cause::chain(self), "a page failed");
        }
    }

    /// Returns the problem document (RFC 9457) for programs.
    pub(crate) fn problem(&self) -> Response {
        self.log();
        let status = self.status();
        let problem = json!({
            "title": self.title(), "status": status.as_u16(), "detail": self.to_string(),
        });
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, content_type, Json(problem)).into_response()
    }
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        self.log();
        let page = ErrorPage {
            title: self.title(),
            message: self.to_string(),
        };
        // If even this template fails, the text alone is the answer.
        match page.render() {
            Ok(page) => (self.status(), Html(page)).into_response(),
            Err(_) => (self.status(), page.message).into_response(),
        }
    }
}
