//! Valid and invalid requests.
use http::header::HeaderName;
use proptest::prelude::*;

use super::*;

const CID: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> RequestHead {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(name.parse::<HeaderName>().unwrap(), *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn read(target: &str, headers: &[(&str, &str)]) -> Result<Request, u16> {
    Request::read(&head("GET", target, headers)).map_err(|refusal| refusal.status.as_u16())
}

fn at(rest: &str) -> String {
    format!("/ipfs/{CID}{rest}")
}

#[test]
fn a_path_consists_of_a_cid_and_names() {
    let request = read(&at("/a%20b/%C3%BC/"), &[]).unwrap();
    assert_eq!(request.target.cid.to_string(), CID);
    assert_eq!(request.target.names, ["a b", "ü"]);
    assert!(request.target.is_directory);
    assert_eq!(request.target.to_string(), at("/a%20b/%C3%BC"));
    let root = read(&at(""), &[]).unwrap().target;
    assert!(root.names.is_empty() && !root.is_directory);
    assert!(read(&at("/"), &[]).unwrap().target.is_directory);
    assert_eq!(
        read("/ipfs/QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH", &[]).unwrap().target.cid.codec(),
        0x70
    );
}

#[test]
fn an_invalid_path_is_refused() {
    for (target, status) in [
        ("/", 404),
        ("/favicon.ico", 404),
        ("/ipfs", 404),
        ("/ipfs/", 400),
        ("/ipfs/Qmwrong", 400),
        ("/ipfs/%2Fipfs%2Fbafkqaaa", 400),
        ("/ipns/example.org/", 501),
        ("/ipfs/bafkqaaa/a//b", 400),
        ("/ipfs/bafkqaaa//", 400),
        ("/ipfs/bafkqaaa/a%2Fb", 400),
        ("/ipfs/bafkqaaa/a%00b", 400),
        ("/ipfs/bafkqaaa/%ff", 400),
    ] {
        assert_eq!(read(target, &[]).map(drop), Err(status), "{target}");
    }
    assert_eq!(read(&at(&"/a".repeat(65)), &[]).map(drop), Err(400));
    assert_eq!(read(&at(&format!("/{}", "a".repeat(256))), &[]).map(drop), Err(400));
}

#[test]
fn only_a_head_request_sets_is_head() {
    assert!(Request::read(&head("HEAD", &at(""), &[])).unwrap().is_head);
    assert!(!Request::read(&head("GET", &at(""), &[])).unwrap().is_head);
}

#[test]
fn a_service_worker_is_accepted_only_below_its_own_cid() {
    let worker = [("service-worker", "script")];
    assert_eq!(read(&at(""), &worker).map(drop), Err(400));
    assert!(read(&at("/"), &worker).is_ok() && read(&at("/sw.js"), &worker).is_ok());
}

fn format_of(query: &str, accept: &str) -> Result<Format, u16> {
    read(&at(query), &[("accept", accept)]).map(|request| request.format)
}

const ALL: Format = Format::Car { scope: Scope::All, dups: false };

#[test]
fn the_format_is_the_supported_one_with_the_highest_weight() {
    for (accept, format) in [
        ("*/*", Format::Plain),
        ("text/html,application/xhtml+xml,image/avif,*/*;q=0.8", Format::Plain),
        ("application/vnd.ipld.raw", Format::Raw),
        ("application/vnd.ipld.raw, */*", Format::Raw),
        ("*/*, application/vnd.ipld.car", ALL),
        ("application/vnd.ipld.car;q=0.5, application/vnd.ipld.raw;q=0.8", Format::Raw),
        ("application/vnd.ipld.raw;q=0, text/html", Format::Plain),
        (
            "APPLICATION/VND.IPLD.CAR; version=1; order=dfs; dups=y",
            Format::Car { scope: Scope::All, dups: true },
        ),
        ("application/vnd.ipld.car;version=\"1\";order=unk", ALL),
        ("application/vnd.ipld.car;version=2, application/vnd.ipld.car;dups=n;q=0.5", ALL),
        ("application/vnd.ipld.dag-cbor", Format::Codec(Codec::DagCbor)),
        ("application/json", Format::Plain),
        ("application/x-tar, application/vnd.ipld.raw;q=0.1", Format::Raw),
        ("", Format::Plain),
    ] {
        assert_eq!(format_of("", accept), Ok(format), "{accept}");
    }
    for accept in [
        "application/x-tar",
        "application/vnd.ipfs.ipns-record",
        "application/vnd.ipld.car;version=2",
        "application/vnd.ipld.car;order=bfs",
        "application/vnd.ipld.car;dups=maybe",
        "application/vnd.ipld.unheard",
    ] {
        assert_eq!(format_of("", accept), Err(406), "{accept}");
    }
}

#[test]
fn the_parameter_takes_precedence_over_the_header() {
    assert_eq!(format_of("?format=raw", "application/vnd.ipld.car"), Ok(Format::Raw));
    assert_eq!(
        format_of("?format=car&car-dups=y", "text/html"),
        Ok(Format::Car { scope: Scope::All, dups: true })
    );
    let dups = Ok(Format::Car { scope: Scope::All, dups: true });
    assert_eq!(format_of("?format=car", "application/vnd.ipld.car;dups=y"), dups);
    assert_eq!(format_of("?format=car&car-dups=n", "application/vnd.ipld.car;dups=y"), Ok(ALL));
    for (query, status) in [
        ("?format=tar", 406),
        ("?format=ipns-record", 406),
        ("?format=zip", 400),
        ("?format=car&car-version=2", 400),
        ("?format=car&car-order=bfs", 400),
        ("?format=car&car-dups=x", 400),
        ("?format=car&dag-scope=half", 400),
        ("?format=car&entity-bytes=9:1", 400),
        ("?format=%ff", 400),
    ] {
        assert_eq!(format_of(query, "*/*"), Err(status), "{query}");
    }
}

#[test]
fn the_scope_of_a_car_is_parsed() {
    let scope = |query: &str| match format_of(&format!("?format=car&{query}"), "*/*") {
        Ok(Format::Car { scope, .. }) => scope,
        other => panic!("{query}: {other:?}"),
    };
    assert_eq!(scope("dag-scope=block"), Scope::Block);
    assert_eq!(scope("dag-scope=entity"), Scope::Entity(None));
    assert_eq!(scope("dag-scope=all"), Scope::All);
    let bytes = EntityBytes { from: Edge::FromStart(0), to: Some(Edge::FromStart(9)) };
    assert_eq!(scope("entity-bytes=0:9"), Scope::Entity(Some(bytes)));
    assert_eq!(scope("dag-scope=entity&entity-bytes=0:9"), Scope::Entity(Some(bytes)));
}

#[test]
fn a_format_chosen_by_a_header_is_named_in_the_content_location() {
    let location = |query: &str, accept| read(&at(query), &[("accept", accept)]).unwrap().location;
    assert_eq!(location("", "application/vnd.ipld.raw"), Some(at("?format=raw")));
    assert_eq!(
        location("?dag-scope=block", "application/vnd.ipld.car"),
        Some(at("?format=car&dag-scope=block"))
    );
    assert_eq!(location("?format=raw", "application/vnd.ipld.raw"), None);
    assert_eq!(location("", "*/*"), None);
}

#[test]
fn parameters_are_decoded() {
    let query =
        read(&at("?filename=a+b%2Fc.txt&download=true&other=%ff&filename=second"), &[]).unwrap().query;
    assert_eq!((query.filename.as_deref(), query.download), (Some("a b/c.txt"), true));
    assert_eq!(read(&at(&format!("?filename={}", "a".repeat(256))), &[]).map(drop), Err(400));
}

#[test]
fn ranges_are_parsed_as_http_specifies_them() {
    let within = |header: &str, size: u64| ByteRange::read(header).map(|range| range.within(size));
    assert_eq!(within("bytes=0-0", 10), Some(Some(0..1)));
    assert_eq!(within("bytes=5-", 10), Some(Some(5..10)));
    assert_eq!(within("Bytes = 5-100", 10), Some(Some(5..10)));
    assert_eq!(within("bytes=-3", 10), Some(Some(7..10)));
    assert_eq!(within("bytes=-30", 10), Some(Some(0..10)));
    for nothing in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
        assert_eq!(within(nothing, 10), Some(None), "{nothing}");
    }
    assert_eq!(within("bytes=0-", 0), Some(None));
    for aside in
        ["bytes=1-0", "bytes=0-1,3-4", "lines=0-1", "bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2", "x"]
    {
        assert_eq!(within(aside, 10), None, "{aside}");
    }
}

#[test]
fn ranges_of_entities_are_parsed_as_the_gateway_specifies_them() {
    let within = |text: &str, size: u64| EntityBytes::read(text).map(|bytes| bytes.within(size));
    assert_eq!(within("0:*", 10), Some(0..10));
    assert_eq!(within("-4:*", 10), Some(6..10));
    assert_eq!(within("-40:*", 10), Some(0..10));
    assert_eq!(within("2:-3", 10), Some(2..8));
    assert_eq!(within("0:3", 10), Some(0..4));
    assert_eq!(within("-3:-2", 10), Some(7..9));
    for (nothing, at) in [("10:*", 10), ("12:15", 10), ("5:-9", 5), ("0:-11", 0)] {
        assert_eq!(within(nothing, 10), Some(at..at), "{nothing}");
    }
    for wrong in ["", ":", "0", "*:5", "5:4", "-2:-3", "a:b", "0:", "--1:*", "0:18446744073709551616"] {
        assert_eq!(EntityBytes::read(wrong), None, "{wrong}");
    }
}

#[test]
fn entity_tags_are_compared_weakly() {
    let known = |values: &[&str], tag: &str| Known::read(values.iter().copied()).unwrap().has(tag);
    assert!(known(&["\"a\""], "\"a\"") && known(&["W/\"a\""], "\"a\"") && known(&["\"b\", \"a\""], "\"a\""));
    assert!(known(&["\"b\"", "\"a\""], "\"a\"") && known(&["*"], "\"a\""));
    assert!(!known(&["\"b\", a, \"aa\""], "\"a\""));
    assert_eq!(Known::read(std::iter::empty()), None);
    let cached = |value| read(&at(""), &[("cache-control", value)]).unwrap().only_if_cached;
    assert!(cached("only-if-cached") && cached("no-transform, Only-If-Cached") && !cached("no-cache"));
}

proptest! {
    #[test]
    fn a_name_is_the_same_after_encoding_and_parsing(name in "[^/\0]{1,60}") {
        let target = Target::read(&at(&format!("/{}", encode(&name)))).unwrap();
        prop_assert_eq!(&target.names, &[name]);
        prop_assert_eq!(Target::read(&target.to_string()).unwrap(), target);
    }

    #[test]
    fn ranges_stay_within_the_file(text in "bytes=[0-9]{0,21}-[0-9]{0,21}", size in any::<u64>()) {
        if let Some(Some(range)) = ByteRange::read(&text).map(|range| range.within(size)) {
            prop_assert!(range.start < range.end && range.end <= size);
        }
    }

    #[test]
    fn ranges_of_entities_stay_within_the_file(
        text in "(-?[0-9]{1,20}):(-?[0-9]{1,20}|\\*)",
        size in any::<u64>(),
    ) {
        if let Some(range) = EntityBytes::read(&text).map(|bytes| bytes.within(size)) {
            prop_assert!(range.start <= range.end && range.end <= size);
        }
    }

    #[test]
    fn no_accept_header_causes_a_panic(text in "[ -~]{0,80}") {
        let _ = format_of("", &text);
    }
}
