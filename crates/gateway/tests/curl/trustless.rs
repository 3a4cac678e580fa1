//! Single blocks and CARs, for clients that verify all content themselves.

use std::time::Duration;

use cid::multihash::Multihash;
use ipfs::Cid;
use ipfs::unixfs::Format;
use lab::peers::{car_reader_available, read_car};
use multihash_codetable::{Code, MultihashDigest as _};
use serde_json::Value;

use crate::support::{Answer, Served, curl, noise, serve};

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_block_has_the_requested_hash() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    for format in [Format::V0, Format::V1] {
        let cid = served.add(&noise(600_000), format).await;
        let path = format!("/ipfs/{cid}");
        let answer = served.get(&path, &["--header", "Accept: application/vnd.ipld.raw"]).await;
        let hash: Multihash<64> = Code::Sha2_256.digest(&answer.body);
        assert_eq!(&hash, cid.hash());
        assert_eq!(answer.header("content-type"), "application/vnd.ipld.raw");
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{cid}.bin\""));
        assert_eq!(answer.header("etag"), format!("\"{cid}.raw\""));
        assert_eq!(answer.header("content-location"), format!("{path}?format=raw"));
        assert_eq!(answer.header("vary"), "Accept");
        let named = served.get(&format!("{path}?format=raw"), &["--range", "1-3"]).await;
        assert_eq!((named.status, &named.body[..]), (206, &answer.body[1..4]));
        assert_eq!(named.header("content-location"), "");
    }
    let probe = served.get("/ipfs/bafkqaaa?format=raw", &[]).await;
    assert_eq!((probe.status, probe.body.len()), (200, 0));
    assert_eq!(served.get("/ipfs/bafkqaaa?format=tar", &[]).await.status, 406);
    assert_eq!(served.get("/ipfs/bafkqaaa", &["--header", "Accept: application/x-tar"]).await.status, 406);
}

/// Parses the CAR in an answer with an independent reader.
fn read(answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.exit), (200, 0), "{}", answer.text());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &answer.body).unwrap();
    read_car(file.path()).unwrap()
}

fn cids(car: &Value) -> Vec<Cid> {
    let blocks = car["blocks"].as_array().unwrap();
    blocks.iter().map(|block| block["cid"].as_str().unwrap().parse().unwrap()).collect()
}

async fn car(served: &Served, path: &str, parameters: &str) -> Value {
    let answer = served.get(&format!("/ipfs/{path}?format=car{parameters}"), &[]).await;
    assert!(
        answer.header("content-type").starts_with("application/vnd.ipld.car; version=1; order=dfs; dups=")
    );
    assert_eq!(answer.header("accept-ranges"), "none");
    tokio::task::spawn_blocking(move || read(&answer)).await.unwrap()
}

fn ready() -> Option<()> {
    curl()?;
    lab::or_skip("CARs read by @ipld/car", car_reader_available())
}

/// Returns a root and all blocks below it in depth-first order.
fn below(served: &Served, root: Cid) -> Vec<Cid> {
    let block = served.node.store().get(&root).unwrap().unwrap();
    let links = ipfs::dag::links(&root, &block).unwrap();
    std::iter::once(root).chain(links.into_iter().flat_map(|link| below(served, link.cid))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_car_has_the_blocks_along_the_path_and_all_blocks_below_its_end() {
    let Some(()) = ready() else { return };
    let served = serve(LIMIT).await;
    let file = noise(600_000);
    let root = served.add_directory(&[("sub/a.bin", &file), ("sub/b.txt", b"b"), ("c.txt", b"c")]).await;
    let whole = car(&served, &root.to_string(), "").await;
    assert_eq!(
        (whole["version"].as_u64(), &whole["roots"]),
        (Some(1), &serde_json::json!([root.to_string()]))
    );
    let all = below(&served, root);
    assert_eq!(cids(&whole), all);
    // The root, c.txt, sub, a.bin with three leaves, and b.txt.
    assert_eq!(all.len(), 8);
    let path = format!("{root}/sub/a.bin");
    let part = cids(&car(&served, &path, "").await);
    let file = ipfs::dag::links(&all[2], &served.node.store().get(&all[2]).unwrap().unwrap()).unwrap()[0].cid;
    assert_eq!(part, [&[root, all[2]][..], &below(&served, file)].concat());
    assert_eq!(cids(&car(&served, &path, "&dag-scope=block").await), [root, all[2], file]);
    assert_eq!(cids(&car(&served, &path, "&dag-scope=entity").await), part);
    assert_eq!(cids(&car(&served, &format!("{root}/sub"), "&dag-scope=entity").await), [root, all[2]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_car_of_a_range_has_the_blocks_of_that_range() {
    let Some(()) = ready() else { return };
    let served = serve(LIMIT).await;
    const LEAF: usize = 262_144;
    // The root has two nodes below it, with 174 and with 26 leaves.
    let root = served.add(&noise(200 * LEAF), Format::V1).await;
    let all = below(&served, root);
    let (leaf, second) = (|number: usize| all[2 + number + usize::from(number >= 174)], all[176]);
    let root_text = root.to_string();
    let range = async |range: &str| cids(&car(&served, &root_text, &format!("&entity-bytes={range}")).await);
    assert_eq!(range("0:0").await, [root, all[1], leaf(0)]);
    assert_eq!(range(&format!("{}:{}", 3 * LEAF - 1, 3 * LEAF)).await, [root, all[1], leaf(2), leaf(3)]);
    let over = [root, all[1], leaf(173), second, leaf(174)];
    assert_eq!(range(&format!("{}:{}", 174 * LEAF - 1, 174 * LEAF)).await, over);
    assert_eq!(range("-1:*").await, [root, second, leaf(199)]);
    assert_eq!(range("0:*").await, all);
    // For a range beyond the end, the root alone proves that the file is shorter.
    assert_eq!(range(&format!("{}:*", 200 * LEAF)).await, [root]);
    let directory = served.add_directory(&[("a", b"a")]).await;
    assert_eq!(cids(&car(&served, &directory.to_string(), "&entity-bytes=0:5").await), [directory]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_sent_once_or_on_request_once_for_each_link() {
    let Some(()) = ready() else { return };
    let served = serve(LIMIT).await;
    let root = served.add(&vec![0; 262_144 * 5], Format::V1).await;
    let path = root.to_string();
    for scope in ["all", "entity"] {
        let once = car(&served, &path, &format!("&dag-scope={scope}")).await;
        assert_eq!(cids(&once).len(), 2, "{scope}");
        let often = car(&served, &path, &format!("&dag-scope={scope}&car-dups=y")).await;
        assert_eq!(cids(&often), below(&served, root), "{scope}");
    }
    let mut tags = Vec::new();
    for parameters in
        ["", "&car-dups=y", "&dag-scope=block", "&dag-scope=entity", "&entity-bytes=0:1", "&entity-bytes=0:2"]
    {
        let head = served.head(&format!("/ipfs/{root}?format=car{parameters}"), &[]).await;
        tags.push(head.header("etag").to_owned());
    }
    assert_eq!(tags.iter().collect::<std::collections::BTreeSet<_>>().len(), tags.len(), "{tags:?}");
    let known = format!("If-None-Match: {}", tags[0]);
    let answer = served.get(&format!("/ipfs/{root}?format=car"), &["--header", &known]).await;
    assert_eq!(answer.status, 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_contained_in_their_cid_are_not_sent() {
    let Some(()) = ready() else { return };
    let served = serve(LIMIT).await;
    let probe = car(&served, "bafkqaaa", "").await;
    assert_eq!((cids(&probe).len(), &probe["roots"]), (0, &serde_json::json!(["bafkqaaa"])));
    assert_eq!(served.head("/ipfs/bafkqaaa?format=car", &[]).await.status, 200);
}
