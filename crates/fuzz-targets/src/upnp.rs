//! Target: the texts of a router that offers UPnP.

use ipfs::upnp::messages::{body, location, service};
use std::net::Ipv4Addr;

const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

/// Checks that no other host is asked, and that a path cannot end the first line of a request.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let is_path = |path: &str| path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if let Some(place) = location(text, ROUTER) {
        assert!(*place.at.ip() == ROUTER && is_path(&place.path), "{place:?}");
    }
    for text in [Some(text), body(text).ok()].into_iter().flatten() {
        if let Some(service) = service(text) {
            assert!(is_path(&service.path), "{service:?}");
        }
    }
    if let Err(reason) = body(text) {
        assert!(reason.chars().count() < 32, "{reason}");
    }
}

/// Returns an answer to a search, a description, and a refusal.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "HTTP/1.1 200 OK\r\nST: urn:x\r\nLOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>\
         <controlURL>/ctl/IPConn</controlURL></service>",
        "HTTP/1.1 500 Internal Server Error\r\n\r\n<errorCode>718</errorCode>",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
