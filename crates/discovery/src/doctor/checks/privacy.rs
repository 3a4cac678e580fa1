//! Says what strangers can learn of this robot. This is never a fault.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::Settings;
use crate::doctor::findings::works;
use crate::doctor::observed::Observed;
use crate::privacy::Shared;
use crate::protocol::Finding;

const CODE: &str = "privacy";

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let told = |settings| works(CODE, message(settings, observed.is_open_swarm, observed.has_key));
    observed.settings.as_ref().map(told).into_iter().collect()
}

fn message(settings: &Settings, is_open_swarm: bool, has_key: bool) -> String {
    let &Settings { share_profile, answer_pings, publish_facts, .. } = settings;
    let shared = share_profile.shared(is_open_swarm);
    let tells_programs = answer_pings || publish_facts;
    let learnt = match shared {
        Shared::All => {
            "its name, version, addresses, type, configuration, hardware, distribution, device ID and boot ID"
        }
        Shared::Some => {
            "its name, version, addresses, type, configuration and hardware, but not its device ID"
        }
        Shared::None if tells_programs => {
            "its name, version and addresses, and by Duckietown's own programs its type, configuration and hardware"
        }
        Shared::None => "its name, version and addresses only",
    };
    let who = match has_key {
        true => "all members of the swarm, but nobody without the swarm key,",
        false => "everybody on the networks of this robot",
    };
    let by_others = match has_key && tells_programs {
        true => "; multicast DNS and answers to pings tell its name and address to everybody there",
        false => "",
    };
    format!(
        "{who} can learn {learnt}{by_others}; `share_profile`, `answer_pings`, `publish_facts` and `publish_service` in \
         [discovery] change this"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::ShareProfile;

    #[test]
    fn the_sentence_says_what_strangers_learn() {
        let quiet = Settings {
            answer_pings: false,
            publish_facts: false,
            publish_service: false,
            ..Settings::default()
        };
        let never = |settings| Settings { share_profile: ShareProfile::Never, ..settings };
        let open = message(&Settings::default(), true, false);
        assert!(
            open.contains("everybody on the networks") && open.contains("but not its device ID"),
            "{open}"
        );
        assert!(open.contains("`share_profile`") && !open.contains("boot"), "{open}");
        let rooted = message(&Settings::default(), false, false);
        assert!(rooted.contains("everybody") && rooted.contains("device ID and boot ID"), "{rooted}");
        let keyed = message(&Settings::default(), false, true);
        assert!(keyed.contains("nobody without the swarm key"), "{keyed}");
        assert!(message(&never(Settings::default()), true, false).contains("Duckietown's own programs"));
        assert!(message(&never(quiet.clone()), true, false).contains("addresses only"));
        let by_others = "to everybody there";
        assert!(keyed.contains(by_others) && !open.contains(by_others) && !rooted.contains(by_others));
        assert!(!message(&quiet, false, true).contains(by_others));
        // A finding is cut at this length.
        assert!(keyed.chars().count() <= 400, "{}", keyed.chars().count());
    }
}
