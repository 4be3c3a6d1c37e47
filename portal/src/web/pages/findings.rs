//! The findings: what prevents an addition, with both sides' figures and the next step.

use std::collections::HashSet;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use crate::store::{FindingRow, SumState};
use crate::web::error::WebError;
use crate::web::shown::{window_link, without_figures};
use crate::web::site::{Frame, Site, render};
use crate::web::source::{Filter, SourceError};
use crate::web::text::{self, long_time};

/// The page.
#[derive(Template)]
#[template(path = "findings.html")]
struct FindingsPage {
    frame: Frame,
    open: Vec<FindingView>,
    resolved: Vec<FindingView>,
}

/// A finding as pages show it.
pub(super) struct FindingView {
    pub(super) metric: String,
    pub(super) instance: String,
    pub(super) window: String,
    pub(super) link: String,
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) next_step: String,
    pub(super) first_seen: String,
    pub(super) resolved: String,
}

impl FindingView {
    pub(super) fn new(finding: &FindingRow) -> Self {
        Self {
            metric: finding.aggregation.to_string(),
            instance: finding.instance.to_string(),
            window: text::window(&finding.window),
            link: window_link(&finding.aggregation, &finding.instance, &finding.window),
            kind: finding.kind.clone(),
            message: finding.message.clone(),
            next_step: finding.next_step.clone(),
            first_seen: long_time(finding.first_seen),
            resolved: finding.resolved.map(long_time).unwrap_or_default(),
        }
    }
}

/// Handles `/findings`.
pub(crate) async fn findings(State(site): State<Site>) -> Result<Html<String>, WebError> {
    let all = all_findings(&site).await?;
    let (resolved, open): (Vec<FindingRow>, Vec<FindingRow>) = all
        .into_iter()
        .partition(|finding| finding.resolved.is_some());
    let views = |findings: &[FindingRow]| findings.iter().map(FindingView::new).collect();
    render(&FindingsPage {
        frame: site.frame("findings").await?,
        open: views(&open),
        resolved: views(&resolved),
    })
}

/// Returns the findings that are not resolved.
pub(super) async fn open_findings(site: &Site) -> Result<Vec<FindingRow>, SourceError> {
    let mut findings = all_findings(site).await?;
    findings.retain(|finding| finding.resolved.is_none());
    Ok(findings)
}

/// Returns all findings, without the figures of suppressed windows.
pub(super) async fn all_findings(site: &Site) -> Result<Vec<FindingRow>, SourceError> {
    let findings = site.source.findings().await?;
    let starts = || {
        findings
            .iter()
            .map(|finding| finding.window.start().millis())
    };
    let (Some(first), Some(last)) = (starts().min(), starts().max()) else {
        return Ok(findings);
    };
    let filter = Filter {
        from: Some(first),
        before: Some(last + 1),
        ..Filter::default()
    };
    let windows = site.windows(&filter).await?.into_iter();
    let suppressed: HashSet<String> = windows
        .filter(|window| window.state == SumState::BelowMinimum)
        .map(|window| window.link())
        .collect();
    let shown = findings.into_iter().map(|finding| {
        let link = window_link(&finding.aggregation, &finding.instance, &finding.window);
        without_figures(finding, suppressed.contains(&link))
    });
    Ok(shown.collect())
}
