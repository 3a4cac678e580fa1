//! Reads the texts of small XML documents that a storage sends. Documents are hostile: the depth is limited, and only the
//! entities that XML itself defines are known.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

/// Maximum depth of elements.
const MAX_DEPTH: usize = 8;

/// The document is not XML, or not one that a storage sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not the XML of S3")]
pub struct NotXml;

/// Calls `visit` at the end of each element, with the names of the elements around it, its own name last, and its text.
///
/// # Errors
/// When the document cannot be read.
pub(super) fn read(document: &[u8], mut visit: impl FnMut(&[String], &str)) -> Result<(), NotXml> {
    let mut reader = Reader::from_reader(document);
    let (mut path, mut texts) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().map_err(|_| NotXml)? {
            Event::Start(element) if path.len() < MAX_DEPTH => {
                path.push(name(element.local_name().as_ref())?);
                texts.push(String::new());
            }
            Event::Start(_) => return Err(NotXml),
            Event::Empty(element) if path.len() < MAX_DEPTH => {
                path.push(name(element.local_name().as_ref())?);
                visit(&path, "");
                path.pop();
            }
            Event::Empty(_) => return Err(NotXml),
            Event::Text(text) => append(&mut texts, &text.decode().map_err(|_| NotXml)?),
            Event::CData(text) => append(&mut texts, &text.decode().map_err(|_| NotXml)?),
            Event::GeneralRef(entity) => append(&mut texts, &resolve(&entity)?),
            Event::End(_) => {
                let text = texts.pop().ok_or(NotXml)?;
                visit(&path, text.trim());
                path.pop();
            }
            Event::Eof if path.is_empty() => return Ok(()),
            Event::Eof => return Err(NotXml),
            _ => {}
        }
    }
}

fn name(bytes: &[u8]) -> Result<String, NotXml> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| NotXml)
}

fn append(texts: &mut [String], text: &str) {
    if let Some(last) = texts.last_mut() {
        last.push_str(text);
    }
}

fn resolve(entity: &BytesRef<'_>) -> Result<String, NotXml> {
    if let Some(character) = entity.resolve_char_ref().map_err(|_| NotXml)? {
        return Ok(character.into());
    }
    let text = match entity.decode().map_err(|_| NotXml)?.as_ref() {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return Err(NotXml),
    };
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(document: &str) -> Result<Vec<(String, String)>, NotXml> {
        let mut found = Vec::new();
        read(document.as_bytes(), |path, text| found.push((path.join("/"), text.to_owned())))?;
        Ok(found)
    }

    #[test]
    fn the_texts_of_elements_are_read_with_their_entities() {
        let document =
            "<?xml version=\"1.0\"?><a xmlns=\"x\"><b>1 &lt; &#50; &quot;</b>\n<c/><d><![CDATA[<&]]></d></a>";
        let expected = [("a/b", "1 < 2 \""), ("a/c", ""), ("a/d", "<&"), ("a", "")];
        assert_eq!(texts(document).unwrap(), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }

    #[test]
    fn a_document_that_is_not_whole_too_deep_or_has_entities_of_its_own_is_refused() {
        for document in ["<a>", "<a></b>", "<a>&lol;</a>", "</a>", "<a><b></a></b>"] {
            assert_eq!(texts(document), Err(NotXml), "{document}");
        }
        assert_eq!(texts(&"<a>".repeat(1000)), Err(NotXml));
        let deep = "<a>".repeat(MAX_DEPTH) + &"</a>".repeat(MAX_DEPTH);
        assert_eq!(texts(&deep).unwrap().len(), MAX_DEPTH);
    }
}
