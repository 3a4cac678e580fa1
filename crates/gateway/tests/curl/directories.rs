//! Directories: their paths and lists, and missing entries.

use std::time::Duration;

use crate::support::{curl, serve};

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_listed_at_the_path_with_a_slash() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    let files: [(&str, &[u8]); 3] = [("a <b>.txt", b"one"), ("sub/two.txt", b"two"), ("ü.txt", b"three")];
    let root = served.add_directory(&files).await;
    let redirect = served.get(&format!("/ipfs/{root}?filename=x"), &[]).await;
    assert_eq!(redirect.status, 301);
    assert_eq!(redirect.header("location"), format!("/ipfs/{root}/?filename=x"));
    let list = served.get(&format!("/ipfs/{root}"), &["--location"]).await;
    assert_eq!(list.status, 200);
    let list = served.get(&format!("/ipfs/{root}/"), &[]).await;
    assert_eq!((list.status, list.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(list.header("etag"), format!("\"DirIndex-1_CID-{root}\""));
    assert!(list.header("cache-control").contains("max-age=604800"));
    let page = list.text();
    assert!(page.contains("a &lt;b&gt;.txt") && !page.contains("<b>"), "{page}");
    assert!(page.contains(&format!("href=\"/ipfs/{root}/%C3%BC.txt\"")), "{page}");
    // Every link of the page works.
    let links: Vec<&str> = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links.len(), 3);
    for link in links {
        let answer = served.get(link, &[]).await;
        assert!(matches!(answer.status, 200 | 301), "{link}: {}", answer.status);
    }
    let tag = format!("If-None-Match: {}", list.header("etag"));
    assert_eq!(served.get(&format!("/ipfs/{root}/"), &["--header", &tag]).await.status, 304);
    assert_eq!(served.head(&format!("/ipfs/{root}/"), &[]).await.status, 200);
    let below = served.get(&format!("/ipfs/{root}/sub/"), &[]).await;
    assert!(below.text().contains("<a href=\"../\">"), "{}", below.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_page_is_served_for_its_directory() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    let files: [(&str, &[u8]); 2] = [("site/index.html", b"<h1>hi"), ("site/a.css", b"h1{}")];
    let root = served.add_directory(&files).await;
    let answer = served.get(&format!("/ipfs/{root}/site/"), &[]).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "<h1>hi"));
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "public, max-age=29030400, immutable");
    assert_eq!(served.get(&format!("/ipfs/{root}/site"), &[]).await.status, 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_shared_content_runs_in_the_origin_of_the_gateway() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    let script: &[u8] = b"<script>alert(1)</script>";
    let files = [("a.html", script), ("a.svg", script), ("site/index.html", script)];
    let root = served.add_directory(&files).await;
    let expected = [("content-security-policy", "sandbox"), ("cross-origin-resource-policy", "same-origin")];
    let paths = ["a.html", "a.svg", "site/", "site", "missing", "?format=raw", "a.html?format=tar"];
    for path in paths {
        let answer = served.get(&format!("/ipfs/{root}/{path}"), &[]).await;
        for (name, value) in expected.into_iter().chain([("referrer-policy", "no-referrer")]) {
            assert_eq!(answer.header(name), value, "{path}: {}", answer.status);
        }
    }
    // The list is written by this server, so it may additionally download files.
    let list = served.get(&format!("/ipfs/{root}/"), &[]).await;
    assert!(
        list.header("content-security-policy").starts_with("sandbox allow-downloads; default-src 'none'")
    );
    for headers in [["--header", "Host: evil.example"], ["--header", "Origin: http://evil.example"]] {
        let answer = served.get(&format!("/ipfs/{root}/a.html"), &headers).await;
        assert_eq!((answer.status, answer.header("content-security-policy")), (403, "sandbox"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_content_is_answered_with_an_explanation() {
    let Some(()) = curl() else { return };
    let served = serve(LIMIT).await;
    let root = served.add_directory(&[("a.txt", b"a")]).await;
    for (path, message) in [("nothing", "no \"nothing\""), ("a.txt/more", "is a file"), ("..", "no \"..\"")] {
        let answer = served.get(&format!("/ipfs/{root}/{path}"), &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains(message), "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let wrong = served.get("/ipfs/QmWrong", &[]).await;
    assert_eq!((wrong.status, wrong.text().trim()), (400, "the text after /ipfs/ is not a valid CID"));
    assert_eq!(served.get("/ipns/example.org", &[]).await.status, 501);
    assert_eq!(served.get("/", &[]).await.status, 404);
    let posted = served.get(&format!("/ipfs/{root}/"), &["--data", "x"]).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD"));
    let rebound = served.get(&format!("/ipfs/{root}/"), &["--header", "Host: evil.example"]).await;
    assert_eq!(rebound.status, 403);
    assert_eq!(served.get(&format!("/ipfs/{root}/"), &["--header", "Host: duckie.local"]).await.status, 200);
}
