//! Tests with generated addresses of every form, and with generated chains. Each test runs 2,000 cases, or as many as
//! the variable `DT_SWARM_CASES` says:
//!
//!     DT_SWARM_CASES=1000000 cargo test --release -p routing --test addresses
#![expect(clippy::unwrap_used, reason = "a panic fails the test with a message")]

mod generated;

use generated::{any_address, cases, mutated};
use proptest::prelude::*;
use routing::{Address, MAX_ADDRESS_BYTES, MAX_HOPS, Part, Segments};

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_parsed_address_is_displayed_and_parsed_again(made in any_address()) {
        let read: Address = made.text.parse().unwrap();
        prop_assert_eq!(read.as_str(), &made.text);
        prop_assert_eq!(read.to_string().parse(), Ok(read.clone()));
        prop_assert_eq!(read.parts().count(), made.parts);
        prop_assert_eq!((read.hops(), read.brain_of()), (made.hops, made.brain));
        let again = Address::from_parts(read.parts()).unwrap();
        prop_assert_eq!(&again, &read);
        prop_assert!(again.parts().eq(read.parts()));
    }

    #[test]
    fn a_chain_is_its_first_part_and_the_rest(made in any_address()) {
        let read: Address = made.text.parse().unwrap();
        let (part, rest) = read.split_first();
        prop_assert_eq!(matches!(part, Part::Hop(_)), read.first_hop().is_some());
        let first = Address::from_parts([part]).unwrap();
        match rest {
            Some(rest) => {
                prop_assert_eq!(rest.as_str().parse(), Ok(rest.clone()));
                prop_assert_eq!(first.then(&rest), Ok(read));
            }
            None => prop_assert_eq!(first, read),
        }
    }

    #[test]
    fn any_text_is_refused_or_displayed_exactly(text in mutated()) {
        let is_segments = text.parse::<Segments>().is_ok();
        let Ok(read) = text.parse::<Address>() else { return Ok(()) };
        prop_assert!(is_segments && text.len() <= MAX_ADDRESS_BYTES && read.hops() <= MAX_HOPS);
        prop_assert_eq!(read.as_str(), &text);
        let joined: String = read.parts().map(|part| part.to_string()).collect();
        prop_assert_eq!(joined, text);
    }

    #[test]
    fn an_address_with_a_multiaddress_comes_back_from_it(made in any_address()) {
        let read: Address = made.text.parse().unwrap();
        let Ok(multiaddr) = read.to_multiaddr() else { return Ok(()) };
        match matches!(read.split_first().0, Part::Node(_)) {
            true => {
                prop_assert_eq!(multiaddr.to_string(), read.as_str());
                prop_assert_eq!(Address::node_at(&multiaddr), Ok(read));
            }
            false => prop_assert_eq!(Address::brain_at(&multiaddr), Ok(read)),
        }
    }
}
