//! The content path: `/ipfs/CID/name/name`.
use std::fmt;

use ipfs::Cid;
use ipfs::unixfs::{MAX_DEPTH, MAX_NAME_BYTES};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use http_server::Refusal;

/// The message for requests of other paths.
pub(crate) const USAGE: &str = "this is an IPFS gateway; ask for /ipfs/CID or /ipfs/CID/path";
/// Maximum length of a CID's text, in bytes. The longest CID in the widest base is shorter.
const MAX_CID_TEXT: usize = 1024;
/// The characters of a name that are percent-encoded in a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The parsed path of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// CID of the root.
    pub cid: Cid,
    /// The decoded names after the root, each the name of an entry in the directory before it.
    pub names: Vec<String>,
    /// Whether the path ends in a slash, as paths of directories do.
    pub is_directory: bool,
    /// The CID as the client wrote it, so that links keep the form of the client's address.
    text: String,
}

impl Target {
    /// Parses the path of a request.
    ///
    /// # Errors
    /// Returns an error if the path is not a content path.
    pub fn read(path: &str) -> Result<Self, Refusal> {
        let rest = match path.strip_prefix("/ipfs/") {
            Some(rest) => rest,
            None if path.starts_with("/ipns/") => {
                return Err(Refusal::not_implemented("IPNS names are not resolved here; ask for /ipfs/CID"));
            }
            None => {
                return Err(Refusal::not_found(USAGE));
            }
        };
        let (text, rest) = rest.split_once('/').map_or((rest, None), |(text, rest)| (text, Some(rest)));
        let (cid, is_directory) = (read_cid(text)?, path.ends_with('/'));
        let names = match rest {
            None | Some("") => Vec::new(),
            Some(rest) => read_names(rest.strip_suffix('/').unwrap_or(rest))?,
        };
        Ok(Self { cid, names, is_directory, text: text.to_owned() })
    }

    /// Returns the last name of the path.
    pub fn name(&self) -> Option<&str> {
        self.names.last().map(String::as_str)
    }

    /// Returns the encoded path with a slash at its end, as a prefix for the entries of a directory.
    pub fn with_slash(&self) -> String {
        let path = self.to_string();
        path + "/"
    }
}

/// Formats the encoded path, without a slash at its end.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/ipfs/{}", self.text)?;
        self.names.iter().try_for_each(|name| write!(formatter, "/{}", encode(name)))
    }
}

/// Percent-encodes a name for a path.
pub(crate) fn encode(name: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(name, ENCODED)
}

fn read_cid(text: &str) -> Result<Cid, Refusal> {
    if text.is_empty() {
        return Err(Refusal::bad_request("the CID is missing; ask for /ipfs/CID"));
    }
    // The text is written into headers and pages, so only letters and digits are accepted. Bases with other characters
    // are unusual in paths.
    let is_plain = text.len() <= MAX_CID_TEXT && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let cid = is_plain.then(|| Cid::try_from(text).ok()).flatten();
    cid.ok_or_else(|| Refusal::bad_request("the text after /ipfs/ is not a valid CID"))
}

fn read_names(path: &str) -> Result<Vec<String>, Refusal> {
    let names: Result<Vec<String>, Refusal> = path.split('/').map(read_name).collect();
    names.and_then(|names| match names.len() > MAX_DEPTH {
        true => Err(Refusal::bad_request(format!("the path has more than {MAX_DEPTH} names"))),
        false => Ok(names),
    })
}

fn read_name(text: &str) -> Result<String, Refusal> {
    let name = percent_decode_str(text).decode_utf8();
    let name = name.map_err(|_| Refusal::bad_request("the path is not UTF-8"))?.into_owned();
    let is_possible = !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(['/', '\0']);
    is_possible.then_some(name).ok_or_else(|| {
        Refusal::bad_request("the path has a name that is empty, too long, or contains a slash or zero byte")
    })
}
