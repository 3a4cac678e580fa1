//! Files: whole files, ranges and conditional requests.

use std::time::Duration;

use ipfs::unixfs::Format;

use crate::support::{curl, noise, serve};

const LIMIT: Duration = Duration::from_secs(5);
/// A size with more leaves than one node has links, and an incomplete last leaf.
const LARGE: usize = 50 * 1024 * 1024 + 17;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_served_unchanged_in_both_cid_versions() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    for length in [0, 1, 262_144, 262_145, LARGE] {
        for format in [Format::V0, Format::V1] {
            let content = noise(length);
            let cid = served.add(&content, format).await;
            let answer = served.get(&format!("/ipfs/{cid}"), &[]).await;
            assert_eq!((answer.status, answer.exit), (200, 0));
            assert!(answer.body == content, "{length} bytes as {format:?} differ");
            assert_eq!(answer.header("content-length"), length.to_string());
            let head = served.head(&format!("/ipfs/{cid}"), &[]).await;
            let of = |name| (head.header(name).to_owned(), answer.header(name).to_owned());
            for name in ["content-length", "content-type", "etag", "cache-control"] {
                let (of_head, of_get) = of(name);
                assert_eq!(of_head, of_get, "{name}");
            }
            assert!(head.body.is_empty() || head.text().starts_with("HTTP/1.1 200"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_those_of_the_specification() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    let root = served.add_directory(&[("logs/run 1.html", b"<p>hello")]).await;
    let path = format!("/ipfs/{root}/logs/run%201.html");
    let answer = served.get(&path, &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "public, max-age=29030400, immutable");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("x-ipfs-path"), path);
    let roots: Vec<&str> = answer.header("x-ipfs-roots").split(',').collect();
    assert_eq!((roots.len(), roots[0]), (3, root.to_string().as_str()));
    assert_eq!(answer.header("etag"), format!("\"{}\"", roots[2]));
    assert_eq!(answer.header("content-disposition"), "");
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_have_exactly_the_requested_bytes() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    let content = noise(LARGE);
    let path = format!("/ipfs/{}", served.add(&content, Format::V1).await);
    let last = LARGE - 1;
    for (range, from, to) in [
        ("0-0", 0, 0),
        ("262143-262144", 262_143, 262_144),
        ("45613055-45613056", 45_613_055, 45_613_056),
        ("10000000-29999999", 10_000_000, 29_999_999),
        ("52428800-", 52_428_800, last),
        ("-5", last - 4, last),
        ("52428816-99999999", last, last),
    ] {
        let answer = served.get(&path, &["--range", range]).await;
        assert_eq!((answer.status, answer.exit), (206, 0), "{range}");
        assert!(answer.body == content[from..=to], "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{to}/{LARGE}"));
        assert_eq!(answer.header("content-length"), (to - from + 1).to_string());
    }
    let beyond = served.get(&path, &["--range", "52428817-"]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{LARGE}").as_str()));
    let several = served.get(&path, &["--range", "0-1,5-6"]).await;
    assert_eq!((several.status, several.body.len()), (200, LARGE));
    let head = served.head(&path, &["--range", "0-99"]).await;
    assert_eq!((head.status, head.header("content-length")), (206, "100"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_a_file_is_not_sent_it_again() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    let cid = served.add(b"some content", Format::V1).await;
    let path = format!("/ipfs/{cid}");
    let tag = format!("If-None-Match: \"other\", W/\"{cid}\"");
    let answer = served.get(&path, &["--header", &tag]).await;
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    assert_eq!(answer.header("etag"), format!("\"{cid}\""));
    assert_eq!(served.get(&path, &["--header", "If-None-Match: \"other\""]).await.status, 200);
    // A transfer is resumed only if the version is the same.
    let resumed = |tag: &str| {
        vec!["--range".to_owned(), "5-".to_owned(), "--header".to_owned(), format!("If-Range: {tag}")]
    };
    for (tag, status) in [(format!("\"{cid}\""), 206), ("\"other\"".to_owned(), 200)] {
        let arguments = resumed(&tag);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(served.get(&path, &arguments).await.status, status, "{tag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_and_content_determine_the_type_and_a_parameter_the_file_name() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    let text = format!("/ipfs/{}", served.add("Grüße, <script>".as_bytes(), Format::V1).await);
    assert_eq!(served.get(&text, &[]).await.header("content-type"), "text/plain; charset=utf-8");
    let binary = format!("/ipfs/{}", served.add(&noise(1000), Format::V0).await);
    assert_eq!(served.head(&binary, &[]).await.header("content-type"), "application/octet-stream");
    let named = served.get(&format!("{text}?filename=caf%C3%A9.csv"), &[]).await;
    assert_eq!(named.header("content-type"), "text/csv; charset=utf-8");
    let disposition = "inline; filename=\"caf_.csv\"; filename*=UTF-8''caf%C3%A9.csv";
    assert_eq!(named.header("content-disposition"), disposition);
    let saved = served.get(&format!("{text}?filename=a.txt&download=true"), &[]).await;
    assert_eq!(saved.header("content-disposition"), "attachment; filename=\"a.txt\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_other_codecs_is_served_without_conversion() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    // A CID with the identity hash contains its block, so it needs no store. The block is {"a":1} as DAG-JSON.
    let block = b"{\"a\":1}";
    let hash = ipfs_hash(block);
    let cid = ipfs::Cid::new_v1(0x0129, hash);
    let path = format!("/ipfs/{cid}");
    let answer = served.get(&path, &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/vnd.ipld.dag-json"));
    assert_eq!(answer.body, block);
    assert_eq!(served.get(&format!("{path}?format=dag-json"), &[]).await.status, 200);
    assert_eq!(served.get(&format!("{path}?format=dag-cbor"), &[]).await.status, 406);
    assert_eq!(served.get(&format!("{path}/a"), &[]).await.status, 501);
    let unknown = ipfs::Cid::new_v1(0x9999, hash);
    assert_eq!(served.get(&format!("/ipfs/{unknown}"), &[]).await.status, 400);
    assert_eq!(served.get(&format!("/ipfs/{unknown}?format=raw"), &[]).await.body, block);
}

/// Returns the identity multihash, whose digest is the block itself.
fn ipfs_hash(block: &[u8]) -> cid::multihash::Multihash<64> {
    cid::multihash::Multihash::wrap(0, block).unwrap()
}
