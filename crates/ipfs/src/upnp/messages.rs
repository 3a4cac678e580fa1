//! The texts of UPnP: the search for a router, the description of a router, and its answers. They come from any host on
//! the network, so only the few parts that are needed are read, and nothing is assumed about the rest.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{Ipv4Addr, SocketAddrV4};

/// Maximum length of a path on a router, in bytes.
const MAX_PATH: usize = 512;
/// Services of a router that forward ports, in the order of preference.
const SERVICES: [&str; 3] = ["WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:1"];

/// The search for a router, which is sent by multicast.
pub(super) const SEARCH: &str = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\
     MAN: \"ssdp:discover\"\r\nMX: 1\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n";

/// A place on a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Address of the HTTP server of the router.
    pub at: SocketAddrV4,
    /// Path, which begins with `/`.
    pub path: String,
}

/// A service of a router that forwards ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Type of the service, such as `WANIPConnection:1`.
    pub kind: &'static str,
    /// Path for its commands.
    pub path: String,
}

/// Returns the place of the description in the answer of a router to `SEARCH`. The router has to have the address from
/// which the answer came: no other host is asked.
pub fn location(answer: &str, from: Ipv4Addr) -> Option<Place> {
    let mut lines = answer.lines();
    let status = lines.next()?;
    if !status.starts_with("HTTP/1.") || !status.contains(" 200") {
        return None;
    }
    let value = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("location").then_some(value.trim())
    })?;
    let rest = value.strip_prefix("http://")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let at: SocketAddrV4 = host.parse().or_else(|_| format!("{host}:80").parse()).ok()?;
    let path = if path.is_empty() { "/" } else { path };
    (*at.ip() == from && is_path(path)).then(|| Place { at, path: path.to_owned() })
}

/// Returns the service that forwards ports in the description of a router.
pub fn service(description: &str) -> Option<Service> {
    SERVICES.into_iter().find_map(|kind| {
        let named = format!("urn:schemas-upnp-org:service:{kind}");
        let (_, rest) = description.split_once(&format!("<serviceType>{named}</serviceType>"))?;
        let (of_service, _) = rest.split_once("</service>")?;
        let path = element(of_service, "controlURL")?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        is_path(&path).then_some(Service { kind, path })
    })
}

/// Returns the text of an element, up to the next tag.
pub fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once('<')?;
    Some(value.trim())
}

/// Returns whether a text may be the path of a request: nothing that ends the first line of a request.
fn is_path(path: &str) -> bool {
    path.len() <= MAX_PATH && path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns a command for a service of a router.
pub(super) fn command(kind: &str, action: &str, arguments: &[(&str, &str)]) -> String {
    let arguments: String =
        arguments.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:{action} \
         xmlns:u=\"urn:schemas-upnp-org:service:{kind}\">{arguments}</u:{action}></s:Body></s:Envelope>"
    )
}

/// Returns the body of an HTTP answer with the status 200. Otherwise returns the code of the error in its body, or its
/// status.
pub fn body(answer: &str) -> Result<&str, String> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.lines().next().and_then(|line| line.split_whitespace().nth(1)).unwrap_or("no status");
    let code = element(body, "errorCode").filter(|code| code.len() <= 8);
    match (status, code) {
        ("200", _) => Ok(body),
        (_, Some(code)) => Err(format!("error {code}")),
        (status, None) => Err(format!("status {}", status.chars().take(16).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

    fn answer(location: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nST: urn:x\r\nLocation: {location}\r\nSERVER: lab\r\n\r\n")
    }

    #[test]
    fn the_description_is_read_only_from_the_router_that_answered() {
        let place = location(&answer("http://192.168.1.1:5000/rootDesc.xml"), ROUTER).unwrap();
        assert_eq!(
            (place.at.to_string().as_str(), place.path.as_str()),
            ("192.168.1.1:5000", "/rootDesc.xml")
        );
        assert_eq!(location(&answer("http://192.168.1.1"), ROUTER).unwrap().at.port(), 80);
        for other in [
            "http://192.168.1.9:5000/rootDesc.xml",
            "http://router.example/rootDesc.xml",
            "https://192.168.1.1/rootDesc.xml",
            "http://192.168.1.1:5000/a b",
            "http://192.168.1.1@203.0.113.7/",
        ] {
            assert_eq!(location(&answer(other), ROUTER), None, "{other}");
        }
        assert_eq!(location("HTTP/1.1 404 Not Found\r\nLocation: http://192.168.1.1/\r\n", ROUTER), None);
    }

    #[test]
    fn the_best_service_of_a_description_is_found() {
        let of = |kind: &str, path: &str| {
            format!(
                "<service><serviceType>urn:schemas-upnp-org:service:{kind}</serviceType><serviceId>x</serviceId>\
                 <controlURL>{path}</controlURL></service>"
            )
        };
        let both = of("WANPPPConnection:1", "/ppp") + &of("WANIPConnection:1", "ctl/IPConn");
        let found = service(&both).unwrap();
        assert_eq!((found.kind, found.path.as_str()), ("WANIPConnection:1", "/ctl/IPConn"));
        assert_eq!(service(&of("WANPPPConnection:1", "/ppp")).unwrap().path, "/ppp");
        assert_eq!(service(&of("WANIPConnection:1", "/a\r\nHost: b")), None);
        assert_eq!(service(&of("Layer3Forwarding:1", "/l3")), None);
    }

    #[test]
    fn an_error_of_a_router_is_told_by_its_code() {
        assert_eq!(body("HTTP/1.1 200 OK\r\nX: y\r\n\r\n<a>1</a>"), Ok("<a>1</a>"));
        let refused = "HTTP/1.1 500 Internal Server Error\r\n\r\n<errorCode>718</errorCode>";
        assert_eq!(body(refused), Err("error 718".to_owned()));
        assert_eq!(body("HTTP/1.0 404 Not Found\r\n\r\n"), Err("status 404".to_owned()));
        assert_eq!(body(""), Err("status no status".to_owned()));
    }
}
