//! Who plays the cases.

use super::Case;

/// Who plays cases: each can do what the one before cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    /// The decisions alone, over answers that lie before it.
    Policy,
    /// The library as part of a client, which sees final answers only.
    Library,
    /// The proxy, with connections on both sides.
    Proxy,
}

impl Player {
    /// Tells whether this player can play the case.
    ///
    /// `Cache-Status` is what a proxy says of itself, and an answer with a status below 200 never comes to a part of a client.
    pub fn can_play(self, case: &Case) -> bool {
        let of_a_proxy = |line: &String| line.starts_with("cache-status:");
        let tells = case.steps.iter().any(|s| s.has.iter().any(of_a_proxy));
        let interim = case.steps.iter().any(|s| !s.interim.is_empty());
        match self {
            Self::Policy => !tells,
            Self::Library => !tells && !interim,
            Self::Proxy => true,
        }
    }
}

/// Plays every case that applies to a cache that is `shared`, or not; fails with all that differs, by case and request.
///
/// Returns how many cases the player could not play.
pub async fn play_all(
    player: Player,
    shared: bool,
    play: impl AsyncFn(&Case) -> Vec<(usize, String)>,
) -> usize {
    let (mut left_out, mut wrong) = (0, Vec::new());
    for case in super::all() {
        if !case.caches.apply_to(shared) {
            continue;
        }
        if !player.can_play(&case) {
            left_out += 1;
            continue;
        }
        let suite = case.suite.as_deref().unwrap_or("-");
        for (nth, what) in play(&case).await {
            wrong.push(format!(
                "{} (RFC {}, {suite}), request {nth}: {what}",
                case.name, case.rfc
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    left_out
}
