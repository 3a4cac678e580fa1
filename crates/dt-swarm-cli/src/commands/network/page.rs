//! The graph of robots as an HTML page with a drawing.
//!
//! The page needs no other file and contains no script. Every text of another host is cleaned and escaped. A policy in
//! the page forbids browsers to load anything or to run scripts.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::graph::{BY_RECORDS, Graph, IPFS, Link, Node};
use crate::html::{Page, escaped};
use crate::text::{count, date};
use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fmt::Write as _;

/// Maximum number of robots in the drawing. The table below it has all of them.
const MAX_DRAWN: usize = 120;
/// Colours of channels, used in turn. They differ also for most people who do not see all colours.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
/// Colour of IPFS connections.
const IPFS_COLOUR: &str = "#999999";
/// Distance, in pixels, between the middles of links between the same two robots, and the maximum number of such distances
/// on one side.
const BEND: f64 = 8.0;
const MAX_BENDS: usize = 8;
/// The page, but for its body.
pub(super) const PAGE: Page = Page {
    command: "network",
    title: "Network of robots",
    style: "body { max-width: 60em; }\nsvg { width: 100%; height: auto; }\n\
            svg text { font-size: 13px; text-anchor: middle; fill: currentColor; }\n\
            .links { overflow-x: auto; }\n",
    script: None,
};

/// Width and height of the drawing, and the radius of the circle of robots.
struct Canvas {
    size: f64,
    radius: f64,
}

/// Returns the page.
pub(super) fn page(graph: &Graph) -> String {
    let mut body = String::new();
    let daemon = escaped(&graph.daemon.peer.show());
    let robots = count(graph.robots.len(), "robot");
    // Writing to a String does not fail.
    let _ = writeln!(body, "<p>As {daemon} knows it at {}: {robots}.</p>", date(graph.time.0));
    if graph.is_by_records {
        let _ = writeln!(body, "<p>The robots are {BY_RECORDS}.</p>");
    }
    let colours = colours(&graph.links);
    body += &drawing(graph, &colours);
    body += &legend(&colours);
    body += "<h2>Links</h2>\n<div class=\"links\"><table><tr><th>Robot</th><th>hears</th><th>on</th><th>from</th><th></th></tr>\n";
    for link in &graph.links {
        body += &row(link);
    }
    PAGE.with_body(&(body + "</table></div>\n"))
}

/// Gives each channel a colour.
fn colours(links: &[Link]) -> BTreeMap<String, &'static str> {
    let mut colours = BTreeMap::new();
    for link in links {
        let next = COLOURS[colours.len() % COLOURS.len()];
        let colour = if link.channel == IPFS { IPFS_COLOUR } else { next };
        colours.entry(link.show_channel()).or_insert(colour);
    }
    colours
}

/// Draws the daemon that was asked in the middle of a circle, and the other robots on the circle.
fn drawing(graph: &Graph, colours: &BTreeMap<String, &'static str>) -> String {
    let (centre, around): (Vec<_>, Vec<_>) = graph.robots.iter().partition(|robot| robot.is_daemon);
    let drawn = &around[..around.len().min(MAX_DRAWN)];
    let canvas = Canvas::of(drawn.len());
    let mut places: BTreeMap<Node, (f64, f64)> = BTreeMap::new();
    for robot in centre {
        places.insert(node(robot), canvas.centre());
    }
    for (number, robot) in drawn.iter().enumerate() {
        places.insert(node(robot), canvas.on_circle(number, drawn.len()));
    }
    let size = canvas.size;
    let mut svg = format!("<svg viewBox=\"0 0 {size:.0} {size:.0}\" role=\"img\">\n");
    let mut drawn_between: BTreeMap<(&Node, &Node), usize> = BTreeMap::new();
    for link in &graph.links {
        if let (Some(one), Some(other)) = (places.get(&link.hearer), places.get(&link.heard)) {
            let (hearer, heard) = (&link.hearer, &link.heard);
            let number = drawn_between.entry((hearer.min(heard), hearer.max(heard))).or_default();
            // Both directions bend to the same side of the same line.
            let bend = if hearer <= heard { bend(*number) } else { -bend(*number) };
            svg += &line(link, (*one, *other), bend, colours);
            *number += 1;
        }
    }
    for (node, place) in &places {
        svg += &circle(node, *place);
    }
    svg += "</svg>\n";
    if drawn.len() < around.len() {
        // Writing to a String does not fail.
        let _ = writeln!(svg, "<p>{} not drawn.</p>", count(around.len() - drawn.len(), "more robot"));
    }
    svg
}

fn node(robot: &crate::output::robot::RobotEntry) -> Node {
    Node { peer: robot.peer, hostname: robot.hostname.clone() }
}

impl Canvas {
    /// Returns a canvas on which the names of this number of robots hardly overlap.
    fn of(robots: usize) -> Self {
        let radius = (robots as f64 * 9.0).max(180.0);
        Self { size: 2.0 * radius + 240.0, radius }
    }

    fn centre(&self) -> (f64, f64) {
        (self.size / 2.0, self.size / 2.0)
    }

    fn on_circle(&self, number: usize, of: usize) -> (f64, f64) {
        let angle = TAU * number as f64 / of.max(1) as f64;
        let (x, y) = self.centre();
        (x + self.radius * angle.sin(), y - self.radius * angle.cos())
    }
}

/// Returns how far a link bends away from the straight line, so that links between the same two robots do not cover each
/// other: 0, 1, -1, 2, -2, … times the distance.
fn bend(number: usize) -> f64 {
    let step = number.div_ceil(2).min(MAX_BENDS) as f64 * BEND;
    if number % 2 == 1 { step } else { -step }
}

fn line(
    link: &Link,
    ((x1, y1), (x2, y2)): ((f64, f64), (f64, f64)),
    bend: f64,
    colours: &BTreeMap<String, &'static str>,
) -> String {
    let (along_x, along_y) = (x2 - x1, y2 - y1);
    let length = along_x.hypot(along_y).max(1.0);
    // A curve passes halfway between its control point and the middle of its ends.
    let control_x = (x1 + x2) / 2.0 - along_y / length * 2.0 * bend;
    let control_y = (y1 + y2) / 2.0 + along_x / length * 2.0 * bend;
    let channel = link.show_channel();
    let colour = colours.get(&channel).copied().unwrap_or(IPFS_COLOUR);
    let title = format!("{} hears {} on {channel}", link.hearer.show(), link.heard.show());
    format!(
        "<path d=\"M {x1:.0} {y1:.0} Q {control_x:.0} {control_y:.0} {x2:.0} {y2:.0}\" fill=\"none\" \
         stroke=\"{colour}\" stroke-width=\"1.5\"><title>{}</title></path>\n",
        escaped(&title)
    )
}

fn circle(node: &Node, (x, y): (f64, f64)) -> String {
    let below = y + 22.0;
    format!(
        "<circle cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"7\" fill=\"#777\"/><text x=\"{x:.0}\" y=\"{below:.0}\">{}</text>\n",
        escaped(&node.show())
    )
}

fn legend(colours: &BTreeMap<String, &'static str>) -> String {
    let entry = |(channel, colour): (&String, &&str)| {
        format!("<span style=\"color:{colour}\">&#9632;</span> {} ", escaped(channel))
    };
    format!("<p>{}</p>\n", colours.iter().map(entry).collect::<String>())
}

fn row(link: &Link) -> String {
    let address = crate::text::clean(link.address.as_deref().unwrap_or_default(), 100);
    let cells = [link.hearer.show(), link.heard.show(), link.show_channel(), address, link.show_age()];
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    format!("<tr>{cells}</tr>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::network::graph::tests::graph;

    #[test]
    fn the_page_has_all_robots_and_links_and_needs_nothing_else() {
        let page = page(&graph("duckie2"));
        assert!(page.starts_with(&PAGE.start()));
        assert_eq!(page.matches("<circle ").count(), 4, "{page}");
        assert_eq!(page.matches("<path ").count(), 4);
        assert_eq!(page.matches("<tr><td>").count(), 4);
        for foreign in ["http:", "https:", "src=", "href=", "url(", "<script", "@import"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn links_between_the_same_robots_do_not_cover_each_other() {
        let page = page(&graph("duckie2"));
        let drawn: Vec<&str> = page.lines().filter(|line| line.starts_with("<path ")).collect();
        let shapes: std::collections::BTreeSet<&str> =
            drawn.iter().filter_map(|line| line.split('"').nth(1)).collect();
        assert_eq!((drawn.len(), shapes.len()), (4, 4), "{page}");
    }

    #[test]
    fn texts_of_other_hosts_cannot_leave_their_place() {
        let page = page(&graph("</title><script>alert(1)</script>\"'&\u{1b}"));
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
        assert!(page.contains("&lt;/title&gt;&lt;script&gt;"), "{page}");
    }
}
