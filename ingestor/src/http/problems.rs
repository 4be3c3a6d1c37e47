//! The page that explains each problem type: docs/problems.md as HTML.

use axum::response::Html;
use bytes::Bytes;

/// The Markdown source of the page.
const SOURCE: &str = include_str!("../../../docs/problems.md");

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Problems</title>
<style>body{font:16px/1.5 sans-serif;max-width:42em;margin:3em auto;padding:0 1em}code{background:#eee}</style>
";

/// Explains each problem type, with an anchor for each name
#[utoipa::path(get, path = "/problems", responses(
    (status = 200, description = "The page", body = String, content_type = "text/html"),
))]
pub(super) async fn page() -> Html<Bytes> {
    // The page is rendered for each request: it is small and rarely requested.
    Html(html(SOURCE).into())
}

/// Renders the headings, paragraphs and inline code of the page. The source contains no other
/// markup.
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
    let marked = parts.map(|(index, part)| match index % 2 {
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
