//! Manifests: which other manifests and blobs an image needs.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::name::Digest;
use serde::Deserialize;

/// Maximum size of a manifest in bytes. The specification demands that registries accept as much.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// Maximum number of blobs or manifests that a manifest may name. Images have at most 127 layers in usual engines.
const MAX_PARTS: usize = 1024;

/// Media types of manifests, in the order: index, list of Docker, manifest, manifest of Docker.
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const IMAGES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

/// A manifest as far as this crate needs it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Manifest {
    pub media_type: &'static str,
    pub content: Content,
}

/// The parts that a manifest names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    /// One image: its configuration and its layers.
    Image(Vec<Part>),
    /// One image for each platform.
    Index(Vec<Part>),
}

/// A blob or a manifest that a manifest names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Part {
    pub digest: Digest,
    pub size: u64,
    /// System and architecture, if the manifest states them.
    pub platform: Option<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
    #[serde(default)]
    platform: Option<PlatformDocument>,
    /// Places outside of the registry, for layers that may not be distributed.
    #[serde(default)]
    urls: Vec<String>,
}

#[derive(Deserialize)]
struct PlatformDocument {
    os: String,
    architecture: String,
}

/// Reads a manifest. Returns nothing if it is of no kind that is known.
pub(crate) fn parse(bytes: &[u8]) -> Option<Manifest> {
    let document: Document = serde_json::from_slice(bytes).ok()?;
    if document.schema_version != 2 {
        return None;
    }
    let (known, content) = match (document.manifests, document.config, document.layers) {
        (Some(manifests), None, None) => (INDEXES, Content::Index(parts(manifests)?)),
        (None, Some(config), Some(layers)) => {
            let all = std::iter::once(config).chain(layers);
            // Layers with their own places are not part of the registry.
            let own = all.filter(|descriptor| descriptor.urls.is_empty()).collect();
            (IMAGES, Content::Image(parts(own)?))
        }
        _ => return None,
    };
    // Documents of OCI may leave it out.
    let media_type = match document.media_type {
        None => known[0],
        Some(stated) => known.into_iter().find(|known| *known == stated)?,
    };
    Some(Manifest { media_type, content })
}

fn parts(descriptors: Vec<Descriptor>) -> Option<Vec<Part>> {
    if descriptors.len() > MAX_PARTS {
        return None;
    }
    let part = |descriptor: Descriptor| {
        let platform = descriptor.platform.map(|platform| (platform.os, platform.architecture));
        Some(Part { digest: descriptor.digest.parse().ok()?, size: descriptor.size, platform })
    };
    descriptors.into_iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_indexes_name_their_parts() {
        let [config, layer] = [b"config", b"layer1"].map(|bytes| Digest::of(bytes));
        let image = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{config}","size":6}},"layers":[{{"digest":"{layer}","size":6}},
            {{"digest":"{layer}","size":7,"urls":["https://example.org/layer"]}}]}}"#
        );
        let manifest = parse(image.as_bytes()).unwrap();
        assert_eq!(manifest.media_type, IMAGES[0]);
        let part = |digest: &Digest| Part { digest: digest.clone(), size: 6, platform: None };
        assert_eq!(manifest.content, Content::Image(vec![part(&config), part(&layer)]));
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[
            {{"digest":"{layer}","size":6,"platform":{{"os":"linux","architecture":"arm64"}}}}]}}"#,
            INDEXES[1]
        );
        let manifest = parse(index.as_bytes()).unwrap();
        assert_eq!(manifest.media_type, INDEXES[1]);
        let platform = Some(("linux".to_owned(), "arm64".to_owned()));
        assert_eq!(manifest.content, Content::Index(vec![Part { platform, ..part(&layer) }]));
    }

    #[test]
    fn other_documents_are_refused() {
        let layer = Digest::of(b"x");
        let many = vec![format!(r#"{{"digest":"{layer}","size":1}}"#); MAX_PARTS + 1].join(",");
        for text in [
            "",
            "[]",
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"mediaType":"text/html","manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":[{"digest":"../../etc/passwd","size":1}]}"#,
            r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:00","size":-1}]}"#,
            &format!(r#"{{"schemaVersion":2,"manifests":[{many}]}}"#),
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{}", &text[..text.len().min(80)]);
        }
    }
}
