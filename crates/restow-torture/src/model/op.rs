//! What can be asked of a cache.

use proptest::{collection::vec, prelude::*, sample::select};
use restow::Scope;
use std::time::Duration;

/// The keys that are used: few, so that operations meet; some are easily taken for each other.
pub(super) const KEYS: [(&str, Option<&str>); 6] = [
    ("a", None),
    ("a", Some("")),
    ("a", Some("GB")),
    ("b", None),
    ("b", Some("a")),
    ("ä/?&= ", Some("%20")),
];

/// Whose handle is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Nobody's.
    Public,
    /// A principal's.
    Alice,
    /// Another principal's.
    Bob,
    /// That of everyone together.
    Everyone,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Public, Self::Alice, Self::Bob, Self::Everyone];
    /// Those who can save.
    pub const SOMEBODY: [Self; 3] = [Self::Public, Self::Alice, Self::Bob];
}

/// An answer of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which body: the same number is the same body.
    pub body: u8,
    /// Whether it is a 404.
    pub negative: bool,
    /// Whether it has an `ETag`.
    pub tagged: bool,
    /// What its request accepts, on which it varies; 0 for an answer that does not vary.
    pub accepts: u8,
    /// Whether it comes through an exchange, as it does for a client, or the program hands it over.
    pub fetched: bool,
}

/// An operation. Keys are numbers into a short list.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "an operation is the call of this name")]
pub enum Op {
    Get(Who, usize),
    GetMany(Who, Vec<usize>),
    /// `lookup`, `contains`, `entry` and `variants`.
    Lookup(Who, usize),
    Save(Who, usize, u8),
    SaveMany(Who, Vec<(usize, u8)>),
    /// Stores an answer of the API.
    Answer(Who, usize, Answer),
    /// Asks the API whether what is held still holds; it says yes.
    Renew(Who, usize, u8),
    Delete(Who, usize),
    DeleteMany(Who, Vec<usize>),
    Count(Who, Scope),
    Clear(Who, Scope),
    /// Counts, or deletes, by a column.
    Column(Who, Option<&'static str>, bool),
    /// Counts, or deletes, by a field.
    Field(Who, usize, bool),
    Stream(Who, Scope),
    Stats,
    Sweep,
    Advance(Duration),
    /// Closes the store and opens it again; in memory the repository alone.
    Reopen,
}

/// How long the answers live, and how long they are kept after that.
pub(super) const LIFE: Duration = Duration::from_secs(86_400);
pub(super) const KEEP: Duration = Duration::from_secs(2 * 86_400);
/// How long a 404 lives.
pub(super) const BRIEF: Duration = Duration::from_secs(3_600);

const TIMES: [Duration; 6] = [
    Duration::from_millis(900),
    Duration::from_secs(2),
    BRIEF,
    Duration::from_secs(86_400 / 2),
    LIFE,
    Duration::from_secs(3 * 86_400),
];

pub(super) fn any() -> impl Strategy<Value = Op> {
    let who = || prop_oneof![5 => select(&Who::SOMEBODY[..]), 1 => Just(Who::Everyone)];
    let somebody = || select(&Who::SOMEBODY[..]);
    let key = || 0..KEYS.len();
    let scope = || select(&[Scope::All, Scope::Live, Scope::Expired][..]);
    let body = || 0..4_u8;
    let answer = (
        body(),
        prop::bool::weighted(0.2),
        prop::bool::ANY,
        0..3_u8,
        prop::bool::ANY,
    );
    let answer = answer.prop_map(|(body, negative, tagged, accepts, fetched)| Answer {
        body,
        negative,
        tagged,
        accepts,
        fetched,
    });
    let kind = || select(&[Some("even"), Some("odd"), None][..]);
    let times = select(TIMES.as_slice());
    prop_oneof![
        5 => (who(), key()).prop_map(|(who, key)| Op::Get(who, key)),
        3 => (who(), vec(key(), 0..5)).prop_map(|(who, keys)| Op::GetMany(who, keys)),
        4 => (who(), key()).prop_map(|(who, key)| Op::Lookup(who, key)),
        6 => (who(), key(), body()).prop_map(|(who, key, body)| Op::Save(who, key, body)),
        3 => (somebody(), vec((key(), body()), 0..5)).prop_map(|(who, all)| Op::SaveMany(who, all)),
        8 => (somebody(), key(), answer).prop_map(|(who, key, answer)| Op::Answer(who, key, answer)),
        5 => (somebody(), key(), 0..3_u8).prop_map(|(who, key, accepts)| Op::Renew(who, key, accepts)),
        3 => (who(), key()).prop_map(|(who, key)| Op::Delete(who, key)),
        1 => (who(), vec(key(), 0..4)).prop_map(|(who, keys)| Op::DeleteMany(who, keys)),
        2 => (who(), scope()).prop_map(|(who, scope)| Op::Count(who, scope)),
        1 => (who(), scope()).prop_map(|(who, scope)| Op::Clear(who, scope)),
        2 => (who(), kind(), prop::bool::weighted(0.2)).prop_map(|(who, kind, delete)| Op::Column(who, kind, delete)),
        1 => (who(), key(), prop::bool::weighted(0.2)).prop_map(|(who, key, delete)| Op::Field(who, key, delete)),
        2 => (who(), scope()).prop_map(|(who, scope)| Op::Stream(who, scope)),
        1 => Just(Op::Stats),
        1 => Just(Op::Sweep),
        5 => times.prop_map(Op::Advance),
        1 => Just(Op::Reopen),
    ]
}
