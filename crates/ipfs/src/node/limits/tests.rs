use super::*;
use libp2p::identity::Keypair;

fn limits(rates: Rates) -> Arc<Limits> {
    let limits = Arc::new(Limits::default());
    limits.set(rates);
    limits
}

fn peer(limits: &Arc<Limits>, number: usize, at: &str) -> (PeerId, Arc<Share>) {
    let peer = Keypair::generate_ed25519().public().to_peer_id();
    limits.opened(peer, ConnectionId::new_unchecked(number), &at.parse().unwrap());
    (peer, limits.share(&peer))
}

/// Returns the number of bytes that pass within a time, in pieces as streams use them.
async fn passed(share: &Share, direction: Direction, within: Duration) -> u64 {
    let end = Instant::now() + within;
    let mut sum = 0;
    while tokio::time::timeout_at(end, share.pass(direction, share.piece_bytes(direction))).await.is_ok() {
        sum += share.piece_bytes(direction) as u64;
    }
    sum
}

const SECONDS: Duration = Duration::from_secs(30);

fn assert_near(bytes: u64, expected: f64) {
    let share = bytes as f64 / expected;
    assert!((0.96..1.01).contains(&share), "{bytes} of {expected}");
}

#[tokio::test(start_paused = true)]
async fn each_direction_keeps_to_its_own_rate() {
    let rates = Rates { lan_up: Some(1_000_000), wan_up: Some(30_000), ..Rates::default() };
    let limits = limits(rates);
    assert_eq!(limits.rates(), rates);
    let (_, near) = peer(&limits, 1, "/ip4/127.0.0.1/tcp/1");
    let (_, far) = peer(&limits, 2, "/ip4/203.0.113.7/tcp/1");
    let (near, far) =
        tokio::join!(passed(&near, Direction::Up, SECONDS), passed(&far, Direction::Up, SECONDS));
    assert_near(near, 30e6 / 1.03);
    assert_near(far, 900e3 / 1.03);
}

#[tokio::test(start_paused = true)]
async fn each_peer_gets_an_equal_share_for_any_number_of_its_streams() {
    let limits = limits(Rates { wan_down: Some(300_000), ..Rates::default() });
    let [a, b] = [1, 2].map(|number| peer(&limits, number, "/ip4/203.0.113.7/tcp/1").1);
    let down = |share| passed(share, Direction::Down, SECONDS);
    let (a, b, also_b, more_b) = tokio::join!(down(&a), down(&b), down(&b), down(&b));
    let b = b + also_b + more_b;
    assert_near(a + b, 9e6 / 1.03);
    assert!(a.abs_diff(b) < 200_000, "{a} and {b}");
}

#[tokio::test(start_paused = true)]
async fn a_new_rate_takes_effect_at_once_and_without_a_rate_nothing_waits() {
    let limits = limits(Rates { wan_up: Some(1), ..Rates::default() });
    let (_, share) = peer(&limits, 1, "/ip4/203.0.113.7/tcp/1");
    let begun = Instant::now();
    share.pass(Direction::Up, 1000).await;
    let waiting = tokio::spawn(async move {
        share.pass(Direction::Up, 1000).await;
        share.pass(Direction::Up, 1_000_000_000).await;
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    limits.set(Rates::default());
    waiting.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn short_messages_do_not_wait_but_delay_later_pieces() {
    let limits = limits(Rates { lan_up: Some(100_000), ..Rates::default() });
    let (_, share) = peer(&limits, 1, "/ip4/127.0.0.1/tcp/1");
    let begun = Instant::now();
    share.pass(Direction::Up, 50_000).await;
    share.pass_first(Direction::Up, 10_000).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    share.pass(Direction::Up, 1).await;
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    // A peer that sends many short messages has to wait, too.
    let flood = async {
        for _ in 0..100 {
            share.pass_first(Direction::Up, 10_000).await;
        }
    };
    flood.await;
    assert!(begun.elapsed() >= Duration::from_secs(9), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_peer_with_a_far_connection_is_far() {
    let limits = limits(Rates::default());
    let (peer, share) = peer(&limits, 1, "/ip4/127.0.0.1/tcp/1");
    assert!(share.is_near.load(Ordering::Relaxed));
    let second = ConnectionId::new_unchecked(2);
    limits.opened(peer, second, &"/ip4/203.0.113.7/udp/1/quic-v1".parse().unwrap());
    assert!(!share.is_near.load(Ordering::Relaxed));
    limits.closed(&peer, second);
    assert!(share.is_near.load(Ordering::Relaxed));
    limits.closed(&peer, ConnectionId::new_unchecked(1));
    assert!(limits.traffic().is_empty());
}
