//! Selects the format of an answer by the parameter `format` or the `Accept` headers.
use http_server::Refusal;

/// Maximum number of entries of the `Accept` headers that are read. Later entries are ignored.
const MAX_ENTRIES: usize = 64;
/// Weight of an entry without `q`, in thousandths.
const FULL: u16 = 1000;

/// The kind of answer that a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Codec(Codec),
    Raw,
    /// `dups` says whether duplicates are wanted, if the client specified it.
    Car {
        dups: Option<bool>,
    },
    /// A format that is known but not supported.
    Unsupported,
}

/// A codec of single-block content. The gateway serves such a block unchanged and does not follow paths into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// JSON without links.
    Json,
    /// CBOR without links.
    Cbor,
    /// DAG-JSON: JSON with links.
    DagJson,
    /// DAG-CBOR: CBOR with links.
    DagCbor,
}

impl Codec {
    const ALL: [Self; 4] = [Self::Json, Self::Cbor, Self::DagJson, Self::DagCbor];

    /// Returns the codec's number in CIDs (its multicodec).
    fn number(self) -> u64 {
        match self {
            Self::Json => 0x0200,
            Self::Cbor => 0x51,
            Self::DagJson => 0x0129,
            Self::DagCbor => 0x71,
        }
    }

    /// Returns the codec with this number in CIDs (its multicodec).
    pub fn of(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.number() == number)
    }

    /// Returns the media type of the codec's content.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cbor => "application/cbor",
            Self::DagJson => "application/vnd.ipld.dag-json",
            Self::DagCbor => "application/vnd.ipld.dag-cbor",
        }
    }

    /// Returns the codec with this name in the parameter `format`.
    fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "cbor" => Some(Self::Cbor),
            "dag-json" => Some(Self::DagJson),
            "dag-cbor" => Some(Self::DagCbor),
            _ => None,
        }
    }

    /// Returns whether blocks of this codec can have links to other blocks.
    pub fn has_links(self) -> bool {
        matches!(self, Self::DagJson | Self::DagCbor)
    }
}

/// Returns the kind that the parameter `format` names.
pub(crate) fn by_name(name: &str) -> Result<Kind, Refusal> {
    match (name, Codec::named(name)) {
        ("raw", _) => Ok(Kind::Raw),
        ("car", _) => Ok(Kind::Car { dups: None }),
        (_, Some(codec)) => Ok(Kind::Codec(codec)),
        ("tar" | "ipns-record", None) => Err(unsupported()),
        (_, None) => Err(Refusal::bad_request("the format is unknown; raw and car are supported")),
    }
}

/// Returns the supported kind with the highest weight in the `Accept` headers. At equal weights, [`Kind::Plain`] comes
/// last.
pub(crate) fn by_headers<'a>(headers: impl Iterator<Item = &'a str>) -> Result<Kind, Refusal> {
    let entries = headers.flat_map(|header| header.split(',')).take(MAX_ENTRIES);
    let wanted: Vec<(Kind, u16)> = entries.filter_map(entry).filter(|(_, weight)| *weight > 0).collect();
    let rank = |(kind, weight): &(Kind, u16)| (*weight, !matches!(kind, Kind::Plain));
    let supported = wanted.iter().filter(|(kind, _)| *kind != Kind::Unsupported);
    // Among entries of equal weight, the first is used.
    let best = supported.reduce(|best, other| if rank(other) > rank(best) { other } else { best });
    match best {
        Some((kind, _)) => Ok(*kind),
        None if wanted.is_empty() => Ok(Kind::Plain),
        None => Err(unsupported()),
    }
}

fn unsupported() -> Refusal {
    Refusal::not_acceptable(
        "this format is not supported; supported formats are files, raw blocks and CARs (version 1)",
    )
}

fn entry(text: &str) -> Option<(Kind, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).map(trimmed).collect();
    let weight = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case("q"));
    let weight = weight.map_or(Some(FULL), |(_, value)| thousandths(value))?;
    Some((kind(&media_type, &parameters), weight))
}

fn trimmed<'a>((key, value): (&'a str, &'a str)) -> (&'a str, &'a str) {
    (key.trim(), value.trim().trim_matches('"'))
}

fn kind(media_type: &str, parameters: &[(&str, &str)]) -> Kind {
    match media_type {
        "application/vnd.ipld.raw" => Kind::Raw,
        "application/vnd.ipld.car" => car(parameters),
        "application/vnd.ipld.dag-json" => Kind::Codec(Codec::DagJson),
        "application/vnd.ipld.dag-cbor" => Kind::Codec(Codec::DagCbor),
        "application/x-tar" => Kind::Unsupported,
        other if other.starts_with("application/vnd.ipld.") || other.starts_with("application/vnd.ipfs.") => {
            Kind::Unsupported
        }
        // Browsers list the media types that they can show. A file is always served as its own type.
        _ => Kind::Plain,
    }
}

fn car(parameters: &[(&str, &str)]) -> Kind {
    let mut dups = None;
    for (key, value) in parameters {
        match (*key, *value) {
            ("version", version) if !is_version(version) => return Kind::Unsupported,
            ("order", order) if !is_order(order) => return Kind::Unsupported,
            ("dups", value) => match duplicates(value) {
                Some(wish) => dups = Some(wish),
                None => return Kind::Unsupported,
            },
            _ => {}
        }
    }
    Kind::Car { dups }
}

/// Returns whether this version of CARs is supported.
pub(crate) fn is_version(text: &str) -> bool {
    text == "1"
}

/// Returns whether this order of blocks is supported. Depth-first order also satisfies an unspecified order.
pub(crate) fn is_order(text: &str) -> bool {
    matches!(text, "" | "dfs" | "unk")
}

/// Parses `y` or `n`: whether duplicates are wanted.
pub(crate) fn duplicates(text: &str) -> Option<bool> {
    match text {
        "y" => Some(true),
        "n" => Some(false),
        _ => None,
    }
}

/// Parses a weight from 0 to 1, with at most three digits after the point, into thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match (whole, fraction) {
        ("0", _) => Some(fraction),
        ("1", 0) => Some(FULL),
        _ => None,
    }
}
