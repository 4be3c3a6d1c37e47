//! The page that says what each problem means: docs/problems.md, for browsers.

use axum::response::Html;
use bytes::Bytes;

/// What the page is made from.
const SOURCE: &str = include_str!("../../../docs/problems.md");

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Problems</title>
<style>body{font:16px/1.5 sans-serif;max-width:42em;margin:3em auto;padding:0 1em}code{background:#eee}</style>
";

/// What each problem means, with an anchor for each name
#[utoipa::path(get, path = "/problems", responses(
    (status = 200, description = "The page", body = String, content_type = "text/html"),
))]
pub(super) async fn page() -> Html<Bytes> {
    // It is small, and asked for by people.
    Html(html(SOURCE).into())
}

/// The headings, paragraphs and code of the page; it has nothing else.
fn html(source: &str) -> String {
    let mut out = HEAD.to_owned();
    for block in source.split("\n\n") {
        let block = block.trim().replace('&', "&amp;").replace('<', "&lt;");
        if let Some(name) = block.strip_prefix("## ") {
            out += &format!("<h2 id={name}>{name}</h2>\n");
        } else if let Some(title) = block.strip_prefix("# ") {
            out += &format!("<h1>{title}</h1>\n");
        } else {
            out += &format!("<p>{}</p>\n", code(&block));
        }
    }
    out
}

fn code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let marked = parts.map(|(place, part)| match place % 2 {
        0 => part.to_owned(),
        _ => format!("<code>{part}</code>"),
    });
    marked.collect()
}

#[cfg(test)]
mod tests {
    use tallybox_model::report::ProblemKind;

    use super::*;

    #[test]
    fn each_problem_has_its_paragraph_and_no_other_has() {
        let page = html(SOURCE);
        for kind in ProblemKind::ALL {
            let (name, status) = (kind.name(), kind.status());
            let found = page.split_once(&format!("<h2 id={name}>{name}</h2>\n<p>Status {status}"));
            assert!(found.is_some(), "{name} has no paragraph with its status");
        }
        assert_eq!(page.matches("<h2").count(), ProblemKind::ALL.len());
    }
}
