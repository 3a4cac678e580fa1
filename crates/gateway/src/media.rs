//! Determines the media type of content by its name, or else by its first bytes.
//!
//! The first bytes never give a type that a browser would execute.

/// Media type of content whose type is unknown.
pub(crate) const UNKNOWN: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";

/// Returns the media type for the extension of a name, if it is known.
pub(crate) fn by_name(name: &str) -> Option<&'static str> {
    let (stem, extension) = name.rsplit_once('.')?;
    if stem.is_empty() {
        return None;
    }
    let extension = extension.to_ascii_lowercase();
    let found = TYPES.iter().find(|(_, extensions)| extensions.split(' ').any(|known| known == extension));
    found.map(|(media_type, _)| *media_type)
}

/// Returns the media type that the first bytes indicate, among those that are safe to guess.
pub(crate) fn by_content(first: &[u8]) -> &'static str {
    let found =
        MAGIC.iter().find(|(_, at, magic)| first.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    match found {
        Some((media_type, _, _)) => media_type,
        None if is_text(first) => TEXT,
        None => UNKNOWN,
    }
}

/// Returns whether the bytes are UTF-8 text without control characters. The last character may be cut off.
fn is_text(first: &[u8]) -> bool {
    let valid = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&first[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    valid.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b'))
}

const MAGIC: &[(&str, usize, &[u8])] = &[
    ("image/png", 0, b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", 0, b"\xff\xd8\xff"),
    ("image/gif", 0, b"GIF8"),
    ("image/webp", 8, b"WEBP"),
    ("video/mp4", 4, b"ftyp"),
    ("video/webm", 0, b"\x1a\x45\xdf\xa3"),
    ("application/pdf", 0, b"%PDF-"),
    ("application/gzip", 0, b"\x1f\x8b"),
    ("application/zip", 0, b"PK\x03\x04"),
];

const TYPES: &[(&str, &str)] = &[
    ("text/html; charset=utf-8", "html htm"),
    ("text/css; charset=utf-8", "css"),
    ("text/javascript; charset=utf-8", "js mjs"),
    (TEXT, "txt log md rst ini cfg conf toml py rs c h cpp hpp sh launch"),
    ("text/csv; charset=utf-8", "csv"),
    ("text/xml; charset=utf-8", "xml urdf xacro sdf"),
    ("application/json", "json map geojson"),
    ("application/yaml", "yaml yml"),
    ("application/wasm", "wasm"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("application/gzip", "gz tgz"),
    ("application/zstd", "zst"),
    ("application/x-bzip2", "bz2"),
    ("application/x-xz", "xz"),
    ("application/x-tar", "tar"),
    ("application/x-bag", "bag"),
    ("application/x-mcap", "mcap"),
    ("application/vnd.ipld.car", "car"),
    ("image/png", "png"),
    ("image/jpeg", "jpg jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/avif", "avif"),
    ("image/svg+xml", "svg"),
    ("image/bmp", "bmp"),
    ("image/x-icon", "ico"),
    ("image/x-portable-graymap", "pgm"),
    ("image/x-portable-pixmap", "ppm"),
    ("video/mp4", "mp4 m4v"),
    ("video/webm", "webm"),
    ("video/quicktime", "mov"),
    ("video/x-matroska", "mkv"),
    ("video/x-msvideo", "avi"),
    ("audio/mpeg", "mp3"),
    ("audio/wav", "wav"),
    ("audio/ogg", "ogg oga"),
    ("audio/flac", "flac"),
    ("audio/mp4", "m4a"),
    ("font/woff2", "woff2"),
    ("font/woff", "woff"),
    ("font/ttf", "ttf"),
    ("font/otf", "otf"),
    ("model/stl", "stl"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_of_a_name_determines_the_type() {
        assert_eq!(by_name("a.b.HTML"), Some("text/html; charset=utf-8"));
        assert_eq!(by_name("run.bag"), Some("application/x-bag"));
        for unknown in ["", "bag", ".bag", "a.", "a.ht ml", "a.unheard"] {
            assert_eq!(by_name(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn content_never_gets_a_type_that_a_browser_executes() {
        assert_eq!(by_content(b"<html><script>"), TEXT);
        assert_eq!(by_content(b"<svg>"), TEXT);
        assert_eq!(by_content("Grüße\n".as_bytes()), TEXT);
        assert_eq!(by_content(&"Grü".as_bytes()[..3]), TEXT);
        assert_eq!(by_content(b"\x89PNG\r\n\x1a\nrest"), "image/png");
        assert_eq!(by_content(b"a\0b"), UNKNOWN);
        assert_eq!(by_content(b"\xc3\x28"), UNKNOWN);
    }
}
