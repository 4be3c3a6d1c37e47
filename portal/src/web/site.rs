//! What all pages have in common: the data source, the clock, and the frame around the content.

use std::sync::Arc;

use askama::Template;
use axum::response::Html;
use tallybox_service::clock::Clock;

use super::assets;
use super::error::WebError;
use super::shown::Shown;
use super::source::{Filter, PageSource, SourceError};

/// What an operator decides about the pages.
#[derive(Clone, Debug)]
pub struct SiteOptions {
    /// The name of the authority or site, in the header of each page.
    pub name: String,
    /// Whether the data is generated. Each page then says so.
    pub demo: bool,
    /// Windows with fewer reports than this are suppressed.
    pub minimum: u64,
}

/// The state of the pages.
#[derive(Clone)]
pub struct Site {
    pub(crate) source: Arc<dyn PageSource>,
    pub(crate) clock: Clock,
    pub(crate) options: SiteOptions,
}

impl Site {
    /// Creates the pages of a source.
    #[must_use]
    pub fn new(source: Arc<dyn PageSource>, clock: Clock, options: SiteOptions) -> Self {
        Self {
            source,
            clock,
            options,
        }
    }

    /// Returns the windows that a filter selects, as readers may see them.
    pub(crate) async fn windows(&self, filter: &Filter) -> Result<Vec<Shown>, SourceError> {
        let rows = self.source.windows(filter).await?.into_iter();
        Ok(rows
            .map(|row| Shown::new(row, self.options.minimum))
            .collect())
    }

    /// Returns the frame of a page.
    pub(crate) async fn frame(&self, active: &'static str) -> Result<Frame, SourceError> {
        let latest = self.source.latest().await?;
        Ok(Frame {
            name: self.options.name.clone(),
            demo: self.options.demo,
            active,
            style: assets::style_link(),
            latest: latest.map(super::text::long_time),
        })
    }
}

/// The frame of a page: header, navigation and footer.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) name: String,
    pub(crate) demo: bool,
    /// The entry of the navigation that the page belongs to.
    pub(crate) active: &'static str,
    /// The address of the style sheet.
    pub(crate) style: String,
    /// When the portal last added a window.
    pub(crate) latest: Option<String>,
}

/// Renders a page.
pub(crate) fn render(page: &impl Template) -> Result<Html<String>, WebError> {
    Ok(Html(page.render()?))
}
