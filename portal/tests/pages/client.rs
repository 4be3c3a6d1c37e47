//! A reader without a browser: fetches addresses from the router, and follows every link.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// An answer.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
}

pub(crate) async fn fetch(pages: &Router, address: &str) -> Page {
    send(pages, Request::get(address).body(Body::empty()).unwrap()).await
}

pub(crate) async fn send(pages: &Router, request: Request<Body>) -> Page {
    let response: Response<Body> = pages.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let headers = response.headers().iter().map(header).collect();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Page {
        status,
        headers,
        text: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// Returns the addresses in links, style sheets and forms.
pub(crate) fn links(html: &str) -> BTreeSet<String> {
    let mut links = BTreeSet::new();
    for attribute in ["href=\"", "action=\""] {
        for part in html.split(attribute).skip(1) {
            let link = part.split('"').next().unwrap();
            // The template engine escapes the ampersands of queries.
            let link = link.replace("&#38;", "&");
            links.insert(link.split('#').next().unwrap().to_owned());
        }
    }
    links.remove("");
    links
}

/// Fetches everything that can be reached from the overview.
pub(crate) async fn crawl(pages: &Router) -> BTreeMap<String, Page> {
    let mut open = vec!["/".to_owned()];
    let mut seen: BTreeMap<String, Page> = BTreeMap::new();
    while let Some(address) = open.pop() {
        if seen.contains_key(&address) {
            continue;
        }
        assert!(
            address.starts_with('/'),
            "a link to another server: {address}"
        );
        let page = fetch(pages, &address).await;
        assert_eq!(page.status, StatusCode::OK, "{address}");
        if page.headers["content-type"].starts_with("text/html") {
            open.extend(links(&page.text));
        }
        seen.insert(address, page);
    }
    seen
}
