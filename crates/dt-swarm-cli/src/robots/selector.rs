//! Names of robots on the command line: `NAME`, `NAME.local`, `NAME~END` or a peer ID.
//!
//! Any robot may state any name. `END` is the end of the peer ID, and tells robots of the same name apart.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use discovery::protocol::{Place, Robot};
use std::collections::BTreeMap;

/// Character between a name and the end of a peer ID.
const TILDE: char = '~';
/// Suffix of names that multicast DNS resolves. With and without it, a name means the same robot.
const LOCAL: &str = ".local";
/// Number of characters at the end of a peer ID that follow a shared name, unless more are needed.
const END_CHARACTERS: usize = 6;
/// Minimum similarity, from 0 to 1, of a name that is suggested for one that is not known. Names that differ in one
/// character of six have about 0.85.
const MIN_SIMILARITY: f64 = 0.85;
/// Maximum number of robots whose names are compared for a suggestion.
const MAX_COMPARED: usize = 10_000;
/// Maximum length of names that are compared for a suggestion, in bytes. No DNS label is longer.
const MAX_COMPARED_BYTES: usize = 64;

/// A robot as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    text: String,
    name: String,
    end: Option<String>,
}

/// The robots that a selector means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice<'a> {
    None,
    One(&'a Robot),
    Several(Vec<&'a Robot>),
}

impl Selector {
    /// Reads a name from the command line.
    pub(crate) fn new(text: &str) -> Self {
        let (name, end) = match text.rsplit_once(TILDE) {
            Some((name, end)) if !end.is_empty() => (name, Some(end.to_owned())),
            _ => (text, None),
        };
        Self { text: text.to_owned(), name: normal(name), end }
    }

    /// Returns the text from the command line.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the name without `.local` and without the end of a peer ID.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the end of the peer ID, if the command line has one.
    pub(crate) fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }

    /// Returns whether the selector means the robot with this host name and peer ID.
    pub(crate) fn means(&self, hostname: Option<&str>, peer: dcache::PeerId) -> bool {
        let peer = peer.to_string();
        let has_end = self.end.as_ref().is_none_or(|end| peer.ends_with(end.as_str()));
        peer == self.text || has_end && hostname.is_some_and(|name| normal(name) == self.name)
    }

    /// Returns whether the selector means this robot, if no other robot is considered.
    pub(crate) fn matches(&self, robot: &Robot) -> bool {
        let peer = robot.peer.map(|peer| peer.to_string());
        if peer.as_deref() == Some(&self.text) {
            return true;
        }
        let Some(name) = robot.name.as_ref().map(|name| normal(&name.value)) else { return false };
        let has_end = |end: &String| peer.as_ref().is_some_and(|peer| peer.ends_with(end));
        // A robot may call itself by the handle of another one. So a handle never means a name.
        name == self.name && self.end.as_ref().is_none_or(has_end)
    }

    /// Returns all robots that the selector means, present ones first.
    pub(crate) fn all<'a>(&self, robots: &'a [Robot]) -> Vec<&'a Robot> {
        let mut all: Vec<&Robot> = robots.iter().filter(|robot| self.matches(robot)).collect();
        all.sort_by_key(|robot| robot.place);
        all
    }

    /// Chooses the one robot that the selector means, among robots with dt-swarm. Robots that are not present are
    /// considered only when no present robot has the name: a robot that was set up again has a new peer ID, and the old
    /// one is remembered for days.
    pub(crate) fn choose<'a>(&self, robots: &'a [Robot]) -> Choice<'a> {
        let mut all = self.all(robots);
        all.retain(|robot| robot.peer.is_some());
        if all.iter().any(|robot| robot.place != Place::Away) {
            all.retain(|robot| robot.place != Place::Away);
        }
        match all[..] {
            [] => Choice::None,
            [one] => Choice::One(one),
            [..] => Choice::Several(all),
        }
    }

    /// Returns the name of a robot that the user may have meant.
    pub(crate) fn similar<'a>(&self, robots: &'a [Robot]) -> Option<&'a str> {
        let names =
            robots.iter().take(MAX_COMPARED).filter_map(|robot| Some(robot.name.as_ref()?.value.as_str()));
        let rated = names
            .filter(|name| name.len() <= MAX_COMPARED_BYTES)
            .map(|name| (strsim::jaro_winkler(&normal(name), &self.name), name));
        let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other));
        best.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY).map(|(_, name)| name)
    }
}

/// Parses the name of a robot on the command line.
pub(crate) fn robot_name(text: &str) -> Result<String, String> {
    match Selector::new(text).name.is_empty() || normal(text) == LOCAL {
        true => Err("write the name of a robot, or its peer ID; `online` lists the robots".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// Returns the form of a name in which names are compared: in lower case, without `.local` and without a final dot.
fn normal(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.strip_suffix(LOCAL).filter(|rest| !rest.is_empty()).unwrap_or(&name).to_owned()
}

/// Returns the text with which each robot is named on the command line, unchanged as it was stated: the name, or
/// `NAME~END` when several robots have the name. A robot without a name has its peer ID. `None` means that the robot
/// cannot be named.
pub(crate) fn handles(robots: &[Robot]) -> Vec<Option<String>> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, robot) in robots.iter().enumerate() {
        if let Some(name) = &robot.name {
            groups.entry(normal(&name.value)).or_default().push(number);
        }
    }
    let mut handles: Vec<Option<String>> =
        robots.iter().map(|robot| robot.peer.map(|peer| peer.to_string())).collect();
    for members in groups.values() {
        let is_present = |number: &&usize| robots[**number].place != Place::Away;
        let present = members.iter().filter(is_present).count();
        let ids: Vec<&str> = members.iter().filter_map(|number| handles[*number].as_deref()).collect();
        let length = distinct_end(&ids);
        for number in members {
            let robot = &robots[*number];
            let is_only = members.len() == 1 || present == 1 && robot.place != Place::Away;
            let name = robot.name.as_ref().map(|name| name.value.clone());
            handles[*number] = match (&handles[*number], name) {
                // A name that looks like a handle would not be taken for a name.
                (Some(id), Some(name)) if !is_only || Selector::new(&name).end.is_some() => {
                    Some(format!("{name}{TILDE}{}", end_of(id, length)))
                }
                (_, name) => name,
            };
        }
    }
    handles
}

/// Returns the number of characters after which the ends of these IDs differ, at least [`END_CHARACTERS`].
fn distinct_end(ids: &[&str]) -> usize {
    let mut reversed: Vec<Vec<u8>> = ids.iter().map(|id| id.bytes().rev().collect()).collect();
    reversed.sort_unstable();
    // The longest common end of all pairs is one of neighbours in this order.
    let common =
        |pair: &[Vec<u8>]| pair[0].iter().zip(&pair[1]).take_while(|(one, other)| one == other).count();
    let longest = reversed.windows(2).map(common).max().map_or(0, |longest| longest + 1);
    longest.max(END_CHARACTERS)
}

/// Returns the last `length` characters of a peer ID, which is ASCII.
fn end_of(id: &str, length: usize) -> &str {
    id.get(id.len().saturating_sub(length)..).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robots::fixture::{peer, robot};
    use proptest::prelude::*;

    fn chosen(text: &str, robots: &[Robot]) -> usize {
        match Selector::new(text).choose(robots) {
            Choice::None => 0,
            Choice::One(_) => 1,
            Choice::Several(all) => all.len(),
        }
    }

    #[test]
    fn an_empty_text_is_no_name() {
        for text in ["", ".", ".local", "~JnuCcN"] {
            assert!(robot_name(text).is_err(), "{text:?}");
        }
        assert_eq!(robot_name("duckie7~JnuCcN").as_deref(), Ok("duckie7~JnuCcN"));
    }

    #[test]
    fn all_forms_of_a_name_mean_the_same_robot() {
        let robots = [robot(1, "duckie7", Place::Here), robot(2, "Duckie8.local", Place::Elsewhere)];
        for text in ["duckie7", "DUCKIE7", "duckie7.local", "duckie7.local.", "duckie8", "duckie8.local"] {
            assert_eq!(chosen(text, &robots), 1, "{text}");
        }
        let id = peer(1).to_string();
        let end = &id[id.len() - 4..];
        assert_eq!(chosen(&id, &robots), 1);
        assert_eq!(chosen(&format!("duckie7~{end}"), &robots), 1);
        assert_eq!(chosen(&format!("duckie7.local~{end}"), &robots), 1);
        for text in ["duckie", "duckie7x", "duckie7~nobody", "duckie8.example.org", "", ".local"] {
            assert_eq!(chosen(text, &robots), 0, "{text}");
        }
    }

    #[test]
    fn a_shared_name_is_refused_and_the_end_of_the_id_chooses() {
        let robots = [robot(1, "entebot208", Place::Here), robot(2, "entebot208", Place::Elsewhere)];
        assert_eq!(chosen("entebot208", &robots), 2);
        for handle in handles(&robots).into_iter().flatten() {
            assert_eq!(chosen(&handle, &robots), 1, "{handle}");
        }
    }

    #[test]
    fn a_robot_that_left_is_chosen_only_without_a_present_one() {
        let old = robot(1, "duckie7", Place::Away);
        assert_eq!(chosen("duckie7", std::slice::from_ref(&old)), 1);
        let robots = [old.clone(), robot(2, "duckie7", Place::Here)];
        let Choice::One(one) = Selector::new("duckie7").choose(&robots) else { panic!() };
        assert_eq!(one.peer, Some(peer(2)));
        let names = handles(&robots);
        assert_eq!(names[1].as_deref(), Some("duckie7"), "the present robot needs no end");
        assert!(names[0].as_deref().is_some_and(|name| name.starts_with("duckie7~")));
        assert_eq!(chosen("duckie7", &[old, robot(3, "duckie7", Place::Away)]), 2);
    }

    #[test]
    fn robots_without_dt_swarm_are_listed_but_not_chosen() {
        let foreign = Robot { peer: None, ..robot(1, "watchtower01", Place::Here) };
        let robots = [foreign];
        assert_eq!(chosen("watchtower01", &robots), 0);
        assert_eq!(Selector::new("watchtower01").all(&robots).len(), 1);
        assert_eq!(handles(&robots), [Some("watchtower01".to_owned())]);
    }

    #[test]
    fn a_similar_name_is_suggested() {
        let robots = [robot(1, "duckie7", Place::Here), robot(2, "autobot12", Place::Away)];
        let similar = |text: &str| Selector::new(text).similar(&robots);
        assert_eq!(similar("dukcie7"), Some("duckie7"));
        assert_eq!(similar("autobot13.local"), Some("autobot12"));
        assert_eq!(similar("zebra"), None);
    }

    #[test]
    fn ends_are_longer_when_ids_end_alike() {
        assert_eq!(distinct_end(&["12abcdef", "34abcdef", "99999999"]), 7);
        assert_eq!(distinct_end(&["a", "b"]), END_CHARACTERS);
        assert_eq!(distinct_end(&[]), END_CHARACTERS);
    }

    proptest! {
        #[test]
        fn each_handle_of_a_present_robot_chooses_exactly_it(
            names in prop::collection::vec("(duck|Duck|ente|ente\\.local|a~b|~)", 1..12)
        ) {
            let robots: Vec<Robot> =
                (1..).zip(&names).map(|(number, name)| robot(number, name, Place::Here)).collect();
            for (robot, handle) in robots.iter().zip(handles(&robots)) {
                let chosen = Selector::new(&handle.unwrap()).choose(&robots).one();
                prop_assert_eq!(chosen.and_then(|chosen| chosen.peer), robot.peer);
            }
        }
    }

    impl<'a> Choice<'a> {
        fn one(self) -> Option<&'a Robot> {
            match self {
                Self::One(robot) => Some(robot),
                _ => None,
            }
        }
    }
}
