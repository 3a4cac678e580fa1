use super::*;

const BUILT: Time = Time(1_790_000_000);
const NOW: Time = Time(1_800_000_000);
const DAY: u64 = 24 * 3600;

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn clock() -> Clock {
    Clock::new(BUILT, None, Duration::ZERO)
}

#[test]
fn a_clock_without_battery_is_not_trusted() {
    let mut clock = clock();
    let moment = clock.read(Time(0), minutes(5));
    assert_eq!(moment, Moment { is_certain: false, ..Moment::certain(BUILT.plus(300)) });
    assert!(clock.read(NOW, minutes(6)).is_certain);
    let saved = Clock::new(BUILT, Some(NOW), Duration::ZERO);
    assert_eq!(saved.clone().read(BUILT, Duration::ZERO).time, NOW);
    assert_eq!(saved.floor(minutes(1)), NOW.plus(60));
}

#[test]
fn the_time_that_a_clock_shows_settles_after_a_while() {
    let mut clock = clock();
    assert_eq!(clock.read(NOW, Duration::ZERO).settled, BUILT);
    assert_eq!(clock.read(NOW.plus(540), minutes(9)).settled, BUILT.plus(540));
    assert_eq!(clock.read(NOW.plus(600), minutes(10)).settled, NOW.plus(600));
    // The clock is set to 2040 and back: no record was dropped wrongly.
    let far = Time(2_209_000_000);
    let ahead = clock.read(far, minutes(11));
    assert_eq!((ahead.time, ahead.settled, ahead.is_certain), (far, NOW.plus(660), true));
    let back = clock.read(NOW.plus(720), minutes(12));
    assert_eq!(back, Moment::certain(NOW.plus(720)));
    assert_eq!(clock.floor(minutes(12)), NOW.plus(720), "the floor was not raised by the jump");
}

#[test]
fn a_time_once_shown_is_a_floor_until_the_clock_contradicts_it_for_an_hour() {
    let far = Time(2_209_000_000);
    let mut clock = clock();
    for minute in 0..20 {
        clock.read(far.plus(60 * minute), minutes(minute));
    }
    let mut again = Clock::new(BUILT, Some(clock.floor(minutes(20))), Duration::ZERO);
    // Without a battery the clock shows 1970 again, and is not trusted.
    for minute in 0..120 {
        let moment = again.read(Time(60 * minute), minutes(minute));
        assert_eq!((moment.time, moment.is_certain), (far.plus(60 * (20 + minute)), false));
    }
    // Then the clock is set to a plausible time.
    let set = |minute| NOW.plus(60 * minute);
    for minute in 120..180 {
        assert!(!again.read(set(minute), minutes(minute)).is_certain, "it may have been set wrongly");
    }
    assert!(again.read(set(180), minutes(180)).is_certain);
    assert_eq!(again.floor(minutes(180)), set(180));
}

#[test]
fn a_clock_that_jumps_often_never_settles() {
    let mut clock = clock();
    for minute in 0..60 {
        let moment = clock.read(NOW.plus(minute * DAY), minutes(minute));
        assert_eq!(moment.settled, BUILT.plus(60 * minute));
    }
}

/// Returns times that robots with the role trusted have signed.
fn trusted(signed: &[Time]) -> Vec<SignedTime> {
    signed.iter().map(|time| SignedTime { time: *time, is_admin: false }).collect()
}

/// Returns the same times, the first one signed by an admin.
fn by_admin(signed: &[Time]) -> Vec<SignedTime> {
    let mut signed = trusted(signed);
    signed[0].is_admin = true;
    signed
}

#[test]
fn a_signed_time_needs_a_second_signer_or_the_own_clock() {
    let far = NOW.plus(3000 * DAY);
    let raised = |signed: &[Time], wall| {
        let mut clock = clock();
        clock.witness(trusted(signed), wall, Duration::ZERO);
        clock.floor(Duration::ZERO)
    };
    assert_eq!(raised(&[far], NOW), BUILT, "a single signer with a wrong clock is ignored");
    assert_eq!(raised(&[far], Time(0)), BUILT, "a single signer is ignored also when the time is unknown");
    assert_eq!(raised(&[far, NOW], Time(0)), NOW, "two signers agree that it is no earlier than now");
    assert_eq!(raised(&[NOW.plus(30)], NOW), NOW.plus(30), "the own clock agrees");
    assert_eq!(raised(&[Time(5), Time(6)], NOW), BUILT, "old times change nothing");
}

#[test]
fn a_later_time_needs_more_than_half_of_the_present_roles_or_an_admin() {
    let far = NOW.plus(3000 * DAY);
    let raised = |signed: Vec<SignedTime>| {
        let mut clock = clock();
        clock.witness(signed, NOW, Duration::ZERO);
        clock.floor(Duration::ZERO)
    };
    assert_eq!(raised(trusted(&[far, far, NOW, NOW])), NOW, "two robots of four are not more than half");
    assert_eq!(raised(trusted(&[far, far, far, NOW, NOW])), far, "three robots of five are more than half");
    assert_eq!(raised(by_admin(&[far, far, NOW, NOW])), far, "an admin and another peer suffice");
    assert_eq!(raised(by_admin(&[far, NOW, NOW])), NOW, "an admin alone does not suffice");
    let year_2099 = Time(4_070_908_800);
    assert_eq!(raised(by_admin(&[year_2099, year_2099])), BUILT, "no program is used for that long");
    // Peers that were present only before this node was switched off do not count as present.
    let past = |months: u64| Time(BUILT.0 - 30 * DAY * months);
    assert_eq!(raised(trusted(&[NOW, NOW, past(1), past(1), past(2)])), NOW);
}

#[test]
fn signed_times_apply_only_while_enough_peers_sign_them_and_do_not_settle() {
    let (mut clock, far) = (clock(), NOW.plus(3000 * DAY));
    // Times from two peers with a false time arrive first.
    assert!(clock.witness(trusted(&[far, far]), NOW, Duration::ZERO));
    for minute in 0..20 {
        let wall = NOW.plus(60 * minute);
        let moment = clock.read(wall, minutes(minute));
        assert_eq!((moment.time, moment.is_certain), (far.plus(60 * minute), false));
        assert!(moment.settled <= wall, "no record is dropped because of the signed time");
        assert_eq!(
            clock.learned(wall, minutes(minute)),
            Some(far.plus(60 * minute)),
            "the signed time is reported"
        );
        assert_eq!(clock.own_floor(minutes(minute)), BUILT.plus(60 * minute), "the signed time is not saved");
    }
    clock.witness(trusted(&[far, far, NOW, NOW]), NOW.plus(1200), minutes(20));
    let moment = clock.read(NOW.plus(1200), minutes(20));
    assert_eq!((moment.time, moment.is_certain), (NOW.plus(1200), true));
    assert_eq!(clock.learned(NOW.plus(1200), minutes(20)), None);
}

#[test]
fn a_node_that_learns_the_time_from_its_peers_still_does_not_know_it() {
    let mut clock = clock();
    assert!(clock.witness(trusted(&[NOW, NOW.plus(5)]), Time(0), minutes(1)));
    let moment = clock.read(Time(60), minutes(1));
    assert_eq!((moment.time, moment.is_certain), (NOW, false));
    for minute in 2..20 {
        assert!(clock.read(Time(60 * minute), minutes(minute)).settled <= BUILT.plus(60 * minute));
    }
}

fn shown(time: Time, hosts: usize) -> Option<NeighbourTime> {
    Some(NeighbourTime { time, hosts, is_open: true })
}

#[test]
fn a_node_whose_clock_shows_1970_uses_its_neighbours_clocks_until_its_clock_is_set() {
    let mut clock = clock();
    assert!(clock.is_to_hear(Duration::ZERO));
    clock.read(Time(5), minutes(1));
    assert!(clock.is_to_hear(minutes(1)), "the neighbours' clocks are read at once");
    clock.hear(shown(NOW, 1), minutes(1));
    let moment = clock.read(Time(65), minutes(2));
    let expected = Moment { settled: BUILT.plus(120), is_certain: false, ..Moment::certain(NOW.plus(60)) };
    assert_eq!(moment, expected);
    assert_eq!(clock.floor(minutes(2)), BUILT.plus(120), "the guess is not saved");
    for minute in 3..100 {
        clock.hear(shown(NOW.plus(60 * minute), 1), minutes(minute));
        let moment = clock.read(Time(60 * minute), minutes(minute));
        assert_eq!(moment.settled, BUILT.plus(60 * minute), "no record is dropped because of the guess");
    }
    let set = clock.read(NOW.plus(5990), minutes(100));
    assert_eq!(set, Moment { settled: BUILT.plus(6000), ..Moment::certain(NOW.plus(5990)) });
    clock.hear(None, minutes(101));
    assert_eq!(
        clock.read(Time(5), minutes(101)).time,
        BUILT.plus(6060),
        "no neighbour shows a time any more"
    );
}

#[test]
fn neighbours_clocks_are_trusted_within_bounds() {
    let by = |heard: Time, hosts, wall: Time| {
        let mut clock = clock();
        clock.hear(shown(heard, hosts), Duration::ZERO);
        let moment = clock.read(wall, Duration::ZERO);
        (moment.time, moment.is_certain)
    };
    let year_2099 = Time(4_070_908_800);
    assert_eq!(by(year_2099, 2, Time(0)), (BUILT, false), "no program is used for that long");
    assert_eq!(by(BUILT, 2, Time(0)), (BUILT, false), "no earlier than the floor");
    assert_eq!(by(NOW.plus(7200), 2, NOW), (NOW.plus(7200), false), "outvoted");
    assert_eq!(by(NOW.plus(7200), 1, NOW), (NOW, true), "a single neighbour does not outvote a clock");
    assert_eq!(by(NOW.plus(1200), 2, NOW), (NOW, true), "the leeway of statements covers this difference");
    assert_eq!(by(NOW, 2, NOW.plus(7200)), (NOW.plus(7200), true), "a clock that is ahead is not set back");
    let mut rooted = clock();
    rooted.hear(Some(NeighbourTime { time: NOW.plus(7200), hosts: 5, is_open: false }), Duration::ZERO);
    assert_eq!(rooted.read(NOW, Duration::ZERO), Moment { settled: BUILT, ..Moment::certain(NOW) });
    let mut clock = clock();
    clock.witness(trusted(&[NOW, NOW.plus(5)]), Time(0), Duration::ZERO);
    clock.hear(shown(NOW.plus(7200), 2), Duration::ZERO);
    assert_eq!(clock.read(Time(0), Duration::ZERO).time, NOW, "signed times take precedence");
}

/// Returns the time and its certainty after two hosts have shown a time two hours ahead, beginning at this minute.
fn attacked(clock: &mut Clock, minute: u64) -> (Time, bool) {
    let wall = NOW.plus(60 * minute);
    clock.hear(shown(wall.plus(7200), 2), minutes(minute));
    let moment = clock.read(wall, minutes(minute));
    (moment.time, moment.is_certain)
}

#[test]
fn neighbours_outvote_no_clock_that_was_set_in_this_run() {
    let mut clock = clock();
    clock.hear(shown(NOW, 2), Duration::ZERO);
    let behind = Time(NOW.0 - 3 * DAY);
    assert!(
        !clock.read(behind, Duration::ZERO).is_certain,
        "honest neighbours outvote a clock without a battery"
    );
    assert!(!clock.read(behind.plus(60), minutes(1)).is_certain, "it only runs on");
    assert!(clock.read(NOW.plus(120), minutes(2)).is_certain, "a time server sets it");
    assert_eq!(attacked(&mut clock, 3), (NOW.plus(180), true));
}

#[test]
fn neighbours_outvote_no_clock_with_which_several_hosts_agreed_for_ten_minutes() {
    let agreed = |hosts, end| {
        let mut clock = clock();
        for minute in 0..=end {
            clock.hear(shown(NOW.plus(60 * minute), hosts), minutes(minute));
            clock.read(NOW.plus(60 * minute), minutes(minute));
        }
        attacked(&mut clock, end + 1).1
    };
    assert!(agreed(2, 10));
    assert!(!agreed(2, 9), "not long enough");
    assert!(!agreed(1, 60), "a single host may be another robot without a battery");
}

#[test]
fn neighbours_outvote_no_clock_that_the_operating_system_confirms() {
    let mut clock = clock();
    assert!(!attacked(&mut clock, 0).1);
    assert!(clock.is_outvoted(NOW, Duration::ZERO));
    clock.confirm();
    assert_eq!(attacked(&mut clock, 1), (NOW.plus(60), true));
    let time = clock.read(Time(0), minutes(2)).time;
    assert!(time > NOW, "a clock behind the floor is still not used");
}

#[test]
fn a_clock_behind_the_floor_gives_no_evidence() {
    let mut clock = clock();
    clock.read(Time(0), Duration::ZERO);
    // The system restores the time at which it was switched off.
    clock.read(NOW, minutes(1));
    assert!(!attacked(&mut clock, 2).1);
}

#[test]
fn the_clocks_of_neighbours_are_reported_within_a_day() {
    let mut clock = clock();
    let mut neighbours = |heard| {
        clock.hear(shown(heard, 1), Duration::ZERO);
        clock.read(NOW, Duration::ZERO).neighbours
    };
    for (heard, told) in [
        (NOW.plus(30), NOW),
        (NOW.plus(7200), NOW.plus(7200)),
        (Time(NOW.0 - 7200), Time(NOW.0 - 7200)),
        (NOW.plus(2 * DAY), NOW),
    ] {
        assert_eq!(neighbours(heard), told);
    }
}
