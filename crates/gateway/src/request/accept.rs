//! The forms in which content can be had, and which of them a client wants.
use http_server::Refusal;

/// How many entries of an `Accept` header are looked at.
const MAX_ENTRIES: usize = 64;
/// The weight of what has none, in thousandths.
const FULL: u16 = 1000;

/// What a client can be given. The later ones win over the earlier ones when it wants both alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Codec(Codec),
    Raw,
    /// With the wish for duplicates, if there is one.
    Car {
        dups: Option<bool>,
    },
    /// Known, and not spoken here.
    Unspoken,
}

/// Content that has a form of its own and no parts that the gateway could name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// JSON.
    Json,
    /// CBOR.
    Cbor,
    /// JSON with links.
    DagJson,
    /// CBOR with links.
    DagCbor,
}

impl Codec {
    const ALL: [Self; 4] = [Self::Json, Self::Cbor, Self::DagJson, Self::DagCbor];

    /// Its number in CIDs.
    fn number(self) -> u64 {
        match self {
            Self::Json => 0x0200,
            Self::Cbor => 0x51,
            Self::DagJson => 0x0129,
            Self::DagCbor => 0x71,
        }
    }

    /// The one that has this number in CIDs.
    pub fn of(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.number() == number)
    }

    /// The type of its content in HTTP.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cbor => "application/cbor",
            Self::DagJson => "application/vnd.ipld.dag-json",
            Self::DagCbor => "application/vnd.ipld.dag-cbor",
        }
    }

    /// The one with this name in the parameter `format`.
    fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "cbor" => Some(Self::Cbor),
            "dag-json" => Some(Self::DagJson),
            "dag-cbor" => Some(Self::DagCbor),
            _ => None,
        }
    }

    /// Whether blocks of this codec can have links, so that what is below them cannot be told without reading it.
    pub fn has_links(self) -> bool {
        matches!(self, Self::DagJson | Self::DagCbor)
    }
}

/// The kind that the parameter `format` names.
pub(crate) fn by_name(name: &str) -> Result<Kind, Refusal> {
    match (name, Codec::named(name)) {
        ("raw", _) => Ok(Kind::Raw),
        ("car", _) => Ok(Kind::Car { dups: None }),
        (_, Some(codec)) => Ok(Kind::Codec(codec)),
        ("tar" | "ipns-record", None) => Err(unspoken()),
        (_, None) => Err(Refusal::bad_request("this format is not known; raw and car are")),
    }
}

/// The kind that the `Accept` headers want most among those that are spoken.
pub(crate) fn by_headers<'a>(headers: impl Iterator<Item = &'a str>) -> Result<Kind, Refusal> {
    let entries = headers.flat_map(|header| header.split(',')).take(MAX_ENTRIES);
    let wanted: Vec<(Kind, u16)> = entries.filter_map(entry).filter(|(_, weight)| *weight > 0).collect();
    let rank = |(kind, weight): &(Kind, u16)| (*weight, !matches!(kind, Kind::Plain));
    let spoken = wanted.iter().filter(|(kind, _)| *kind != Kind::Unspoken);
    // Of equals the first.
    let best = spoken.reduce(|best, other| if rank(other) > rank(best) { other } else { best });
    match best {
        Some((kind, _)) => Ok(*kind),
        None if wanted.is_empty() => Ok(Kind::Plain),
        None => Err(unspoken()),
    }
}

fn unspoken() -> Refusal {
    Refusal::not_acceptable("this form is not spoken here; files, raw blocks and CARs (version 1) are")
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
        "application/x-tar" => Kind::Unspoken,
        other if other.starts_with("application/vnd.ipld.") || other.starts_with("application/vnd.ipfs.") => {
            Kind::Unspoken
        }
        // Browsers name what they can show; a file is given as what it is.
        _ => Kind::Plain,
    }
}

fn car(parameters: &[(&str, &str)]) -> Kind {
    let mut dups = None;
    for (key, value) in parameters {
        match (*key, *value) {
            ("version", version) if !is_version(version) => return Kind::Unspoken,
            ("order", order) if !is_order(order) => return Kind::Unspoken,
            ("dups", value) => match duplicates(value) {
                Some(wish) => dups = Some(wish),
                None => return Kind::Unspoken,
            },
            _ => {}
        }
    }
    Kind::Car { dups }
}

/// Whether this version of CARs is spoken.
pub(crate) fn is_version(text: &str) -> bool {
    text == "1"
}

/// Whether blocks come in this order: depth first fits whoever does not care.
pub(crate) fn is_order(text: &str) -> bool {
    matches!(text, "" | "dfs" | "unk")
}

/// Whether duplicates are wanted.
pub(crate) fn duplicates(text: &str) -> Option<bool> {
    match text {
        "y" => Some(true),
        "n" => Some(false),
        _ => None,
    }
}

/// A weight: at most three digits after the point.
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
