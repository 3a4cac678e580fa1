//! The HTML page that lists a directory. All names in it are untrusted.
use std::fmt::Write as _;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use ipfs::Cid;
use ipfs::dag::Link;
use ipfs::unixfs::is_safe_name;

use crate::request::{Target, encode};

/// Version of the page's layout. Increase it when the page changes, so that caches refetch the page.
pub(crate) const VERSION: u32 = 1;
/// Number of entries in one chunk of the page.
const CHUNK: usize = 64;

const STYLE: &str = "body{font:16px/1.5 sans-serif;margin:2em}td{padding:0 1.5em 0 0}\
    td.size{text-align:right}code{color:#666;font-size:75%}";

/// Returns the page in chunks.
pub(crate) fn page(target: &Target, cid: Cid, links: Vec<Link>) -> impl Stream<Item = Bytes> + Send + use<> {
    let (head, base) = (head(target, cid), target.with_slash());
    let rows = stream::iter(links).chunks(CHUNK).map(move |links| {
        let mut text = String::new();
        links.iter().for_each(|link| row(&mut text, &base, link));
        Bytes::from(text)
    });
    let once = |text: Bytes| stream::iter([text]);
    once(head.into()).chain(rows).chain(once(Bytes::from_static(b"</table>\n</body>\n</html>\n")))
}

fn head(target: &Target, cid: Cid) -> String {
    let path: String = std::iter::once(target.cid.to_string())
        .chain(target.names.iter().cloned())
        .map(|name| format!("/{}", escape(&name)))
        .collect();
    let parent = if target.names.is_empty() { "" } else { "<tr><td><a href=\"../\">..</a></td></tr>\n" };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>/ipfs{path}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>/ipfs{path}</h1>\n<p><code>{cid}</code></p>\n\
         <table>\n<tr><th>name</th><th>bytes with their links</th><th>CID</th></tr>\n{parent}"
    )
}

fn row(text: &mut String, base: &str, link: &Link) {
    let name = escape(&link.name);
    // An entry with an unsafe name cannot be requested by a path, so it gets no link.
    let name = match is_safe_name(&link.name) {
        true => format!("<a href=\"{base}{}\">{name}</a>", encode(&link.name)),
        false => name,
    };
    let (size, cid) = (link.total_size, link.cid);
    // Writing into a string cannot fail.
    let _ =
        writeln!(text, "<tr><td>{name}</td><td class=\"size\">{size}</td><td><code>{cid}</code></td></tr>");
}

/// Escapes text for HTML. Replaces control characters, and characters that change the direction of the text.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "bafkqaaa";

    fn rendered(names: &[&str]) -> String {
        let target = Target::read("/ipfs/bafkqaaa/a%22b/").unwrap();
        let cid: Cid = CID.parse().unwrap();
        let link = |name: &&str| Link { name: (*name).to_owned(), cid, total_size: 7 };
        let pieces = page(&target, cid, names.iter().map(link).collect()).collect::<Vec<_>>();
        String::from_utf8(futures::executor::block_on(pieces).concat()).unwrap()
    }

    #[test]
    fn names_cannot_become_markup() {
        let page = rendered(&["<script>alert('1')</script>", "a\"b", "x\u{202e}gpj.exe", "new\nline"]);
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("<td>new\u{fffd}line</td>") || page.contains(">new\u{fffd}line</a>"), "{page}");
        assert!(page.contains(">x\u{fffd}gpj.exe</a>"), "{page}");
        assert!(page.contains("<title>/ipfs/bafkqaaa/a&quot;b</title>"), "{page}");
        assert!(page.contains("href=\"/ipfs/bafkqaaa/a%22b/a%22b\""), "{page}");
    }

    #[test]
    fn unsafe_names_are_not_links() {
        let page = rendered(&["..", "a/b", ""]);
        // The only link is the one to the parent directory.
        assert_eq!(page.matches("<a href").count(), 1, "{page}");
    }

    #[test]
    fn a_large_directory_is_listed_completely() {
        let names: Vec<String> = (0..1000).map(|number| format!("{number:04}.bag")).collect();
        let page = rendered(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(names.iter().all(|name| page.contains(&format!(">{name}</a>"))));
        assert!(page.ends_with("</html>\n"));
    }
}
