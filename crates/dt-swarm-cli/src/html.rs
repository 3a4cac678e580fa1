//! HTML pages that commands write: their frame, and the escaping of texts.
//! [`page_file`](crate::page_file) writes them.
//!
//! A page needs no other file. A policy in the page forbids browsers to load anything, and to run any script but the one
//! of the page. Texts of other hosts go through [`escaped`] or [`data_block`].
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Style of all pages. The browser chooses light or dark colours.
const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font-family: sans-serif; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; } td, th { padding: 0.2em 0.8em; text-align: left; }
";

/// The fixed parts of a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// The command that writes the page.
    pub(crate) command: &'static str,
    pub(crate) title: &'static str,
    /// Style of this page, in addition to that of all pages.
    pub(crate) style: &'static str,
    /// The script of the page, which runs once the body is there.
    pub(crate) script: Option<&'static str>,
}

impl Page {
    /// Returns the start of the page. It marks a file that the command may overwrite.
    pub(crate) fn start(&self) -> String {
        format!("<!DOCTYPE html>\n<!-- dt-swarm {} -->\n", self.command)
    }

    /// Returns the page with this body, which is HTML.
    pub(crate) fn with_body(&self, body: &str) -> String {
        let Self { title, style, .. } = self;
        let policy = self.policy();
        let script = self.script.map_or_else(String::new, |script| format!("<script>{script}</script>\n"));
        format!(
            "{}<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}{style}</style></head><body>\n\
             <h1>{title}</h1>\n{body}{script}</body></html>\n",
            self.start()
        )
    }

    /// Returns the policy for browsers. It names the script of the page by its hash.
    fn policy(&self) -> String {
        let script = self.script.map_or_else(String::new, |script| {
            format!("; script-src 'sha256-{}'", STANDARD.encode(Sha256::digest(script)))
        });
        format!("default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'{script}")
    }
}

/// Returns the text for HTML, in elements and in quoted attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Returns an element with a document that the script of the page reads. Browsers neither run nor show it.
///
/// Inside a script element, HTML knows no escapes. So the characters that could end it are escaped as JSON does.
///
/// # Errors
/// When the document has no JSON form.
pub(crate) fn data_block(id: &str, document: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(document)?;
    // In JSON, these characters are only inside of strings.
    let json = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    Ok(format!("<script type=\"application/json\" id=\"{id}\">{json}</script>\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_end_their_element() {
        assert_eq!(escaped("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
        let texts = ["</script><script>alert(1)//", "<!--<script>", "]]>&amp;"];
        let block = data_block("data", &texts).unwrap();
        let json = block.split_once('>').unwrap().1.strip_suffix("</script>\n").unwrap();
        assert!(!json.contains(['<', '>', '&']), "{json}");
        assert_eq!(serde_json::from_str::<Vec<String>>(json).unwrap(), texts);
    }

    #[test]
    fn the_policy_permits_the_script_of_the_page_and_nothing_else() {
        let page = Page { command: "x", title: "X", style: "", script: Some("alert(1)") };
        let text = page.with_body("<p>body</p>\n");
        assert!(text.starts_with(&page.start()));
        // The hash is that of `printf 'alert(1)' | openssl dgst -sha256 -binary | base64`.
        assert!(text.contains("script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"), "{text}");
        assert!(text.contains("<script>alert(1)</script>"), "{text}");
        let without = Page { script: None, ..page }.with_body("");
        assert!(without.contains("default-src 'none'") && !without.contains("script"), "{without}");
    }
}
